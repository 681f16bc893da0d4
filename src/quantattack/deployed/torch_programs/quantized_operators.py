"""What torch's quantized operators compute, on grids with a derivative."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from quantattack.deployed.torch_programs.grids import Grid, grid_of, integers, is_placed, placed, quantized, rounded
from quantattack.errors import InputError


def quantize(values: Tensor, scale: Any, zero_point: Any, dtype: torch.dtype) -> Tensor:
    """`torch.quantize_per_tensor`."""
    return quantized(values, grid_of(scale, zero_point, dtype))


def dequantize(values: Tensor) -> Tensor:
    """`Tensor.dequantize`."""
    return values.view_as(values)


def _convolution(values: Tensor, packed: Any, scale: Any, zero: Any, negative: bool = True) -> Tensor:
    """A convolution, or a transposed one, of integers, with ReLU unless negative sums stay."""
    weight, bias = packed.unpack()
    centred, grid = integers(values)
    flat = weight.ndim - values.ndim  # a 1-D convolution is kept as a 2-D one
    images = centred.unsqueeze(-2) if flat else centred
    settings = (packed.stride(), packed.padding(), packed.dilation(), packed.groups())
    if packed.transpose():
        name, order = (
            f"conv_transpose{weight.ndim - 2}d",
            (settings[0], settings[1], packed.output_padding(), settings[3]),
        )
        sums = getattr(functional, name)(images, _integers(weight, centred), None, *order, settings[2])
    else:
        sums = getattr(functional, f"conv{weight.ndim - 2}d")(images, _integers(weight, centred), None, *settings)
    return _requantized(sums.squeeze(-2) if flat else sums, weight, bias, grid, grid_of(scale, zero), 1, negative)


def _linear(values: Tensor, packed: Any, scale: Any, zero: Any, negative: bool = True) -> Tensor:
    weight, bias = packed.unpack()
    centred, grid = integers(values)
    sums = functional.linear(centred, _integers(weight, centred))
    return _requantized(sums, weight, bias, grid, grid_of(scale, zero), sums.ndim - 1, negative)


def _requantized(
    sums: Tensor, weight: Tensor, bias: Tensor | None, given: Grid, grid: Grid, axis: int, negative: bool
) -> Tensor:
    r"""Return sums of products on the output's grid: :math:`(\mathrm{acc} + b / (s_x s_w)) \cdot (s_x s_w / s_y)`."""
    steps = _scales(weight).float() * given.scale
    shape = [1] * sums.ndim
    shape[axis] = -1
    if bias is not None:
        sums = sums + (bias.detach() / steps).reshape(shape).to(sums)
    sums = sums * (steps / grid.scale).reshape(shape).to(sums)
    return rounded(sums if negative else sums.clamp_min(0), grid)


def _scales(weight: Tensor) -> Tensor:
    if weight.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return torch.tensor([weight.q_scale()])
    return weight.q_per_channel_scales()


def _integers(weight: Tensor, like: Tensor) -> Tensor:
    """Return a packed weight's integers less their zero, in the dtype of the inputs."""
    numbers = weight.int_repr()
    if weight.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return (numbers.int() - weight.q_zero_point()).to(like)
    shape = [1] * weight.ndim
    shape[weight.q_per_channel_axis()] = -1
    return (numbers.int() - weight.q_per_channel_zero_points().int().reshape(shape)).to(like)


def _dynamic_linear(values: Tensor, packed: Any, reduce_range: bool = False, *, negative: bool = True) -> Tensor:
    """A linear layer whose input's grid is that of what it is shown; the outputs are floating point."""
    weight, bias = packed.unpack()
    scale, zero = torch._choose_qparams_per_tensor(values.detach().float(), reduce_range)
    centred, grid = integers(quantized(values, grid_of(scale, zero)))
    sums = functional.linear(centred, _integers(weight, centred))
    sums = sums * (_scales(weight).float() * grid.scale).to(sums)
    sums = sums if bias is None else sums + bias.detach().to(sums)
    return sums if negative else sums.relu()


_GRID = ("scale", "output_scale", "zero_point", "output_zero_point")  # how torch names an output's grid


def _of(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a quantized operator of a function of values, whose last two arguments are its output's scale and zero."""

    def call(*args: Any, **kwargs: Any) -> Tensor:
        named = [kwargs.pop(key) for key in _GRID if key in kwargs]
        given, grid = (args, named) if named else (args[:-2], args[-2:])
        return quantized(function(*given, **kwargs), grid_of(*grid))

    return call


def _relu(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *args: function(*args).clamp_min(0)


def _concatenated(parts: Any, dim: int, scale: Any = None, zero_point: Any = None) -> Tensor:
    grid = integers(parts[0])[1] if scale is None else grid_of(scale, zero_point)
    return quantized(torch.cat(list(parts), dim), grid)


def _times(values: Tensor, factor: float | int) -> Tensor:
    centred, grid = integers(values)
    if not factor > 0:
        raise InputError(
            f"the model multiplies a quantized tensor by {factor:g}, which has no twin here; use 1 or a tensor"
        )
    return placed(centred, Grid(grid.scale * factor, grid.zero, grid.low, grid.high))


def _plus(values: Tensor, offset: float | int) -> Tensor:
    """Add a number by moving the grid's zero, as torch does where it stays among the integers."""
    centred, grid = integers(values)
    steps = round(offset / grid.scale)
    if not grid.low <= grid.zero - steps <= grid.high:
        raise InputError(f"the model adds {offset:g} to a quantized tensor beyond its range, which has no twin here")
    return placed(centred + steps, Grid(grid.scale, grid.zero - steps, grid.low, grid.high))


def _either(of_tensors: Callable[..., Tensor], of_number: Callable[..., Tensor], relu: bool = False) -> Any:
    """Return an operator of two tensors or of a tensor and a number, in either order."""

    def call(one: Any, other: Any, *grid: Any, **named: Any) -> Tensor:
        if is_placed(one) and is_placed(other):
            return of_tensors(one, other, *grid, **named)
        found = of_number(one, other) if is_placed(one) else of_number(other, one)
        centred, where = integers(found)
        return placed(centred.clamp_min(0), where) if relu else found

    return call


def _leaky(values: Tensor, negative_slope: float, inplace: bool = False) -> Tensor:
    del inplace
    return functional.leaky_relu(values, negative_slope)


def _elu(values: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    negative = scale * alpha * torch.expm1(input_scale * values.clamp_max(0))
    return torch.where(values > 0, scale * values, negative)


def _quantized_elu(
    values: Tensor, output_scale: Any, output_zero_point: Any, *settings: float, **named: float
) -> Tensor:
    return quantized(_elu(values, *settings, **named), grid_of(output_scale, output_zero_point))


def _normalized(values: Tensor, weight: Any, bias: Any, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    center, spread = mean.detach().to(values), var.detach().to(values)
    return functional.batch_norm(values, center, spread, _as(weight, values), _as(bias, values), eps=eps)


def _group_norm(values: Tensor, groups: int, weight: Any, bias: Any, eps: float) -> Tensor:
    return functional.group_norm(values, groups, _as(weight, values), _as(bias, values), eps)


def _layer_norm(values: Tensor, shape: Any, weight: Any, bias: Any, eps: float) -> Tensor:
    return functional.layer_norm(values, list(shape), _as(weight, values), _as(bias, values), eps)


def _instance_norm(values: Tensor, weight: Any, bias: Any, eps: float) -> Tensor:
    return functional.instance_norm(values, None, None, _as(weight, values), _as(bias, values), True, 0.0, eps)


def _as(numbers: Tensor | None, values: Tensor) -> Tensor | None:
    return None if numbers is None else numbers.detach().to(values)


def _convolution_sum(
    values: Tensor, added: Tensor, packed: Any, scale: Any, zero: Any, negative: bool = True
) -> Tensor:
    """A convolution to which another tensor is added before the sum is rounded."""
    weight, bias = packed.unpack()
    centred, grid = integers(values)
    settings = (packed.stride(), packed.padding(), packed.dilation(), packed.groups())
    sums = functional.conv2d(centred, _integers(weight, centred), None, *settings)
    sums = sums * (_scales(weight).float() * grid.scale).reshape(-1, 1, 1).to(sums) + added
    sums = sums if bias is None else sums + bias.detach().reshape(-1, 1, 1).to(sums)
    return quantized(sums if negative else sums.clamp_min(0), grid_of(scale, zero))


def _relu6(values: Tensor, inplace: bool = False) -> Tensor:
    del inplace
    return quantized(values.clamp(0, 6), integers(values)[1])


# Functions that move or select integers or clamp them at 0; that clamp them elsewhere; that average and round them; and
# that put what they compute on one grid.
_LAYOUTS = (
    "flatten",
    "unflatten",
    "view",
    "reshape",
    "permute",
    "transpose",
    "squeeze",
    "unsqueeze",
    "contiguous",
    "t",
)
_PARTS = ("__getitem__", "chunk", "split", "narrow", "select", "expand", "repeat", "clone", "dropout", "upsample")
_POOLS = ("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "pixel_shuffle", "channel_shuffle")
MOVES = ("relu", "relu_", *_LAYOUTS, *_PARTS, *_POOLS)
CLAMPS = ("relu6", "hardtanh", "clamp", "clamp_", "threshold")
AVERAGES = ("mean", *(f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)))
FIXED = {
    "sigmoid": Grid(1 / 256, 0, 0, 255),
    "hardsigmoid": Grid(1 / 256, 0, 0, 255),
    "tanh": Grid(2 / 256, 128, 0, 255),
}

OPERATORS: Mapping[str, Callable[..., Any]] = {
    "quantize_per_tensor": quantize,
    "dequantize": dequantize,
    "property is_quantized": is_placed,
    "q_scale": lambda values: integers(values)[1].scale,
    "q_zero_point": lambda values: integers(values)[1].zero,
    "cat": lambda parts, dim=0: _concatenated(parts, dim),
    "quantized.cat": _concatenated,
    **{f"quantized.conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"quantized.conv_transpose{n}d": _convolution for n in (1, 2, 3)},
    **{f"quantized.conv{n}d_relu": partial(_convolution, negative=False) for n in (1, 2, 3)},
    "quantized.conv2d_add": _convolution_sum,
    "quantized.conv2d_add_relu": partial(_convolution_sum, negative=False),
    "quantized.relu6": _relu6,
    "quantized.linear": _linear,
    "quantized.linear_relu": partial(_linear, negative=False),
    "quantized.linear_dynamic": _dynamic_linear,
    "quantized.linear_relu_dynamic": partial(_dynamic_linear, negative=False),
    "quantized.add": _either(_of(torch.add), _plus),
    "quantized.add_relu": _either(_of(_relu(torch.add)), _plus, relu=True),
    "quantized.mul": _either(_of(torch.mul), _times),
    "quantized.mul_relu": _either(_of(_relu(torch.mul)), _times, relu=True),
    "quantized.matmul": _of(torch.matmul),
    "quantized.mul_scalar": _times,
    "quantized.add_scalar": _plus,
    "quantized.leaky_relu": _of(_leaky),
    "quantized.hardswish": _of(functional.hardswish),
    "quantized.sigmoid": _of(torch.sigmoid),
    "quantized.softmax": _of(torch.softmax),
    "quantized.prelu": _of(lambda values, weight: functional.prelu(values, weight.detach().to(values))),
    "quantized.elu": _quantized_elu,
    "quantized.batch_norm2d": _of(_normalized),
    "quantized.batch_norm2d_relu": _of(_relu(_normalized)),
    "quantized.layer_norm": _of(_layer_norm),
    "quantized.group_norm": _of(_group_norm),
    "quantized.instance_norm": _of(_instance_norm),
}
