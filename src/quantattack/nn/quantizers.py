"""Quantizers: each states its value in training, the function whose derivative is used, and its final value.

A quantizer is a frozen dataclass with three functions of a tensor: ``forward`` is the value in training, ``surrogate``
the function whose derivative is used, ``hard`` the value in eval mode and after freezing.  ``project`` joins them.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import hardtanh

from quantattack.errors import InputError

Values: TypeAlias = Float[Tensor, "*shape"]


@runtime_checkable
class Quantizer(Protocol):
    """What every quantizer states.

    Arguments:
        name: The method's short name, as lists and checkpoints have it.
        biases: Whether it quantizes the biases beside the weights.
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


@dataclass(frozen=True)
class MdTanhS:
    """Mirror descent with the tanh mirror map, numerically stable form: the derivative is the identity's.

    Equations: forward ``tanh(beta w)``; surrogate ``w``; hard ``sign(w)``.  A gradient step on the latent weight ``w``
    is the mirror descent step on ``tanh(beta w)``.  Schedule: Adam, ``beta`` multiplied by 1.02 every 200 updates
    (ResNet-18) up to about 1e4, when every weight sits at an end.

    Source: Ajanthan, Gupta, Torr, Hartley & Dokania 2021, https://arxiv.org/abs/1910.08237

    Arguments:
        beta: The slope of tanh; in training a buffer of the layer, set by the training loop.

    """

    beta: float | Tensor = 1.0
    name: ClassVar[str] = "md-tanh-s"
    biases: ClassVar[bool] = True
    bound: ClassVar[float | None] = None
    instead: ClassVar[bool] = False

    def forward(self, x: Values) -> Values:
        return torch.tanh(self.beta * x)

    def surrogate(self, x: Values) -> Values:
        return x

    def hard(self, x: Values) -> Values:
        return sign(x)


@dataclass(frozen=True)
class GdTanh:
    """Gradient descent through tanh, the true chain rule.

    Equations: forward ``tanh(beta w)``; surrogate ``tanh(beta w)``; hard ``sign(w)``.  Schedule: as MD-tanh-S.

    Source: Ajanthan, Gupta, Torr, Hartley & Dokania 2021, https://arxiv.org/abs/1910.08237

    Arguments:
        beta: The slope of tanh; in training a buffer of the layer, set by the training loop.

    """

    beta: float | Tensor = 1.0
    name: ClassVar[str] = "gd-tanh"
    biases: ClassVar[bool] = True
    bound: ClassVar[float | None] = None
    instead: ClassVar[bool] = False

    def forward(self, x: Values) -> Values:
        return torch.tanh(self.beta * x)

    def surrogate(self, x: Values) -> Values:
        return torch.tanh(self.beta * x)

    def hard(self, x: Values) -> Values:
        return sign(x)


@dataclass(frozen=True)
class BinaryConnect:
    """Binary weights, straight-through inside [-1, 1].

    Equations: forward and hard ``sign(w)``; surrogate ``clip(w, -1, 1)``, latent weights clipped to [-1, 1] after every
    update.  Schedule: Adam, no temperature.

    Source: Courbariaux, Bengio & David 2015, https://arxiv.org/abs/1511.00363
    """

    name: ClassVar[str] = "bc"
    biases: ClassVar[bool] = True
    bound: ClassVar[float | None] = 1.0
    instead: ClassVar[bool] = False

    def forward(self, x: Values) -> Values:
        return sign(x)

    def surrogate(self, x: Values) -> Values:
        return x.clamp(-1, 1)

    def hard(self, x: Values) -> Values:
        return sign(x)


@dataclass(frozen=True)
class BnnWaq:
    """The weights of a network with binarized weights and activations; biases stay float and are clamped too.

    Equations: forward and hard ``sign(w)``; surrogate ``w``, latent weights clamped to [-1, 1] after every update.
    Schedule: Adam at 5e-3 falling to 1e-5; goes with ``Sign`` for the activations.

    Source: Hubara, Courbariaux, Soudry, El-Yaniv & Bengio 2016, https://arxiv.org/abs/1602.02830
    """

    name: ClassVar[str] = "bnn-waq"
    biases: ClassVar[bool] = False
    bound: ClassVar[float | None] = 1.0
    instead: ClassVar[bool] = False

    def forward(self, x: Values) -> Values:
        return sign(x)

    def surrogate(self, x: Values) -> Values:
        return x

    def hard(self, x: Values) -> Values:
        return sign(x)


@dataclass(frozen=True)
class Sign:
    """Binary activations with the straight-through Hardtanh.

    Equations: forward and hard ``sign(a)``; surrogate ``hardtanh(a)``, with derivative 1 where ``|a| < 1`` and else 0.

    Source: Hubara, Courbariaux, Soudry, El-Yaniv & Bengio 2016, https://arxiv.org/abs/1602.02830
    """

    name: ClassVar[str] = "sign"
    biases: ClassVar[bool] = False
    bound: ClassVar[float | None] = None
    instead: ClassVar[bool] = True

    def forward(self, x: Values) -> Values:
        return sign(x)

    def surrogate(self, x: Values) -> Values:
        return hardtanh(x)

    def hard(self, x: Values) -> Values:
        return sign(x)


def _filters(x: Values) -> tuple[int, ...]:
    """The axes of one filter: all but the first."""
    return tuple(range(1, x.ndim))


@dataclass(frozen=True)
class Xnor:
    """Binary weights with one float scale for each filter.

    Equations: forward and hard ``mean|w| sign(w)``, the mean over a filter; surrogate ``clip(w, -1, 1)``.  First and
    last layer stay float (``skip``).

    Source: Rastegari, Ordonez, Redmon & Farhadi 2016, https://arxiv.org/abs/1603.05279
    """

    name: ClassVar[str] = "xnor"
    biases: ClassVar[bool] = False
    bound: ClassVar[float | None] = 1.0
    instead: ClassVar[bool] = False

    def forward(self, x: Values) -> Values:
        return self.hard(x)

    def surrogate(self, x: Values) -> Values:
        return x.clamp(-1, 1)

    def hard(self, x: Values) -> Values:
        return x.abs().mean(_filters(x), keepdim=True) * sign(x) if x.ndim > 1 else x.abs().mean() * sign(x)


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


WEIGHTS: tuple[type, ...] = (BinaryConnect, GdTanh, MdTanhS, BnnWaq, Xnor, Ternary, Uniform)
ACTIVATIONS: tuple[type, ...] = (Sign, UniformActivation)
