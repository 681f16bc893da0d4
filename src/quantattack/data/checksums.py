"""The bytes of tensors of any class, for checksums."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def bytes_of(name: str, value: Any) -> Iterator[bytes]:
    """Yield what identifies a named tensor: its name, dtype, shape and numbers; nothing for what holds no tensor.

    Tensors that are made of others, as torchao's are, give those and their settings; torch's quantized tensors give
    their integers, scales and zero points.

    Arguments:
        name: The tensor's name.
        value: A tensor, or a tuple or list of some.
    """
    if isinstance(value, tuple | list):
        for index, each in enumerate(value):
            yield from bytes_of(f"{name}.{index}", each)
    if not isinstance(value, Tensor):
        return
    yield f"{name}{value.dtype}{tuple(value.shape)}".encode()
    parts = _parts(value.detach())
    if parts is None:
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return
    settings, tensors = parts
    yield settings.encode()
    for key, tensor in tensors.items():
        yield from bytes_of(key, tensor)


def _parts(tensor: Tensor) -> tuple[str, dict[str, Tensor]] | None:
    """Return the settings and the tensors that a tensor is made of; None for an ordinary one."""
    if hasattr(tensor, "__tensor_flatten__"):
        names, settings = tensor.__tensor_flatten__()
        return repr(settings), {name: getattr(tensor, name) for name in names}
    if tensor.is_quantized:
        return str(tensor.qscheme()), {"integers": tensor.int_repr(), **_grid(tensor)}
    return None if tensor.layout == torch.strided else (str(tensor.layout), {"dense": tensor.to_dense()})


def _grid(tensor: Tensor) -> dict[str, Tensor]:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return {"grid": torch.tensor([tensor.q_scale(), float(tensor.q_zero_point())], dtype=torch.float64)}
    return {"scales": tensor.q_per_channel_scales(), "zeros": tensor.q_per_channel_zero_points()}
