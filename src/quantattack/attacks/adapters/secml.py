"""Adapter for attacks of SecML-Torch, run on the evaluated model so that its passes are counted."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

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
from quantattack.record.description import tagged
from quantattack.types import Images, Labels


@tagged("Secml")
@dataclass(frozen=True)
class Secml:
    """An attack of SecML-Torch (https://github.com/pralab/secml-torch).

    Its constructor receives the threat's radius, norm and range if it has such parameters.  The result of
    a minimum-norm attack, which takes no radius, is projected onto the threat.

    Arguments:
        threat: Set of admissible images.
        attack: A class of `secmlt.adv.evasion`, or its name, such as "PGD", "FMN" or "DDN".
        settings: Further constructor arguments, such as num_steps and step_size.

    Raises:
        InputError: If secml-torch is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)
    __call__ = searched
    __post_init__ = check_settings  # type: ignore[misc]  # mypy wants a `def` in the class

    def kind(self) -> Any:
        """Return the attack's class."""
        library("secmlt", "secml")
        if not isinstance(self.attack, str):
            return self.attack
        return member(library(f"secmlt.adv.evasion.{self.attack.lower()}", "secml"), self.attack, "attack of SecML")

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:  # noqa: ARG002
        kind = self.kind()
        norm = norm_name(self.threat, ("linf", "l2", "l1"))
        known = {"perturbation_model": norm, "epsilon": radius, "lb": self.threat.low, "ub": self.threat.high}
        attack = made(kind, (), filled(kind, known, self.settings))
        loader = DataLoader(TensorDataset(images, labels), batch_size=len(images))
        wrapped = library("secmlt.models.pytorch.base_pytorch_nn", "secml").BasePyTorchClassifier(model)
        attacked = torch.cat([batch for batch, _ in attack(wrapped, loader)])
        return attacked if "epsilon" in settings_of(kind) else inside(self.threat, attacked, images, radius)
