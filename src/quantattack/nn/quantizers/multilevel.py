"""Quantizers of more than two values: ternary weights, and uniform grids of weights and of activations."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from quantattack.errors import InputError
from quantattack.nn.quantizers.base import Values, sign


@dataclass(frozen=True)
class Ternary:
    """Ternary weights with one float scale for each tensor.

    Equations: ``t = 0.7 mean|w|``; forward and hard ``s sign(w) [|w| > t]`` with ``s`` the mean of ``|w|`` where it is
    above ``t``; surrogate ``w``.

    Source: Li, Zhang & Liu 2016, https://arxiv.org/abs/1605.04711

    Arguments:
        threshold: The factor 0.7.

    """

    threshold: float = 0.7
    name: ClassVar[str] = "ternary"
    biases: ClassVar[bool] = False
    bound: ClassVar[float | None] = None
    instead: ClassVar[bool] = False

    def forward(self, x: Values) -> Values:
        return self.hard(x)

    def surrogate(self, x: Values) -> Values:
        return x

    def hard(self, x: Values) -> Values:
        size = x.abs()
        kept = (size > self.threshold * size.mean()).to(x.dtype)
        scale = (size * kept).sum() / kept.sum().clamp(min=1)
        return scale * sign(x) * kept


@dataclass(frozen=True)
class Uniform:
    """Weights on a symmetric uniform grid of ``bits`` bits, its end at the tensor's largest size.

    Equations: ``s = max|w| / (2^(bits-1) - 1)`` (for 1 bit see the binary quantizers); forward and hard
    ``s round(w / s)``; surrogate ``w``.

    Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877

    Arguments:
        bits: 2 to 8.

    """

    bits: int = 8
    biases: ClassVar[bool] = False
    bound: ClassVar[float | None] = None
    instead: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_bits(self.bits, least=2)

    @property
    def name(self) -> str:
        return f"uniform-{self.bits}"

    def forward(self, x: Values) -> Values:
        return self.hard(x)

    def surrogate(self, x: Values) -> Values:
        return x

    def hard(self, x: Values) -> Values:
        scale: Tensor = (x.abs().amax() / float(2 ** (self.bits - 1) - 1)).clamp(min=torch.finfo(x.dtype).tiny)
        return scale * torch.round(x / scale)


@dataclass(frozen=True)
class UniformActivation:
    """Activations on a uniform grid of ``bits`` bits over [0, high], one range for every image.

    Equations: ``s = high / (2^bits - 1)``; forward and hard ``s round(clip(a, 0, high) / s)``; surrogate
    ``clip(a, 0, high)``.

    Source: Zhou et al. 2016, https://arxiv.org/abs/1606.06160

    Arguments:
        bits: 1 to 8.
        high: The largest value kept, in units of the activation.

    """

    bits: int = 8
    high: float = 6.0
    biases: ClassVar[bool] = False
    bound: ClassVar[float | None] = None
    instead: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_bits(self.bits, least=1)
        if not self.high > 0:
            raise InputError(f"high is {self.high}; give a positive number")

    @property
    def name(self) -> str:
        return f"uniform-{self.bits}"

    def forward(self, x: Values) -> Values:
        return self.hard(x)

    def surrogate(self, x: Values) -> Values:
        return x.clamp(0, self.high)

    def hard(self, x: Values) -> Values:
        scale = self.high / float(2**self.bits - 1)
        return scale * torch.round(x.clamp(0, self.high) / scale)


def _check_bits(bits: int, least: int) -> None:
    if not least <= bits <= 8:
        raise InputError(f"bits is {bits}; give a number from {least} to 8")
