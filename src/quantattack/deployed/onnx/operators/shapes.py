"""Operators that move numbers and change shapes, and those that shapes are computed with."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Part, applied
from quantattack.deployed.onnx.operators.sums import pieces
from quantattack.errors import InputError

MOST_NUMBERS = 1 << 30  # of one tensor that a shape asks for


def identity(x: Tensor, *_: Tensor | None) -> Tensor:
    """Return Identity, or Dropout at inference."""
    return x


def reshape(x: Tensor, shape: Tensor, zeros: bool = False, batch: int | None = None) -> Tensor:
    """Return Reshape.

    Arguments:
        x: Any tensor.
        shape: The shape; a 0 keeps the input's size unless zeros are meant, and one -1 takes what is left.
        zeros: Whether a 0 means 0.
        batch: How many rows the file takes, where that is fixed: a shape that begins with it takes any number of rows.
    """
    sizes = [int(size) for size in shape.tolist()]
    if batch is not None and sizes and x.ndim and sizes[0] == batch != x.shape[0]:
        sizes[0] = x.shape[0]
    kept = [x.shape[axis] if size == 0 and not zeros else size for axis, size in enumerate(sizes)]
    return x.reshape(kept)


def reshape_of(call: Call) -> Part:
    """Return Reshape."""
    return applied(reshape, call, zeros=bool(call.attribute("allowzero", 0)), batch=call.batch)


def flatten(x: Tensor, axis: int = 1) -> Tensor:
    """Return Flatten: two axes, the second from `axis` on."""
    rows = 1
    for size in x.shape[: axis if axis >= 0 else axis + x.ndim]:
        rows *= size
    return x.reshape(rows, -1)


def transpose(x: Tensor, perm: Sequence[int] | None = None) -> Tensor:
    """Return Transpose."""
    return x.permute(tuple(perm) if perm is not None else tuple(reversed(range(x.ndim))))


def squeeze(x: Tensor, axes: Tensor | Sequence[int] | None = None) -> Tensor:
    """Return Squeeze."""
    return x.squeeze() if axes is None else x.squeeze(tuple(_numbers(axes)))


def unsqueeze(x: Tensor, axes: Tensor | Sequence[int]) -> Tensor:
    """Return Unsqueeze."""
    numbers = _numbers(axes)
    for axis in sorted(number % (x.ndim + len(numbers)) for number in numbers):
        x = x.unsqueeze(axis)
    return x


def gather(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """Return Gather."""
    flat = indices.flatten().long()
    size = x.shape[axis]
    picked = x.index_select(axis, torch.where(flat < 0, flat + size, flat))
    axis %= x.ndim
    return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def cut(
    x: Tensor,
    starts: Tensor | Sequence[int],
    ends: Tensor | Sequence[int],
    axes: Tensor | Sequence[int] | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """Return Slice."""
    firsts, lasts = _numbers(starts), _numbers(ends)
    along = list(range(len(firsts))) if axes is None else _numbers(axes)
    strides = [1] * len(firsts) if steps is None else _numbers(steps)
    for axis, first, last, step in zip(along, firsts, lasts, strides, strict=True):
        places = list(range(x.shape[axis])[slice(first, last if last >= -x.shape[axis] else None, step)])
        if step == 1 or not places:
            x = x.narrow(axis, places[0] if places else 0, len(places))
        else:
            x = x.index_select(axis, torch.tensor(places, device=x.device))
    return x


def concat(*values: Tensor, axis: int) -> Tensor:
    """Return Concat."""
    return torch.cat(values, axis)


def expand(x: Tensor, shape: Tensor) -> Tensor:
    """Return Expand; a size of 1 keeps the input's."""
    like = torch.empty(1, device=x.device).expand(_checked(shape))
    return x.expand(torch.broadcast_tensors(x.detach(), like)[0].shape)  # type: ignore[no-untyped-call]


def tile(x: Tensor, repeats: Tensor) -> Tensor:
    """Return Tile."""
    return x.repeat(_numbers(repeats))


def shape_of(x: Tensor, start: int = 0, end: int | None = None) -> Tensor:
    """Return Shape."""
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


def size_of(x: Tensor) -> Tensor:
    """Return Size."""
    return torch.tensor(x.numel(), dtype=torch.int64)


def count(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Return Range."""
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def filled(shape: Tensor, value: Tensor) -> Tensor:
    """Return ConstantOfShape."""
    return value.reshape(()).expand(_checked(shape))


def pad(
    x: Tensor,
    pads: Tensor | Sequence[int],
    fill: Tensor | None = None,
    axes: Tensor | None = None,
    mode: str = "constant",
    value: float = 0.0,
) -> Tensor:
    """Return Pad."""
    numbers = _numbers(pads)
    where = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in _numbers(axes)]
    sides = dict(zip(where, zip(numbers[: len(where)], numbers[len(where) :], strict=True), strict=True))
    used = max((axis for axis, side in sides.items() if any(side)), default=-1)
    if used < 0:
        return x
    first = min(axis for axis, side in sides.items() if any(side))
    flat = [side for axis in range(x.ndim - 1, first - 1, -1) for side in sides.get(axis, (0, 0))]
    if mode == "constant":
        return functional.pad(x, flat, value=value if fill is None else float(fill))
    return functional.pad(x, flat, mode={"edge": "replicate", "reflect": "reflect", "wrap": "circular"}[mode])


def to_depth(x: Tensor, blocksize: int) -> Tensor:
    """Return SpaceToDepth."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


def to_space(x: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """Return DepthToSpace."""
    if mode == "CRD":
        return functional.pixel_shuffle(x, blocksize)
    n, c, h, w = x.shape
    blocks = x.reshape(n, blocksize, blocksize, c // blocksize**2, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * blocksize, w * blocksize)


def _numbers(values: Tensor | Sequence[int]) -> list[int]:
    given = values.flatten().tolist() if isinstance(values, Tensor) else values
    return [int(value) for value in given]


def _checked(shape: Tensor) -> list[int]:
    sizes = _numbers(shape)
    total = 1
    for size in sizes:
        total *= max(size, 1)
    if total > MOST_NUMBERS:
        raise InputError(f"the model asks for a tensor of shape {sizes}, more than {MOST_NUMBERS} numbers")
    return sizes


class Split(nn.Module):
    """Split into parts of given sizes, or into as many as there are outputs.

    Arguments:
        outputs: How many outputs the node has.
        axis: Where to cut.
        sizes: Sizes of the parts where they are attributes.
    """

    def __init__(self, outputs: int, axis: int, sizes: Sequence[int] | None) -> None:
        super().__init__()
        self.outputs, self.axis, self.sizes = outputs, axis, sizes

    def forward(self, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        given = self.sizes if sizes is None else _numbers(sizes)
        if given is None:  # equal parts, the last one smaller where it must be
            size = x.shape[self.axis]
            part = -(-size // self.outputs)
            given = [min(part, size - first) for first in range(0, size, part)]
        return tuple(pieces(x, given, self.axis))


def split(call: Call) -> Part:
    """Return Split."""
    sizes = call.attribute("split")
    module = Split(len(call.node.outputs), int(call.attribute("axis", 0)), None if sizes is None else list(sizes))
    return Part(module, call.node.inputs)


def filled_of(call: Call) -> Part:
    """Return ConstantOfShape."""
    value = call.attribute("value", torch.zeros(1))
    return Part(Filled(value), call.node.inputs)


class Filled(nn.Module):
    """ConstantOfShape.

    Arguments:
        value: The number.
    """

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, shape: Tensor) -> Tensor:
        return filled(shape, self.value)


def pad_of(call: Call) -> Part:
    """Return Pad, whose pads are attributes before opset 11."""
    mode = str(call.attribute("mode", "constant"))
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise call.refuse(f"pads by {mode!r}, which is not supported")
    if call.attribute("pads") is None:
        return applied(pad, call, mode=mode)
    return applied(pad, call, mode=mode, pads=call.attribute("pads"), value=float(call.attribute("value", 0.0)))
