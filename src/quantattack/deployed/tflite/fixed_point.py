"""The fixed-point arithmetic of TFLite's own kernels, in 64-bit integers: a product with a 31-bit multiplier."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def multiplier(real: float) -> tuple[int, int]:
    r"""Return the integer q in :math:`[2^{30}, 2^{31})` and the exponent e of a real number :math:`q\,2^{e-31}`.

    Arguments:
        real: A positive number.
    """
    fraction, exponent = math.frexp(real)
    q = math.floor(fraction * 2**31 + 0.5)
    return (q // 2, exponent + 1) if q == 2**31 else (q, exponent)


def multipliers(reals: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the multiplier of each number: integers and exponents, int64 with shape (c); see `multiplier`."""
    pairs = [multiplier(real) for real in reals]
    return torch.tensor([q for q, _ in pairs]), torch.tensor([exponent for _, exponent in pairs])


def high_product(values: Tensor, q: Tensor | int, bits: int = 31) -> Tensor:
    r"""Return :math:`a q / 2^{\mathrm{bits}}`, half rounded away from zero.

    Arguments:
        values: int64 of any shape.
        q: The multiplier, or one that broadcasts to the values.
        bits: Bits of the multiplier's fraction.
    """
    product, half = values * q, 1 << (bits - 1)
    return torch.where(product >= 0, (product + half) >> bits, -((half - 1 - product) >> bits))


def shifted_right(values: Tensor, by: Tensor | int) -> Tensor:
    """Return integers divided by a power of two, half rounded away from zero.

    Arguments:
        values: int64 of any shape.
        by: The exponent, or one that broadcasts to the values.
    """
    mask = (torch.ones_like(values) << by) - 1
    threshold = (mask >> 1) + (values < 0)
    return (values >> by) + ((values & mask) > threshold)


def scaled(values: Tensor, q: Tensor | int, exponent: Tensor | int) -> Tensor:
    """Return integers times a multiplier as TFLite's kernels do: rounded twice, half away from zero each time.

    Arguments:
        values: int64 of any shape.
        q: The multiplier, or one that broadcasts to the values.
        exponent: Its exponent.
    """
    left, right = torch.as_tensor(exponent).clamp_min(0), (-torch.as_tensor(exponent)).clamp_min(0)
    return shifted_right(high_product(values << left, q), right)


def scaled_once(values: Tensor, q: Tensor, exponent: Tensor) -> Tensor:
    """Return integers times a multiplier, rounded once, half away from zero.

    Arguments:
        values: int64 of any shape.
        q: The multiplier, or one that broadcasts to the values.
        exponent: Its exponent, at most 30.
    """
    product, bits = values * q, 31 - exponent
    return product.sign() * ((product.abs() + (torch.ones_like(bits) << (bits - 1))) >> bits)


def scaled_upward(values: Tensor, q: int, exponent: int) -> Tensor:
    """Return `scaled`, the second time with half rounded up, as the vector code that joins two grids does."""
    high = high_product(values << max(exponent, 0), q)
    right = max(-exponent, 0)
    return (high + ((1 << right) >> 1)) >> right


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Return the multiplier of a mean: that of the scale, divided by the count with its remainder cut off.

    Arguments:
        real: Input's scale by output's scale.
        count: How many numbers are averaged.
    """
    q, exponent = multiplier(real)
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return (q << shift) // count, exponent - shift


def hard_swish(values: Tensor, scale: float, step: float) -> Tensor:
    r"""Return :math:`x \min(\max(x + 3, 0), 6) / 6` in 16-bit fixed point, as TFLite's kernels compute it.

    Arguments:
        values: Integers of the input, its zero point subtracted, int64.
        scale: The input's scale.
        step: The output's scale.
    """
    fine = _single(_single(1 / 128) * scale)
    (q_out, e_out), (q_unit, e_unit) = (multiplier(_single(fine / unit)) for unit in (step, _single(3 / 32768)))
    times = values * 128
    linear = _high16(times, _sixteen(q_out))
    gate = _saturated(times << (e_unit - 1)) if e_unit > 0 else times
    gate = _high16(gate, _sixteen(q_unit))
    if e_unit > 0:
        gate = _saturated(gate << 1)
    elif e_unit < 0:
        gate = shifted_right(gate, -e_unit)
    product = ((gate + (1 << 15)) >> 1) * linear
    product = torch.where(product >= 0, product >> 15, -((-product) >> 15))
    return shifted_right(product, -e_out) if e_out <= 0 else product << e_out


def _single(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float32))


def _sixteen(q: int) -> int:
    return 32767 if q > 2**31 - 1 - (1 << 15) else (q + (1 << 15)) >> 16


def _high16(values: Tensor, q: int) -> Tensor:
    return _saturated(high_product(values, q, 15))


def _saturated(values: Tensor) -> Tensor:
    return values.clamp(-(1 << 15), (1 << 15) - 1)
