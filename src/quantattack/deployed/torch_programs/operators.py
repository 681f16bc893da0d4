"""Operators of exported programs by name: which may run, and which have a straight-through stand-in."""

import operator
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from quantattack.deployed.rounding import clamp_through, round_through
from quantattack.errors import InputError

# Arithmetic on sizes, which are whole numbers where the batch is free.
_SIZES = frozenset(
    (
        *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pow"),
        *("eq", "ne", "lt", "le", "gt", "ge"),
        "getitem",
    )
)
_FACTORIES = ("arange", "full", "ones", "scalar_tensor", "zeros")
_TEXTS = ("approximate", "rounding_mode", "padding", "indexing")  # arguments that are words, and no file's name
_BATCH_NORM = "_native_batch_norm_legit"
_PRIVATE = (  # the private operators that exported networks have
    *("_softmax", "_log_softmax", "_safe_softmax", "_to_copy", "_unsafe_view", "_unsafe_index", "_reshape_alias"),
    *("_adaptive_avg_pool2d", "_scaled_dot_product_flash_attention_for_cpu", "_convolution", "_weight_norm"),
    *(_BATCH_NORM, f"{_BATCH_NORM}_no_training", f"{_BATCH_NORM}_functional"),
)
_FORBIDDEN = ("set", "resize", "resize_as", "from_file", "as_strided", "as_strided_scatter", "empty_like", "new_empty")
# Checks of dtypes and sizes, which compute nothing; the first would refuse a copy in double precision.
_CHECKED = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async")
CHECKS = (*_CHECKED, "sym_constrain_range_for_size", "sym_constrain_range")


@cache
def operator_of(target: str) -> Callable[..., Any]:
    """Return the operator with a name, such as "aten.conv2d.default".

    Raises:
        InputError: If torch has no such operator.
    """
    space, _, rest = target.partition(".")
    if space == "operator" and rest in _SIZES:
        found: Callable[..., Any] = getattr(operator, rest)
        return found
    if space == "quantized_decomposed":
        _register()
    packet = getattr(getattr(torch.ops, space, None), rest.partition(".")[0], None)
    overload = getattr(packet, rest.partition(".")[2], None)
    if not isinstance(overload, torch._ops.OpOverload):
        raise InputError(
            f"torch {torch.__version__} has no operator {target}; load the program with the torch that saved it"
        )
    return overload


def _register() -> None:
    """Have torch know the operators that quantize and dequantize."""
    if not hasattr(torch.ops.quantized_decomposed, "quantize_per_tensor"):
        import_module("torch.ao.quantization.fx._decomposed")


def check_operator(target: str) -> None:
    """Raise `InputError` unless an operator computes tensors from tensors and does nothing else.

    A file may name any operator that torch has, and some of them read and write files or memory.

    Raises:
        InputError: If the operator is of another kind, or torch has none of its name.
    """
    space, _, rest = target.partition(".")
    name = rest.partition(".")[0]
    if space == "operator" and name in _SIZES:
        return
    private = name.startswith("_") and name not in (*_PRIVATE, *CHECKS)
    if space not in ("aten", "quantized_decomposed") or private or name.rstrip("_") in _FORBIDDEN or "backward" in name:
        raise InputError(f"the program has the operator {target}, which is not one of those that are attacked here")
    if not _takes_tensors(operator_of(target)) and name not in (*_FACTORIES, *CHECKS):
        raise InputError(f"the program has the operator {target}, which does more than compute tensors from tensors")


def _takes_tensors(overload: Any) -> bool:
    arguments = overload._schema.arguments
    words = [argument.name for argument in arguments if "str" in str(argument.type)]
    return bool(arguments) and "Tensor" in str(arguments[0].type) and all(word in _TEXTS for word in words)


def run_operator(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator as the program has it."""
    return operator_of(target)(*args, **kwargs)


def run_through(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator or, where it has no derivative, its straight-through stand-in."""
    return _THROUGH.get(target, operator_of(target))(*args, **kwargs)


def quantize(values: Tensor, scale: Any, zero: Any, low: Any, high: Any, dtype: torch.dtype) -> Tensor:
    r"""Return the integers of values on a grid as floating-point numbers; the derivative is straight-through.

    .. math:: q = \mathrm{clamp}(\mathrm{round}(v \cdot (1 / s)) + z, \mathrm{low}, \mathrm{high})

    Arguments:
        values: The values, of any shape.
        scale: The grid's step s.
        zero: The integer z of 0.
        low: The smallest integer.
        high: The largest integer.
        dtype: The type in which the program keeps the integers, which a derivative cannot pass.
    """
    del dtype
    values = _wide(values)
    scale, zero, low, high = (_number(value) for value in (scale, zero, low, high))
    return clamp_through(round_through(values * (1.0 / scale)) + zero, float(low), float(high))


def dequantize(
    integers: Tensor, scale: Any, zero: Any, low: Any, high: Any, dtype: torch.dtype, out_dtype: Any = None
) -> Tensor:
    """Return the values of the integers of a grid: (q - z) s; the arguments are those of `quantize`."""
    del low, high, dtype, out_dtype
    values: Tensor = (_floating(integers) - _number(zero)) * _number(scale)
    return values


def quantize_channels(
    values: Tensor, scales: Tensor, zeros: Tensor, axis: int, low: int, high: int, dtype: torch.dtype
) -> Tensor:
    """Return the integers of values on a grid for each channel; otherwise as `quantize`.

    Arguments:
        values: The values, of any shape.
        scales: Each channel's step, with shape (channels,).
        zeros: Each channel's integer of 0, with shape (channels,).
        axis: Dimension of the channels.
        low: The smallest integer.
        high: The largest integer.
        dtype: The type in which the program keeps the integers.
    """
    del dtype
    values = _wide(values)
    steps, offsets = (_along(numbers, axis, values).to(values.dtype) for numbers in (scales, zeros))
    return clamp_through(round_through(values * (1.0 / steps)) + offsets, float(low), float(high))


def dequantize_channels(
    integers: Tensor,
    scales: Tensor,
    zeros: Tensor | None,
    axis: int,
    low: int,
    high: int,
    dtype: torch.dtype,
    out_dtype: Any = None,
) -> Tensor:
    """Return the values of the integers of a grid for each channel; the arguments are those of `quantize_channels`."""
    del low, high, dtype, out_dtype
    values = _floating(integers)
    if zeros is not None:
        values = values - _along(zeros, axis, values).to(values.dtype)
    return values * _along(scales, axis, values).to(values.dtype)


def quantize_rows(values: Tensor, scales: Tensor, zeros: Tensor, low: int, high: int, dtype: torch.dtype) -> Tensor:
    """Return the integers of values on a grid for each row of the last dimension; otherwise as `quantize`.

    Arguments:
        values: The values, with shape (..., d).
        scales: Each row's step, with shape (..., 1).
        zeros: Each row's integer of 0, with shape (..., 1).
        low: The smallest integer.
        high: The largest integer.
        dtype: The type in which the program keeps the integers.
    """
    del dtype
    return clamp_through(round_through(values * (1.0 / scales) + zeros), float(low), float(high))


def dequantize_rows(
    integers: Tensor, scales: Tensor, zeros: Tensor, low: int, high: int, dtype: torch.dtype, out_dtype: Any = None
) -> Tensor:
    """Return the values of the integers of a grid for each row; the arguments are those of `quantize_rows`."""
    del low, high, dtype
    values: Tensor = (_floating(integers) - zeros) * scales
    return values.to(out_dtype or torch.float32)


def _choose(name: str) -> Callable[..., Any]:
    """Return an operator that finds a grid from the values that it gets, through which no derivative passes."""

    def call(values: Tensor, *settings: Any, **named: Any) -> Any:
        return operator_of(name)(values.detach().float(), *settings, **named)

    return call


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _floating(integers: Tensor) -> Tensor:
    return integers if integers.is_floating_point() else integers.to(torch.float32)


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _along(numbers: Tensor, axis: int, values: Tensor) -> Tensor:
    shape = [1] * values.ndim
    shape[axis] = -1
    return numbers.reshape(shape)


# Scales that are found from what is shown: of a whole batch, so that an image's answer depends on the others, and of
# each row of it.
OF_BATCH = ("quantized_decomposed.choose_qparams.tensor", "quantized_decomposed.choose_qparams_symmetric.tensor")
_OF_ROWS = tuple(
    f"quantized_decomposed.{name}.default"
    for name in (
        "choose_qparams_per_token",
        "choose_qparams_per_token_asymmetric",
        "_choose_qparams_per_token_asymmetric_impl",
    )
)
_THROUGH: Mapping[str, Callable[..., Any]] = {
    **{f"quantized_decomposed.quantize_per_tensor.{kind}": quantize for kind in ("default", "tensor", "tensor2")},
    **{f"quantized_decomposed.dequantize_per_tensor.{kind}": dequantize for kind in ("default", "tensor", "tensor2")},
    "quantized_decomposed.quantize_per_channel.default": quantize_channels,
    "quantized_decomposed.dequantize_per_channel.default": dequantize_channels,
    "quantized_decomposed.quantize_per_token.default": quantize_rows,
    "quantized_decomposed.dequantize_per_token.default": dequantize_rows,
    **{name: _choose(name) for name in (*OF_BATCH, *_OF_ROWS)},
}
