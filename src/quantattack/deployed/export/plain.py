"""A network's final form in standard operators alone: no surrogate, no parametrization, nothing of the training."""

import torch
from torch import nn

from quantattack.nn.convert import Swapped, freeze, projections
from quantattack.nn.quantizers import BinaryConnect, BnnWaq, GdTanh, MdTanhS, Quantizer, Sign, UniformActivation, Values

_SIGNS = (Sign, BnnWaq, MdTanhS, GdTanh, BinaryConnect)
_ABOVE_ZERO = 1e-30  # far below any activation but 0, and no denormal


class PlainSign(nn.Module):
    """The sign with ``sign(0) = +1``, as the operators Clip, Add and Sign: ``sign(clip(x, -1, 1) + 1e-30)``.

    The clip changes no sign.  In 8 bits it narrows the range, so that fewer values near 0 are rounded to 0, and its
    derivative is that of the usual surrogate.  A comparison would do too, but has no derivative.
    """

    def forward(self, x: Values) -> Values:
        return torch.sign(x.clamp(-1, 1) + _ABOVE_ZERO)


class PlainUniform(nn.Module):
    """Activations on a uniform grid, as the operators Clip, Div, Round and Mul: ``s round(clip(a, 0, high) / s)``.

    Arguments:
        quantizer: States the grid.

    """

    def __init__(self, quantizer: UniformActivation) -> None:
        super().__init__()
        self.high, self.scale = quantizer.high, quantizer.high / float(2**quantizer.bits - 1)

    def forward(self, x: Values) -> Values:
        return torch.round(x.clamp(0, self.high) / self.scale) * self.scale


class PlainHard(nn.Module):
    """The final value of any other quantizer, in the operators that it is written in.

    Arguments:
        quantizer: The quantizer.

    """

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, x: Values) -> Values:
        return self.quantizer.hard(x)


def plain_network(model: nn.Module) -> nn.Module:
    """Return a copy of a network in float32 on the CPU, frozen, with activation quantizers in standard operators.

    Arguments:
        model: The network; it maps images in [0, 1] to logits.

    """
    network = freeze(model).cpu().float()
    for name, projection in list(projections(network)):
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, _plain(projection.current()))
    return network.requires_grad_(False)


def _plain(quantizer: Quantizer) -> nn.Module:
    if isinstance(quantizer, Swapped):
        return _plain(quantizer.quantizer)
    if isinstance(quantizer, _SIGNS):
        return PlainSign()
    return PlainUniform(quantizer) if isinstance(quantizer, UniformActivation) else PlainHard(quantizer)
