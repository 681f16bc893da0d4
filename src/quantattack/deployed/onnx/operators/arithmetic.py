"""Arithmetic, comparisons and choices, of real numbers and of the integers that shapes are computed with."""

from functools import reduce

import torch
from torch import Tensor, nn

from quantattack.deployed.onnx.call import Call, Part
from quantattack.deployed.onnx.surrogate import above_through

_REAL = ("float", "double")
_WHOLE = {"int64": torch.int64, "int32": torch.int32, "bool": torch.bool}


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Return Div; integers are divided toward 0."""
    whole = not (a.is_floating_point() or b.is_floating_point())
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


def total(*values: Tensor) -> Tensor:
    """Return Sum."""
    return reduce(torch.add, values)


def mean(*values: Tensor) -> Tensor:
    """Return Mean of several tensors."""
    return total(*values) / len(values)


def largest(*values: Tensor) -> Tensor:
    """Return Max of several tensors."""
    return reduce(torch.maximum, values)


def smallest(*values: Tensor) -> Tensor:
    """Return Min of several tensors."""
    return reduce(torch.minimum, values)


def power(a: Tensor, b: Tensor) -> Tensor:
    """Return Pow, of the type of its base."""
    if b.numel() == 1 and not b.requires_grad:
        return torch.pow(a, b.item()).to(a.dtype)
    return torch.pow(a, b).to(a.dtype)


def greater(a: Tensor, b: Tensor) -> Tensor:
    """Return Greater, with a surrogate derivative for real numbers."""
    return _above(a > b, a, b)


def greater_or_equal(a: Tensor, b: Tensor) -> Tensor:
    """Return GreaterOrEqual, with a surrogate derivative for real numbers."""
    return _above(a >= b, a, b)


def less(a: Tensor, b: Tensor) -> Tensor:
    """Return Less, with a surrogate derivative for real numbers."""
    return _above(a < b, b, a)


def less_or_equal(a: Tensor, b: Tensor) -> Tensor:
    """Return LessOrEqual, with a surrogate derivative for real numbers."""
    return _above(a <= b, b, a)


def _above(truth: Tensor, larger: Tensor, smaller: Tensor) -> Tensor:
    """The truth as it is, or as 0 and 1 with a derivative where real numbers that have one are compared."""
    if torch.is_grad_enabled() and (larger.requires_grad or smaller.requires_grad):
        return above_through(truth, larger - smaller)
    return truth


def both(a: Tensor, b: Tensor) -> Tensor:
    """Return And."""
    return a.bool() & b.bool()


def either(a: Tensor, b: Tensor) -> Tensor:
    """Return Or."""
    return a.bool() | b.bool()


def differ(a: Tensor, b: Tensor) -> Tensor:
    """Return Xor."""
    return a.bool() ^ b.bool()


def opposite(a: Tensor) -> Tensor:
    """Return Not."""
    return ~a.bool()


def choose(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return Where; a choice between constants takes the derivative of its condition's surrogate.

    A choice between computed tensors, such as a ReLU written so, has the derivative of what it chooses.
    """
    chosen = torch.where(condition.bool(), a, b)
    if condition.requires_grad and not (a.requires_grad or b.requires_grad):
        return chosen + (condition - condition.detach()) * (a - b)
    return chosen


class Cast(nn.Module):
    """Cast between real numbers, the integers of shapes, and truth; real numbers take the dtype of the module.

    Arguments:
        kind: The element type to cast to.
    """

    like: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("like", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        if self.kind in _REAL:
            return x.to(self.like.dtype)
        return x.detach().to(_WHOLE[self.kind])


def cast(call: Call) -> Part:
    """Return Cast."""
    from quantattack.deployed.onnx.graph import kind_name

    kind = kind_name(int(call.attribute("to", 0)))
    if kind not in (*_REAL, *_WHOLE):
        raise call.refuse(f"casts to {kind}, which is not supported")
    return Part(Cast(kind), (call.name(0),))
