"""Directions: maps from a gradient to a step, before multiplication by the step size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from quantattack.attacks.norms import Norm, at_most_one
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.types import Images

Direction: TypeAlias = Callable[[Images, Norm, Images | None], Images]  # (grad, norm, room) -> step of unit size


@runtime_checkable
class NoisyDirection(Protocol):
    """A stochastic direction, marked by `noisy`: it receives uniform noise in [0, 1) of the gradient's shape."""

    noisy: ClassVar[Literal[True]]

    def __call__(self, grad: Images, norm: Norm, room: Images | None, noise: Images) -> Images: ...


@tagged("steepest")
def steepest(grad: Images, norm: Norm, room: Images | None = None) -> Images:
    """Return the norm's steepest unit step: the sign under Linf, the normalized gradient under L2."""
    return norm.steepest(grad, room)


@tagged("raw")
def raw(grad: Images, norm: Norm, room: Images | None = None) -> Images:  # noqa: ARG001
    """Return the gradient unchanged."""
    return grad


@tagged("Quantized")
@dataclass(frozen=True)
class Quantized:
    r"""The gradient rounded to integer levels, at least 1 in magnitude for a nonzero entry.

    .. math:: q_i = \zeta(b\, g_i / \max_j |g_j|), \quad
       \zeta(v) = \mathrm{sign}(v) \text{ if } |v| < 1 \text{ else } \mathrm{round}(v)

    with halves rounded to even.  `Quantized(1)` is the sign.  An all-zero gradient stays zero.

    Source: Liu et al., 2020, https://arxiv.org/abs/2002.02372.

    Arguments:
        levels: The number b of levels, at least 1; the maximum is per image.

    Raises:
        InputError: If there is less than one level.
    """

    levels: int | float = 100

    def __post_init__(self) -> None:
        if not self.levels >= 1:
            raise InputError(f"levels must be at least 1, not {self.levels!r}")

    def __call__(self, grad: Images, norm: Norm, room: Images | None = None) -> Images:  # noqa: ARG002
        scaled = self.levels * at_most_one(grad)
        return scaled.round().where(scaled.abs() >= 1, grad.sign())  # a tiny entry may underflow in scaled


@tagged("Stochastic")
@dataclass(frozen=True)
class Stochastic:
    r"""The gradient rounded stochastically to integer levels, with the scaled gradient as its expectation.

    .. math:: q_i = \mathrm{sign}(g_i) \lfloor b |g_i| / \max_j |g_j| + u_i \rfloor, \quad u_i \sim U[0, 1)

    The rounding of QSGD (Alistarh et al., 2017, https://arxiv.org/abs/1610.02132), at the scale of `Quantized`: the
    image's largest entry instead of its norm.  Each image has its own noise.

    Arguments:
        levels: The number b of levels, at least 1.

    Raises:
        InputError: If there is less than one level.
    """

    levels: int | float = 100
    noisy: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        if not self.levels >= 1:
            raise InputError(f"levels must be at least 1, not {self.levels!r}")

    def __call__(self, grad: Images, norm: Norm, room: Images | None, noise: Images) -> Images:  # noqa: ARG002
        scaled = self.levels * at_most_one(grad)
        return (scaled.abs() + noise).floor() * scaled.sign()
