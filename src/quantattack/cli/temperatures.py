"""Where a string becomes a temperature, and what an attack's name is read in."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from quantattack.attacks.scaling.base import Temperature
from quantattack.attacks.scaling.confidence import MaxConfidence
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap, Mifpe
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.threat import Threat
from quantattack.cli.names import deviation
from quantattack.data.probe import draw_probe
from quantattack.data.streams import Stream
from quantattack.errors import InputError, check_count, unknown
from quantattack.evaluation.checks import counted_model
from quantattack.gradients import placement
from quantattack.types import Images, Model

RIVALS = 20  # classes beside the label that HNS looks at, unless told otherwise
_FEW = 16  # images that show how many classes there are

Maker: TypeAlias = Any  # a function whose keyword arguments are the settings; typed calls would hide their names


@dataclass(frozen=True, eq=False)
class Context:
    """What an attack's name is read in.

    Arguments:
        model: The model that is attacked.
        threat: Where the attack may walk.
        images: All test images, from which a probe is drawn.
        data: Name or path of their data set.
        float_model: The float network that a deployed model was made of.
    """

    model: Model
    threat: Threat
    images: Images | Stream
    data: str
    float_model: Model | None = None

    def probe(self) -> Images:
        """Return 100 test images drawn by seed 0, however few are attacked."""
        return draw_probe(self.images)


def _njs(context: Context, rho: float = 0.01, unit: str = "pixel") -> Temperature:
    if unit not in ("pixel", "normalized"):
        raise unknown("unit", unit, ("pixel", "normalized"))
    std = deviation(context.data) if unit == "normalized" else None
    device, dtype = placement(context.model)
    probe = context.probe().to(device, dtype)
    return Njs.fit(context.model, probe, std, rho)


def _hns(context: Context, paper: bool = False, points: int = 64, rivals: int = RIVALS) -> Temperature:
    if paper:
        return Hns.paper()
    check_count("rivals", rivals)
    classes = _classes(context)
    return Hns(points, rivals=rivals if classes is not None and classes > rivals + 1 else None)


def _classes(context: Context) -> int | None:
    """Return how many classes the model has; None where it does not say, which is for others to report."""
    device, dtype = placement(context.model)
    with suppress(InputError):
        return counted_model(context.model, context.probe()[:_FEW].to(device, dtype))[1].shape[1]
    return None


def _gap(context: Context, c: float = Gap().c) -> Temperature:  # noqa: ARG001
    return Gap(c)


def _confidence(context: Context, rho: float = MaxConfidence().rho) -> Temperature:  # noqa: ARG001
    return MaxConfidence(rho)


def _fixed(context: Context, beta: float = 0.1) -> Temperature:  # noqa: ARG001
    return Fixed(beta)


def _mifpe(context: Context, t: float = 1.0) -> Temperature:  # noqa: ARG001
    return Mifpe(t)


TEMPERATURES: Mapping[str, tuple[Maker, str]] = {
    "njs": (_njs, "Network Jacobian Scaling, fitted on 100 test images"),
    "hns": (_hns, "Hessian Norm Scaling, among the label and the `rivals` largest other logits"),
    "gap": (_gap, "the margin as the scale, at every step"),
    "fixed": (_fixed, "one fixed beta"),
    "confidence": (_confidence, "the range of the logits as the scale, Proposition 1 of NJS alone"),
    "mifpe": (_mifpe, "the margin scaled to t, at every step"),
}
