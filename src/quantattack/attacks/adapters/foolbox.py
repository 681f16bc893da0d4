"""Attacks of foolbox, on the model as evaluation counts its passes."""

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

    A search for the smallest perturbation is cut to the radius by foolbox itself.  Where an attack needs a start that
    fools the model, as Brendel and Bethge's does, and finds none, or breaks down, the image stays clean; the others go
    on.

    Arguments:
        threat: Where it may search.
        attack: Its class's name in `foolbox.attacks`, like "LinfDeepFoolAttack", or an attack object.
        settings: What its constructor is given.

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
        host = foolbox.PyTorchModel(model, bounds=(self.threat.low, self.threat.high), device=images.device)
        if not isinstance(attack, _from_a_start(library("foolbox.attacks", "foolbox"))):
            attacked: Images = attack(host, images, labels, epsilons=radius)[1]
            return attacked
        return self._from_starts(attack, host, images, labels, radius)

    def _from_starts(self, attack: Any, host: Any, images: Images, labels: Labels, radius: float) -> Images:
        attacks, attacked = library("foolbox.attacks", "foolbox"), images.clone()
        initial = attack.init_attack or attacks.LinearSearchBlendedUniformNoiseAttack()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says how many starts failed, which is what is looked at here
            starts = initial.run(host, images, library("foolbox", "foolbox").criteria.Misclassification(labels))
        with torch.no_grad():
            fooled = (host(starts).argmax(1) != labels).nonzero()[:, 0]
        todo = [fooled] if len(fooled) else []
        while todo:
            rows = todo.pop()
            settings = {"epsilons": radius, "starting_points": starts[rows]}
            try:
                attacked[rows] = attack(host, images[rows], labels[rows], **settings)[1]
            except (AssertionError, ArithmeticError, np.linalg.LinAlgError):
                todo += rows.chunk(2) if len(rows) > 1 else []
        return attacked


def _from_a_start(attacks: Any) -> tuple[type, ...]:
    """Return the attacks of foolbox that refuse a whole batch where the start of one image fools nothing."""
    return attacks.brendel_bethge.BrendelBethgeAttack, attacks.BoundaryAttack, attacks.HopSkipJumpAttack
