"""Tensors packed without loss: few levels into few bits each, a binary weight into one."""

from collections.abc import Mapping

import torch
from torch import Tensor

from quantattack.errors import InputError

BITS = (1, 2, 4, 8)
INDEX, LEVELS = ".index", ".levels"


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict in which every float tensor of few levels is an index and a table of levels.

    Arguments:
        state: Tensors by name; a tensor with more levels than save space stays as it is.

    """
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        table = _levels(tensor) if tensor.is_floating_point() and tensor.numel() > 8 else None
        if table is None:
            packed[name] = _halved(tensor).contiguous()
        else:
            packed[name + LEVELS], indices = table
            packed[name + INDEX] = to_bits(indices, _bits(packed[name + LEVELS].shape[-1]))
    return packed


def unpack(packed: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Return the state dict that was packed.

    Arguments:
        packed: What ``pack`` returned.
        shapes: Shape of every tensor by its name.

    Raises:
        InputError: If a tensor does not have the size that its shape asks for.

    """
    state = {name: tensor for name, tensor in packed.items() if not name.endswith((INDEX, LEVELS))}
    for name in (key[: -len(INDEX)] for key in packed if key.endswith(INDEX)):
        if name not in shapes or name + LEVELS not in packed:
            raise InputError(f"the checkpoint does not fit its architecture at {name}; take another file")
        state[name] = _restore(packed[name + INDEX], packed[name + LEVELS], shapes[name])
    return state


def levels_of(tensor: Tensor) -> Tensor | None:
    """Return the levels of a tensor, a row for each filter where they differ; None for float.

    It has levels where at least two entries share each, or where all entries lie on a symmetric grid of 8 bits or less.

    Arguments:
        tensor: Of any shape but a single number.

    """
    if _on_grid(tensor):
        return tensor.unique()  # type: ignore[no-untyped-call, no-any-return]
    tables = ((_shared(tensor), tensor.numel()), (_by_filter(tensor), tensor[0].numel()))
    worthwhile = [table[0] for table, entries in tables if table and 2 * table[0].shape[-1] <= entries]
    return min(worthwhile, key=lambda levels: levels.shape[-1], default=None)


def _on_grid(tensor: Tensor, slack: float = 1e-3) -> bool:
    """Whether the entries are multiples of the largest one over 1, 3, 7, ... or 127."""
    if tensor.numel() < 16:
        return False
    unit = tensor.double() / tensor.abs().max().clamp(min=torch.finfo(tensor.dtype).tiny)
    sizes = (unit * (2**bits - 1) for bits in range(1, 8))
    return any(bool(((size - size.round()).abs() < slack).all()) for size in sizes)


def to_bits(indices: Tensor, bits: int) -> Tensor:
    """Pack integers below ``2**bits`` into bytes, the first in the lowest bits."""
    per_byte = 8 // bits
    flat = torch.nn.functional.pad(indices.flatten().to(torch.uint8), (0, -indices.numel() % per_byte))
    shifts = torch.arange(per_byte, dtype=torch.uint8) * bits
    placed = torch.bitwise_left_shift(flat.view(-1, per_byte), shifts)
    return placed.sum(1, dtype=torch.int64).to(torch.uint8)


def from_bits(data: Tensor, bits: int, count: int) -> Tensor:
    """Return the first ``count`` integers that ``to_bits`` packed."""
    shifts = torch.arange(8 // bits, dtype=torch.uint8) * bits
    values: Tensor = torch.bitwise_right_shift(data[:, None], shifts) & (2**bits - 1)
    return values.flatten()[:count].long()


def _halved(tensor: Tensor) -> Tensor:
    """The tensor in half precision where that loses nothing."""
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


def _levels(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """The cheapest table of levels with each entry's index; None where the tensor itself is cheaper."""
    tables = [table for table in (_shared(tensor), _by_filter(tensor)) if table is not None]
    best = min(tables, key=_cost, default=None)
    return best if best and _cost(best) < tensor.numel() * tensor.element_size() else None


def _cost(table: tuple[Tensor, Tensor]) -> int:
    levels, indices = table
    return levels.numel() * levels.element_size() + indices.numel() * _bits(levels.shape[-1]) // 8


def _shared(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """One table for the whole tensor."""
    levels, indices = torch.unique(tensor, return_inverse=True)
    return (levels, indices) if len(levels) <= 256 else None


def _by_filter(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """Two levels for each filter."""
    if tensor.ndim < 2:
        return None
    rows = tensor.flatten(1)
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    if bool(((rows != low) & (rows != high)).any()):
        return None
    return torch.cat([low, high], 1), (rows == high).view(tensor.shape)


def _bits(levels: int) -> int:
    return next(bits for bits in BITS if levels <= 2**bits)


def _restore(data: Tensor, levels: Tensor, shape: torch.Size) -> Tensor:
    bits = _bits(levels.shape[-1])
    if data.numel() != -(-shape.numel() * bits // 8) or (levels.ndim == 2 and levels.shape[0] != shape[0]):
        raise InputError("a packed tensor does not have the size of its shape; take another file")
    indices = from_bits(data, bits, shape.numel())
    if int(indices.max()) >= levels.shape[-1]:
        raise InputError("a packed tensor points outside its levels; take another file")
    if levels.ndim == 1:
        return levels[indices].view(shape)
    return levels.gather(1, indices.view(len(levels), -1)).view(shape)
