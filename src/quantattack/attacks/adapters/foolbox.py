"""Adapter for attacks of foolbox, run on the evaluated model so that its passes are counted."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from quantattack.attacks.adapters.common import (
    Settings,
    Shown,
    library,
    made,
    member,
    searched,
)
from quantattack.attacks.threat import Threat
from quantattack.record.description import tagged
from quantattack.types import Images, Labels


@tagged("Foolbox")
@dataclass(frozen=True)
class Foolbox:
    """An attack of foolbox (Rauber et al., 2020, https://doi.org/10.21105/joss.02607).

    foolbox itself clips the result of a minimum-norm attack to the radius.  For attacks that need a misclassified start
    point, such as Brendel and Bethge's, an image for which none is found, or on which the attack fails, is returned
    clean, and the other images are attacked without it.

    Arguments:
        threat: Set of admissible images.
        attack: A class of `foolbox.attacks`, its name, such as "LinfDeepFoolAttack", or an attack object.
        settings: Constructor arguments; unused for an attack object.

    Raises:
        InputError: If foolbox is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)
    __call__ = searched

    def __post_init__(self) -> None:
        self._made()

    def _made(self) -> Any:
        attacks = library("foolbox.attacks", "foolbox")
        if not isinstance(self.attack, str | type):
            return self.attack
        return made(member(attacks, self.attack, "attack of foolbox"), (), self.settings)

    def search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:  # noqa: ARG002
        foolbox, attack = library("foolbox", "foolbox"), self._made()
        wrapped = foolbox.PyTorchModel(model, bounds=(self.threat.low, self.threat.high), device=images.device)
        if not isinstance(attack, _need_start(library("foolbox.attacks", "foolbox"))):
            attacked: Images = attack(wrapped, images, labels, epsilons=radius)[1]
            return attacked
        return self._with_starts(attack, wrapped, images, labels, radius)

    def _with_starts(self, attack: Any, wrapped: Any, images: Images, labels: Labels, radius: float) -> Images:
        attacks, attacked = library("foolbox.attacks", "foolbox"), images.clone()
        initial = attack.init_attack or attacks.LinearSearchBlendedUniformNoiseAttack()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of failed starts, which are checked below
            starts = initial.run(wrapped, images, library("foolbox", "foolbox").criteria.Misclassification(labels))
        with torch.no_grad():
            fooled = (wrapped(starts).argmax(1) != labels).nonzero()[:, 0]
        pending = [fooled] if len(fooled) else []  # a group on which the attack fails is halved and tried again
        while pending:
            rows = pending.pop()
            settings = {"epsilons": radius, "starting_points": starts[rows]}
            try:
                attacked[rows] = attack(wrapped, images[rows], labels[rows], **settings)[1]
            except (AssertionError, ArithmeticError, np.linalg.LinAlgError):
                pending += rows.chunk(2) if len(rows) > 1 else []
        return attacked


def _need_start(attacks: Any) -> tuple[type, ...]:
    """Return the foolbox attacks that reject a whole batch if one image's start point is not misclassified."""
    return attacks.brendel_bethge.BrendelBethgeAttack, attacks.BoundaryAttack, attacks.HopSkipJumpAttack
