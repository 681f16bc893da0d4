"""Adapter for attacks of the Adversarial Robustness Toolbox, run on the evaluated model to count its passes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

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


@tagged("Art")
@dataclass(frozen=True)
class Art:
    """An attack of the Adversarial Robustness Toolbox (Nicolae et al., 2018, https://arxiv.org/abs/1807.01069).

    Its constructor receives the threat's radius, norm and range if it has such parameters.  The result of
    a minimum-norm attack, which takes no radius, is projected onto the threat.

    Arguments:
        threat: Set of admissible images.
        attack: A class of `art.attacks.evasion`, or its name, such as "ProjectedGradientDescent".
        settings: Further constructor arguments.

    Raises:
        InputError: If ART is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)
    __call__ = searched
    __post_init__ = check_settings  # type: ignore[misc]  # mypy wants a `def` in the class

    def kind(self) -> Any:
        """Return the attack's class."""
        return member(library("art.attacks.evasion", "art"), self.attack, "attack of ART")

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:  # noqa: ARG002
        kind = self.kind()
        norm = norm_name(self.threat, (np.inf, 2, 1))
        known = {"eps": radius, "norm": norm, "batch_size": len(images), "verbose": False}
        attack = made(kind, (self._classifier(model, images),), filled(kind, known, self.settings))
        attacked = torch.from_numpy(attack.generate(x=images.cpu().numpy(), y=labels.cpu().numpy())).to(images)
        return attacked if "eps" in settings_of(kind) else inside(self.threat, attacked, images, radius)

    def _classifier(self, model: Shown, images: Images) -> Any:
        classifiers = library("art.estimators.classification", "art")
        return classifiers.PyTorchClassifier(
            model=model,
            loss=torch.nn.CrossEntropyLoss(),
            input_shape=tuple(images.shape[1:]),
            nb_classes=classes_of(model, images[:1]),
            clip_values=(self.threat.low, self.threat.high),
            device_type="gpu" if images.is_cuda else "cpu",
        )
