"""Network Jacobian Scaling (NJS)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from quantattack.attacks.scaling.base import Rescale, confidence
from quantattack.attacks.scaling.sketch import STEPS, Estimates, Sketch, mean_singular_values
from quantattack.errors import InputError, is_number
from quantattack.gradients import classes_of, jacobian, parts_of, singular_values
from quantattack.record.description import tagged
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Logits, Model, PerImage

_PROBE_BATCH = 16
_MOST_ROWS = 100  # classes up to which all rows of the Jacobian are computed
_PIXELS = 1 << 19  # pixels at once in an estimate, whose backward pass has a graph of its own


@tagged("Njs")
@dataclass(frozen=True)
class Njs:
    r"""Network Jacobian Scaling: scale the Jacobian's mean singular value to 1, then the error signal to at least rho.

    .. math:: \beta_1 = 1 / \mathrm{mean}(\sigma(J)), \quad
       \beta_2 = -\ln\frac{\rho}{(1 - \rho)(k - 1)} \Big/ (z_{(1)} - z_{(k)}) \text{ where } 1 - p_y < \rho

    with :math:`z = \beta_1 a`; :math:`\beta_2` is recomputed for each image at each step, and is 1 elsewhere.

    Up to 100 classes the singular values are computed from all rows of J.  Beyond, their mean is estimated from
    products with J and its transpose (see `sketch.mean_singular_values`), and the estimate's error is recorded.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Algorithm 1, Proposition 1).

    Arguments:
        beta1: Inverse of the mean singular value; `Njs.fit` measures it.
        rho: Lower bound of the error signal :math:`1 - p_y`.
        unit: Input coordinates in which beta1 was measured: "pixel" in [0, 1], or "normalized" as in the paper.
        sketch: How the mean singular value was estimated; None where it was computed from all rows.
    """

    beta1: int | float
    rho: int | float = 0.01
    unit: Literal["pixel", "normalized"] = "pixel"
    sketch: Sketch | None = field(default=None, metadata={"recorded_as": "sketch"})  # recorded only where there is one

    def __post_init__(self) -> None:
        if not (is_number(self.beta1) and self.beta1 > 0):
            raise InputError(f"beta1 must be a positive number, not {self.beta1!r}; Njs.fit(model, probe) finds it")
        if not 0 < self.rho < 0.5:
            raise InputError(f"rho must lie between 0 and 0.5, not {self.rho!r}")

    @classmethod
    def fit(cls, model: Model, probe: Images, std: Sequence[float] | None = None, rho: int | float = 0.01) -> "Njs":
        """Measure the mean singular value of the Jacobian on probe images, and return the temperature.

        Arguments:
            model: Maps images in [0, 1] to logits.
            probe: Images with shape (m, ...); the paper uses 100 test images.
            std: The channels' standard deviations, for a Jacobian in the paper's normalized coordinates.
            rho: Lower bound of the error signal.

        Raises:
            InputError: If there are no probe images, std has the wrong length, or all their Jacobians are zero.
        """
        if not len(probe):
            raise InputError("Njs.fit needs at least one image to measure the Jacobian on; the paper takes 100")
        if std is not None and (not isinstance(std, Sequence) or len(std) not in (1, probe.shape[1])):
            raise InputError(f"std must hold a number for each of the {probe.shape[1]} channels, not {std!r}")
        weight = None if std is None else probe.new_tensor(list(std)).reshape(1, -1, *[1] * (probe.ndim - 2))
        mean, sketch = _mean_singular_value(model, probe, weight)
        if mean == 0:
            raise InputError("the Jacobian is zero on the whole probe, NJS has nothing to scale; use square")
        return cls(1 / mean, rho, "pixel" if std is None else "normalized", sketch)

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:  # noqa: ARG002
        return self.scale

    def scale(self, logits: Logits, labels: Labels) -> Logits:
        z = self.beta1 * logits
        with torch.no_grad():
            beta2 = self._beta2(z.detach(), labels)
        return z * beta2[:, None]

    def _beta2(self, z: Logits, labels: Labels) -> PerImage:
        error = torch.softmax(z, 1).scatter(1, labels.long()[:, None], 0).sum(1)  # 1 - p_y without the cancellation
        span = z.amax(1) - z.amin(1)
        beta2 = confidence(self.rho, z.shape[1]) / span.where(span > 0, span.new_ones(()))
        return beta2.where((error < self.rho) & (span > 0), beta2.new_ones(()))


def _mean_singular_value(model: Model, probe: Images, weight: Tensor | None) -> tuple[float, Sketch | None]:
    """Return the mean over the probe and over singular values, and how it was estimated, if it was."""
    if classes_of(model, probe[:_PROBE_BATCH]) > _MOST_ROWS:
        return _estimated(model, probe, weight)
    values = [_spectrum(model, batch, weight) for batch in torch.split(probe, _PROBE_BATCH)]
    return float(torch.cat(values).mean()), None


def _estimated(model: Model, probe: Images, weight: Tensor | None) -> tuple[float, Sketch | None]:
    at_once = max(1, min(_PROBE_BATCH, _PIXELS // max(1, probe[0].numel())))
    index = torch.arange(len(probe), device=probe.device)
    column = None if weight is None else weight.expand(1, *probe.shape[1:])
    parts = parts_of(len(probe), at_once)
    found = Estimates.joined([mean_singular_values(model, probe[at], Rng(0, index[at]), column) for at in parts])
    mean = float(found.mean.mean())
    return mean, found.summary(STEPS) if mean > 0 else None


def _spectrum(model: Model, probe: Images, weight: Tensor | None) -> Tensor:
    _, rows = jacobian(model, probe)
    if weight is not None:
        rows = rows * weight.expand(probe.shape).flatten(1)[:, None]
    return singular_values(rows)
