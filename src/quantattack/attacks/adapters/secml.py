"""Attacks of SecML-Torch, on the model as evaluation counts its passes."""

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

    Given the threat's radius, norm and range where its constructor takes them; a search for the smallest perturbation
    is brought into the threat afterwards.

    Arguments:
        threat: Where it may search.
        attack: Its name in `secmlt.adv.evasion`, like "PGD", "FMN" or "DDN", or the class.
        settings: What its constructor is given beside, like num_steps and step_size.

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
        host = library("secmlt.models.pytorch.base_pytorch_nn", "secml").BasePyTorchClassifier(model)
        attacked = torch.cat([batch for batch, _ in attack(host, loader)])
        return attacked if "epsilon" in settings_of(kind) else inside(self.threat, attacked, images, radius)
