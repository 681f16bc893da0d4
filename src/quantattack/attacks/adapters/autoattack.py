"""Adapter for AutoAttack, run on the evaluated model so that its passes are counted."""

from dataclasses import dataclass
from typing import Any

from quantattack.attacks.adapters.common import (
    Shown,
    filled,
    library,
    made,
    norm_name,
    searched,
    settings_of,
)
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.gradients import classes_of
from quantattack.record.description import tagged
from quantattack.types import Images, Labels

_LEAST = {"apgd-dlr": 3, "apgd-t": 4}  # classes that a member's loss ranks
_MEMBERS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}


@tagged("AutoAttack")
@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690), from `pyautoattack` or its own repository.

    Each member attacks the images that the earlier ones did not fool.  Targeted members use 9 target classes, or all
    wrong classes if there are fewer.

    Arguments:
        threat: Set of admissible images.
        version: "standard", "plus", "rand", or "custom" for the given members.
        members: Names of the members joined by "+", such as "apgd-ce+apgd-t"; required with "custom", where APGD and
            FAB run without restarts, and not allowed otherwise.
        package: "pyautoattack", "autoattack" for the original repository, or empty for whichever is installed.
        steps: Number of steps of each gradient-based member.

    Raises:
        InputError: If neither package is installed, the model has too few classes for a member, the version is
            unknown, or members do not go with the version.
    """

    threat: Threat
    version: str = "standard"
    members: str = ""
    package: str = ""
    steps: int = 100
    __call__ = searched

    def __post_init__(self) -> None:
        if self.version not in ("standard", "plus", "rand", "custom"):
            raise InputError(f"version must be standard, plus, rand or custom, not {self.version!r}")
        if bool(self.members) != (self.version == "custom"):
            raise InputError("members are named with version='custom', and only with it")
        self._kind()

    def _kind(self) -> Any:
        if self.package:
            return library(self.package, "autoattack").AutoAttack
        try:
            return library("pyautoattack", "autoattack").AutoAttack
        except InputError:
            return library("autoattack", "autoattack").AutoAttack

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:
        kind, members = self._kind(), self.members.split("+") if self.members else None
        original = "attacks_to_run" in settings_of(kind)
        known = {"norm": norm_name(self.threat, ("Linf", "L2", "L1")), "eps": radius, "version": self.version}
        known |= {"seed": seed, "device": images.device, "verbose": False}
        if members:
            known["attacks_to_run" if original else "attacks"] = members
        adversary = made(kind, (model,), filled(kind, known, {}))
        classes = classes_of(model, images[:1])
        self._check_classes(classes)
        targets = min(9, classes - 1)
        for member in (adversary.apgd_targeted, adversary.fab):
            member.n_target_classes = min(member.n_target_classes, targets)
        self._shorten(adversary)
        size = {"bs" if original else "batch_size": len(images)}
        output = adversary.run_standard_evaluation(images, labels, **size)
        adv: Images = output[0] if isinstance(output, tuple) else output
        return adv

    def _check_classes(self, classes: int) -> None:
        """Raise InputError if a member's loss needs more classes than the model has."""
        members = self.members.split("+") if self.members else _MEMBERS[self.version]
        short = [name for name in members if classes < _LEAST.get(name, 2)]
        if short:
            rest = "+".join(name for name in ("apgd-ce", "apgd-dlr", "fab", "square") if classes >= _LEAST.get(name, 2))
            raise InputError(
                f"AutoAttack's {short[0]} needs {_LEAST[short[0]]} classes, the model has {classes}; "
                f"name members that do with version='custom', members={rest!r}"
            )

    def _shorten(self, adversary: Any) -> None:
        """Set the number of steps and what the constructors derived from it; disable restarts in version "custom"."""
        for member in (adversary.apgd, adversary.apgd_targeted):
            member.n_iter = member.n_iter_orig = self.steps
            for name, share in (("n_iter_2", 0.22), ("n_iter_min", 0.06), ("size_decr", 0.03)):
                setattr(member, name, max(int(share * self.steps), 1))
        adversary.fab.n_iter = self.steps
        if self.version == "custom":
            adversary.apgd.n_restarts = adversary.fab.n_restarts = 1
