"""Gradient transforms, applied before the direction of the step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from quantattack.attacks.norms import per_image
from quantattack.record.description import tagged
from quantattack.types import Images

# (gradient, point, what the transform returned one step before) -> gradient, each with shape (n, ...)
Transform: TypeAlias = Callable[[Images, Images, Images], Images]


@runtime_checkable
class StatesCoupling(Protocol):
    """A transform that declares whether it couples the images of a batch; one that does not declare it does not."""

    coupled: ClassVar[bool]

    def __call__(self, grad: Images, x: Images, previous: Images) -> Images: ...


def is_coupled(transform: Transform) -> bool:
    """Return whether a transform couples the images of a batch, so that none may be dropped from it early."""
    return isinstance(transform, StatesCoupling) and transform.coupled


@tagged("Momentum")
@dataclass(frozen=True)
class Momentum:
    r"""Accumulate gradients of unit L1 norm: :math:`m \leftarrow \mu m + g / \|g\|_1`.

    Source: Dong et al., 2018, https://arxiv.org/abs/1710.06081.  A zero gradient adds nothing.

    Arguments:
        decay: Decay factor :math:`\mu` of the accumulated gradient.
    """

    decay: int | float = 1.0

    def __call__(self, grad: Images, x: Images, previous: Images) -> Images:  # noqa: ARG002
        size = grad.flatten(1).abs().sum(1)
        return self.decay * previous + grad / per_image(size.where(size > 0, size.new_ones(())), grad)
