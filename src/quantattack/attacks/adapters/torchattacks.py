"""Adapter for attacks of torchattacks, run on the evaluated model so that its passes are counted."""

from dataclasses import dataclass, field
from typing import Any

from quantattack.attacks.adapters.common import (
    Settings,
    Shown,
    check_settings,
    filled,
    inside,
    library,
    made,
    member,
    norm_name,
    searched,
    settings_of,
)
from quantattack.attacks.threat import Threat
from quantattack.gradients import classes_of
from quantattack.record.description import tagged
from quantattack.types import Images, Labels


@tagged("TorchAttacks")
@dataclass(frozen=True)
class TorchAttacks:
    """An attack of torchattacks (Kim, 2020, https://arxiv.org/abs/2010.01950).

    Its constructor receives the threat's radius and norm if it has such parameters.  The result of
    a minimum-norm attack, which takes no radius, is projected onto the threat.

    Arguments:
        threat: Set of admissible images.
        attack: A class of torchattacks, or its name, such as "PGD".
        settings: Further constructor arguments.

    Raises:
        InputError: If torchattacks is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)
    __call__ = searched
    __post_init__ = check_settings  # type: ignore[misc]  # mypy wants a `def` in the class

    def kind(self) -> Any:
        """Return the attack's class."""
        return member(library("torchattacks", "torchattacks"), self.attack, "attack of torchattacks")

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:
        kind = self.kind()
        norm, classes = norm_name(self.threat, ("Linf", "L2", "L1")), classes_of(model, images[:1])
        known = {"eps": radius, "norm": norm, "n_classes": classes, "seed": seed, "verbose": False}
        attacked: Images = made(kind, (model,), filled(kind, known, self.settings))(images, labels)
        return attacked if "eps" in settings_of(kind) else inside(self.threat, attacked, images, radius)
