"""Binary quantizers: every value is one of two, with one scale for each filter in Xnor."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import hardtanh

from quantattack.nn.quantizers.base import Values, sign


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
