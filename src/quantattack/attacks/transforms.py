"""What changes a gradient on its way to becoming a step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from quantattack.attacks.norms import spread
from quantattack.types import Images

Transform: TypeAlias = Callable[[Images, Images, Images], Images]


@dataclass(frozen=True)
class Momentum:
    r"""Accumulate gradients of unit size: :math:`m \leftarrow \mu m + g / \|g\|_1`.

    Source: Dong et al., 2018, https://arxiv.org/abs/1710.06081.  A zero gradient adds nothing.

    Arguments:
        decay: Share of the past that is kept, :math:`\mu`.
    """

    decay: int | float = 1.0

    def __call__(self, grad: Images, x: Images, previous: Images) -> Images:  # noqa: ARG002
        size = grad.flatten(1).abs().sum(1)
        return self.decay * previous + grad / spread(size.where(size > 0, size.new_ones(())), grad)
