"""CLEVER: an estimate of the smallest perturbation that fools, from extreme values of sampled gradients."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from quantattack.attacks.norms import L1, L2, Linf, Norm
from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.diagnostics.signals.spectrum import linearize, per_pixel, probabilities, scale_of
from quantattack.errors import InputError
from quantattack.rng import NOISE, Rng
from quantattack.types import Images, Labels, Model, PerImage

DRAWS, DISTANCE = 2, 3  # steps of the random numbers, beside those of `Norm.sample`
_FARTHEST = 10.0  # times the largest slope seen: beyond it a fitted end is no estimate


@dataclass(frozen=True, kw_only=True)
class Clever:
    r"""The CLEVER score: how far the predicted class's lead would last at the steepest slope nearby.

    .. math:: \min\Big(R,\ \min_{j \ne c} \frac{f_c(x) - f_j(x)}{L_j}\Big), \quad
       L_j \approx \max_{\|x' - x\|_p \le R} \|\nabla f_c(x') - \nabla f_j(x')\|_q

    with L_j the location of a reverse Weibull distribution fitted to maxima over batches of sampled points.
    The f are probabilities, :math:`f = \mathrm{softmax}(\beta a)` with beta found at x: on logits the temperature
    would cancel.  One Jacobian of the logits at each sampled point serves all classes.

    Source: Weng et al., 2018, https://arxiv.org/abs/1801.10578; the defaults are those behind table 10 of Gupta and
    Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        norm: Norm of the perturbation.
        radius: Radius R of the ball that is sampled, and the largest score.
        batches: How many maxima the distribution is fitted to.
        batch_size: Points behind each maximum.
        pool: Points sampled are pool times batch_size; the batches are drawn from them with replacement.
        temperature: What the logits are multiplied by.
        output: What the f are: probabilities, or the logits, whose score no temperature changes.
        std: The channels' standard deviations, for radius and score in the paper's normalized pixels.

    Raises:
        InputError: If a count is less than 1, or the radius is not positive.
    """

    norm: Norm = field(default_factory=L1)
    radius: float = 5.0
    batches: int = 50
    batch_size: int = 10
    pool: int = 10
    temperature: Temperature = unit
    output: Literal["probabilities", "logits"] = "probabilities"
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if min(self.batches, self.batch_size, self.pool) < 1 or not self.radius > 0:
            raise InputError("CLEVER needs batches, batch_size and pool from 1 on and a positive radius")

    def __call__(self, model: Model, images: Images, labels: Labels, rng: Rng | None = None) -> PerImage:
        """Return each image's score, for the class that the model predicts."""
        rng = rng or Rng(0, torch.arange(len(images)))
        scores = [
            self._score(model, images[i : i + 1], labels[i : i + 1], rng.keep(_only(i, rng)))
            for i in range(len(images))
        ]
        return torch.tensor(scores, dtype=torch.float64)

    def _score(self, model: Model, image: Images, label: Labels, rng: Rng) -> float:
        with torch.no_grad():
            logits = model(image)
        beta = scale_of(self.temperature(model, image, label), logits, label)
        top = int(logits.argmax(1))
        lead = self._leads(self._outputs(logits, beta)[0], top)
        slopes = self._slopes(model, self._points(image, rng), top, beta)
        chosen = self._batches(rng)
        limits = [largest_slope(column[chosen].amax(1)) for column in slopes.T]
        return min(
            [self.radius, *(float(value) / limit for value, limit in zip(lead, limits, strict=True) if limit > 0)]
        )

    def _outputs(self, logits: Tensor, beta: Tensor) -> Tensor:
        return probabilities(logits, beta[:, None])[:, 0] if self.output == "probabilities" else logits.double() * beta

    @staticmethod
    def _leads(values: Tensor, top: int) -> Tensor:
        others = torch.arange(len(values)) != top
        return values[top] - values[others]

    def _points(self, image: Images, rng: Rng) -> Tensor:
        count = self.pool * self.batch_size
        many = Rng(rng.seed, torch.arange(count) + count * rng.index[:1], rng.restart)
        copies = image.double().expand(count, *image.shape[1:])
        radius = torch.full((count,), self.radius, dtype=torch.float64)
        delta = self.norm.sample(copies, radius, many)
        if isinstance(self.norm, L1):  # as the Adversarial Robustness Toolbox draws them: radius times a root
            far = self.radius * many.uniform(DISTANCE, NOISE, (), torch.float64).sqrt() / self.norm.size(delta)
            delta = delta * far.reshape(-1, *[1] * (delta.ndim - 1))
        if self.std is not None:
            delta = delta * per_pixel(image, self.std).reshape(image.shape[1:]).to(delta)
        return (copies + delta).to(image.dtype)

    def _slopes(self, model: Model, points: Images, top: int, beta: Tensor) -> Tensor:
        """Return the dual norm of grad f_c - grad f_j at each point for each rival, with shape (points, k - 1)."""
        logits, rows = linearize(model, points, self.std)
        rows = beta.double() * rows.double()
        if self.output == "probabilities":
            p = probabilities(logits, beta.expand(len(points))[:, None])[:, 0]
            rows = p[:, :, None] * (rows - (p[:, None] @ rows))
        others = torch.arange(rows.shape[1]) != top
        apart = rows[:, top : top + 1] - rows[:, others]
        slopes: Tensor = torch.linalg.vector_norm(apart, _dual(self.norm), dim=2)
        return slopes

    def _batches(self, rng: Rng) -> Tensor:
        size = self.pool * self.batch_size
        drawn = Rng(rng.seed, rng.index[:1], rng.restart).uniform(
            DRAWS, NOISE, (self.batches, self.batch_size), torch.float64
        )
        return (drawn[0] * size).long().clamp_max(size - 1)


def _only(place: int, rng: Rng) -> Tensor:
    return torch.arange(len(rng.index)) == place


def _dual(norm: Norm) -> float:
    for kind, dual in ((L1, float("inf")), (L2, 2.0), (Linf, 1.0)):
        if isinstance(norm, kind):
            return dual
    raise InputError(f"CLEVER works under L1(), L2() and Linf(), not {norm!r}")


def largest_slope(maxima: Sequence[float] | Tensor) -> float:
    """Return the location of the reverse Weibull distribution fitted to maxima: an estimate of the largest of all.

    Fitted by maximum likelihood to the maxima over their largest, so that the result scales with them; never less
    than the largest seen.  Maxima that are skewed upward have no such end, and the likelihood then has no maximum: a
    location beyond ten times the largest seen is no estimate, and the largest seen is returned.

    Arguments:
        maxima: Positive numbers with shape (batches,).
    """
    from scipy.stats import weibull_min

    values = torch.as_tensor(maxima, dtype=torch.float64)
    largest = float(values.amax())
    if largest == 0 or bool((values > (1 - 1e-9) * largest).all()):
        return largest
    _, location, _ = weibull_min.fit((-values / largest).numpy(), 1.0)
    end = -float(location)
    return largest * (end if 1 <= end <= _FARTHEST else 1.0)
