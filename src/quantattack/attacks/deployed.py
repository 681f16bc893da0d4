"""What a deployed model is attacked with: the ordinary attack on its outputs, transfer, Square, and its twin."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from quantattack.attacks.around import Around
from quantattack.attacks.base import (
    Attack,
    Batch,
    Trace,
)
from quantattack.attacks.merging import search_apart
from quantattack.attacks.recipes import pgd
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Transfer
from quantattack.deployed.base import Outputs, deployed_in
from quantattack.record.description import tagged
from quantattack.types import Model

AnyModel = TypeVar("AnyModel", bound=Model)
_CARRIED = ("pgd", "gap")  # run to the end on the float network, 80 passes
TRANSFERRED, SQUARE, ON_LOGITS = "transfer", "square", "pgd_logits"  # names of members in a record
_STRIPES = "stripes"  # a short Square in `standard`


@tagged("OnOutputs")
@dataclass(frozen=True)
class OnOutputs(Around):
    """Run an attack on the outputs of a deployed file as they are, the softmax at the end included.

    That is what an ordinary attack climbs, and where the quantized softmax is flat it stands still.  On a model without
    a softmax of its own it is the attack itself.

    Arguments:
        attack: The attack.
    """

    def trace(self, model: Model, batch: Batch) -> Trace:
        return search_apart(self.attack, showing_outputs(model), batch)


def showing_outputs(model: AnyModel) -> AnyModel:
    """Return a model whose deployed model shows its outputs in place of its logits; any other model as it is.

    Arguments:
        model: A deployed model, or a wrapper around one, which is copied around it.
    """
    deployed = deployed_in(model)
    if deployed is None or not deployed.softmax or not isinstance(model, nn.Module):
        return model
    return copy.deepcopy(model, {id(deployed): Outputs(deployed)})


def suite_of(threat: Threat, float_model: Model | None = None, softmax: bool = True) -> Ensemble:
    """Return the members of `deployed_suite`.

    Arguments:
        threat: Set of admissible images.
        float_model: The float network that the file was made of; None for no transfer.
        softmax: Whether the file ends in a softmax; else `pgd_logits` would be `pgd` again.
    """
    own = dict(standard(threat).attacks)
    own.pop(_STRIPES, None)  # where `square` is alone, it begins there too
    alone: Mapping[str, Attack] = {SQUARE: own.pop(SQUARE)} if SQUARE in own else {}
    transferred: Mapping[str, Attack] = {}
    if float_model is not None:
        transferred = {TRANSFERRED: Ensemble({name: Transfer(own[name], float_model) for name in _CARRIED})}
    plain = own.pop("pgd")
    on_logits: Mapping[str, Attack] = {ON_LOGITS: plain} if softmax else {}
    return Ensemble({"pgd": OnOutputs(pgd(threat)), **transferred, **alone, **on_logits, **own})


def deployed_suite(model: Model, threat: Threat, float_model: Model | None = None) -> Ensemble:
    """The attacks on a deployed model, of which the report's table is made.

    1. `pgd`: ordinary PGD through the twin, on the file's own outputs.
    2. `transfer`: PGD and `gap` of `standard` on the float network, each to its end, shown to the file.
    3. `square`: Square, which asks the file alone.
    4. The gradient attacks of `standard` through the twin, on what enters the softmax; PGD among them as `pgd_logits`.

    Arguments:
        model: The model that is attacked.
        threat: Set of admissible images.
        float_model: The float network that the file was made of; the one that the model knows where None, and without
            any `transfer` is left out.
    """
    deployed = deployed_in(model)
    if deployed is None:
        return suite_of(threat, float_model, softmax=False)
    known = deployed.float_model if float_model is None else float_model
    return suite_of(threat, known, deployed.softmax)
