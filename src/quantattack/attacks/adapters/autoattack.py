"""AutoAttack, on the model as evaluation counts its passes."""

from dataclasses import dataclass
from typing import Any

from quantattack.attacks.adapters.common import (
    Shown,
    classes_of,
    filled,
    library,
    made,
    norm_name,
    searched,
    settings_of,
)
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.types import Images, Labels


@tagged("AutoAttack")
@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690), from `pyautoattack` or its own repository.

    Every member attacks what the earlier ones left.  There are 9 rivals, or as many as the model has.

    Arguments:
        threat: Where it may search.
        version: "standard", "plus", "rand", or "custom" with a list of attacks.
        members: Its members' names joined by "+", like "apgd-ce+apgd-t"; only with "custom", each from one start.
        package: "pyautoattack", "autoattack" for the original repository, or empty for the one that is installed.
        steps: Steps of each of its gradient attacks.

    Raises:
        InputError: If neither is installed, or the version is unknown.
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
        rivals = min(9, classes_of(model, images) - 1)
        for member in (adversary.apgd_targeted, adversary.fab):
            member.n_target_classes = min(member.n_target_classes, rivals)
        self._shorten(adversary)
        size = {"bs" if original else "batch_size": len(images)}
        output = adversary.run_standard_evaluation(images, labels, **size)
        adv: Images = output[0] if isinstance(output, tuple) else output
        return adv

    def _shorten(self, adversary: Any) -> None:
        """Set the steps, with all that a constructor derives from them, and no restart in a version of one's own."""
        for member in (adversary.apgd, adversary.apgd_targeted):
            member.n_iter = member.n_iter_orig = self.steps
            for name, share in (("n_iter_2", 0.22), ("n_iter_min", 0.06), ("size_decr", 0.03)):
                setattr(member, name, max(int(share * self.steps), 1))
        adversary.fab.n_iter = self.steps
        if self.version == "custom":
            adversary.apgd.n_restarts = adversary.fab.n_restarts = 1
