"""The L2 attack in Gupta and Ajanthan's released code, behind the L2 columns of their tables, and PGD's usual step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images, without_steps
from quantattack.attacks.losses import cross_entropy
from quantattack.attacks.norms import L2, Norm, per_image
from quantattack.attacks.scaling.base import Temperature, fitting_passes, unit
from quantattack.attacks.threat import Threat
from quantattack.errors import check_count
from quantattack.gradients import gradient
from quantattack.record.description import tagged
from quantattack.rng import START
from quantattack.types import Images, Model

FLOOR = 1e-12  # what the gradient's norm is kept above in Foolbox's L2 attacks


def released_threat(radius: float, channels: int) -> Threat:
    """Return the smallest L2 ball that contains the product of the released attack's balls, one for each channel.

    Arguments:
        radius: Radius of a channel's ball, in pixels of [0, 1].
        channels: Number of channels.
    """
    return Threat(L2(), radius * channels**0.5)


@tagged("float32_normalized")
def float32_normalized(grad: Images, norm: Norm, room: Images | None = None) -> Images:  # noqa: ARG001
    r"""Return the gradient over its L2 norm as it is usually written, :math:`g / \max(\|g\|_2, 10^{-12})`.

    In float32 the squares of entries under about 1e-23 are 0, so that a saturated image takes a shorter step or none.
    `L2.steepest` divides by the largest entry first, where nothing underflows.
    """
    return grad / per_image(grad.flatten(1).norm(dim=1).clamp_min(FLOOR), grad)


@tagged("ReleasedL2")
@dataclass(frozen=True, kw_only=True)
class ReleasedL2:
    r"""PGD under L2 as released: one ball per channel, a floored gradient norm, and no projection between steps.

    .. math:: \hat g_t = \frac{\nabla \bar\ell(x_t + \delta_t)}{\max(\|\nabla \bar\ell(x_t + \delta_t)\|_2, f)}, \quad
       x_{t+1} = \mathrm{clip}_{[0,1]}(x_t + \eta\, \hat g_t), \quad \delta_{t+1} = x_{t+1} - x_0

    with the loss averaged over a batch of 128 and the gradient in normalized pixels.  From its second step on it
    evaluates the gradient at about :math:`x + 2\delta`, outside the ball.  The random start affects the first gradient
    only.  Only the last :math:`\delta` is projected, each channel separately, so that all three channels together may
    reach :math:`\sqrt 3` times the radius.  An image whose own gradient norm is below 128 times the floor takes a
    shorter step: that, besides saturation, is why networks seem robust to it.  It is included to explain the published
    numbers; use `pgd` under `L2()` to attack.

    Source: the code released with Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511.

    Arguments:
        radius: Radius of each channel's ball, in pixels of [0, 1].
        step_size: Length of a step, in pixels of [0, 1].
        steps: Number of steps.
        std: The channels' standard deviations.
        floor: Lower bound :math:`f` of the norm that the gradient is divided by.
        batch: Batch size that the loss is averaged over, whatever the actual number of images.
        temperature: Gives the factor on the logits, from the clean image.

    Raises:
        InputError: If there is less than one step.
    """

    radius: float
    step_size: float
    steps: int = 20
    std: tuple[float, ...] = (1.0,)
    floor: float = 1e-6
    batch: int = 128
    temperature: Temperature = unit
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_count("steps", self.steps)

    @property
    def traits(self) -> Traits:
        return Traits()

    def passes(self, classes: int) -> int:
        return 2 * self.steps + fitting_passes(self.temperature, classes)

    def to_the_end(self) -> Attack:
        """Return the attack itself, which always takes all its steps."""
        return self

    def trace(self, model: Model, batch: Batch) -> Trace:
        clean, labels = batch.images, batch.labels
        if not len(clean):
            return without_steps(clean)
        first = batch.rng.uniform(0, START, clean.shape[1:], clean.dtype)
        x, delta = clean, self._clipped((first if batch.start is None else batch.start) - clean)
        rescale = self.temperature(model, clean, labels)
        for _ in range(self.steps):
            _, raw = gradient(model, x + delta, lambda a: cross_entropy(rescale(a, labels), labels) / self.batch)
            x = (x + self.step_size * self._unit(raw)).clamp(0, 1)
            delta = x - clean
        return without_steps((clean + self._clipped(delta)).clamp(0, 1))

    def _unit(self, raw: Images) -> Tensor:
        """Return the gradient in normalized pixels, divided by its L2 norm or by `floor` if that is larger."""
        grad = raw * raw.new_tensor(self.std).reshape(1, -1, *[1] * (raw.ndim - 2))
        unit_length: Tensor = grad / per_image(grad.flatten(1).norm(dim=1).clamp_min(self.floor), grad)
        return unit_length

    def _clipped(self, delta: Images) -> Tensor:
        """Project each channel of a perturbation onto its own L2 ball."""
        norm = torch.linalg.vector_norm(delta.flatten(2), dim=2).clamp_min(1e-12)
        factor = (self.radius / norm).clamp_max(1.0)
        clipped: Tensor = delta * factor.reshape(*factor.shape, *[1] * (delta.ndim - 2))
        return clipped
