"""Quantizers: each states its value in training, the function whose derivative is used, and its final value.

A quantizer is a frozen dataclass with three functions of a tensor: ``forward`` is the value in training, ``surrogate``
the function whose derivative is used, ``hard`` the value in eval mode and after freezing.  ``project`` joins them.
"""

from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Values: TypeAlias = Float[Tensor, "*shape"]


@runtime_checkable
class Quantizer(Protocol):
    """What every quantizer states.

    Attributes:
        name: The method's short name, as lists and checkpoints have it.
        biases: Whether it quantizes the biases too.
        bound: Latent weights are clamped to [-bound, bound] after every update; None leaves them free.
        instead: Whether it takes the place of an activation function; otherwise it follows it.

    """

    @property
    def name(self) -> str: ...
    @property
    def biases(self) -> bool: ...
    @property
    def bound(self) -> float | None: ...
    @property
    def instead(self) -> bool: ...

    def forward(self, x: Values) -> Values: ...
    def surrogate(self, x: Values) -> Values: ...
    def hard(self, x: Values) -> Values: ...


@runtime_checkable
class Tempered(Protocol):
    """What a quantizer with a temperature states besides.

    Attributes:
        beta: The temperature: the slope of its function in training.

    """

    @property
    def beta(self) -> float | Tensor: ...


def project(quantizer: Quantizer, x: Values, hard: bool) -> Values:
    """Return the quantizer's value with the derivative of its surrogate.

    Equation: ``q + (s - stop(s))`` with ``q = stop(value)``: exactly ``q``, and every torch.func transform takes it.

    Arguments:
        quantizer: The quantizer.
        x: Latent weights or pre-activations, of any shape.
        hard: Whether the value is the final one (eval mode, frozen) or the one in training.

    """
    value = quantizer.hard(x) if hard else quantizer.forward(x)
    slope = quantizer.surrogate(x)
    return value.detach() + (slope - slope.detach())


def sign(x: Values) -> Values:
    """The sign with ``sign(0) = +1``, so that nothing binarized is ever 0."""
    return (x >= 0).to(x.dtype) * 2 - 1
