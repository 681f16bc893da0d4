"""Sums of products: convolutions and matrix products."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Part
from quantattack.deployed.onnx.operators.window import Window, padded, window_of

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, window: Window, groups: int) -> Tensor:
    """Return the convolution of x, padded with zeros.

    Arguments:
        x: Inputs with shape (n, c, ...).
        weight: Weights with shape (k, c / groups, ...).
        bias: One number for each output channel, or none.
        window: Where the windows lie.
        groups: How many groups the channels are in.
    """
    values, pads = padded(x, window.padding(x.shape[2:]))
    convolution = _CONVOLUTIONS[len(window.kernel)]
    return convolution(values, weight, bias, window.strides, pads, window.dilations, groups)


class Convolve(nn.Module):
    """A convolution, as a callable that copies and pickles.

    Arguments:
        window: Where the windows lie.
        groups: How many groups the channels are in.
    """

    def __init__(self, window: Window, groups: int) -> None:
        super().__init__()
        self.window, self.groups = window, groups

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(x, weight, bias, self.window, self.groups)

    def transposed(self, grad: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return the derivative with respect to inputs of this shape."""
        padding = self.window.padding(shape[2:])
        firsts, lasts = zip(*padding, strict=True)
        given = grad.new_empty(1).expand(shape)  # of the inputs, the shape alone matters
        if firsts != lasts:  # the padding is put in front of the convolution, and cut off again
            wide = [size + sum(pair) for size, pair in zip(shape[2:], padding, strict=True)]
            given = grad.new_empty(1).expand(*shape[:2], *wide)
        pads, zeros = (list(firsts) if firsts == lasts else [0] * len(padding)), [0] * len(padding)
        place = self.window.strides, pads, self.window.dilations, False, zeros, self.groups, (True, False, False)
        result: Tensor = torch.ops.aten.convolution_backward(grad, given, weight, None, *place)[0]
        if firsts != lasts:
            for axis, (first, size) in enumerate(zip(firsts, shape[2:], strict=True), 2):
                result = result.narrow(axis, first, size)
        return result


class RowProducts(nn.Module):
    """Products of rows with weights that have the outputs in their first dimension."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(x, weight, bias)

    def transposed(self, grad: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return the derivative with respect to inputs of this shape."""
        return torch.matmul(grad, weight).reshape(shape)


class RealConvolution(nn.Module):
    """Conv, and FusedConv with what it fuses: an activation, and a tensor that is added before it.

    Arguments:
        window: Where the windows lie.
        groups: How many groups the channels are in.
        activation: What follows, or none.
    """

    def __init__(self, window: Window, groups: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.window, self.groups, self.activation = window, groups, activation

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, added: Tensor | None = None) -> Tensor:
        sums = convolve(x, weight, bias, self.window, self.groups)
        if added is not None:
            sums = sums + added
        return sums if self.activation is None else self.activation(sums)


def convolution(call: Call, activation: nn.Module | None = None) -> Part:
    """Return Conv or FusedConv; the weights may be computed.

    Arguments:
        call: The node.
        activation: What follows in a fused one.
    """
    weight = call.constants.get(call.name(1))
    kernel = call.attribute("kernel_shape") or (weight.shape[2:] if weight is not None else None)
    if kernel is None:
        raise call.refuse("states no kernel_shape and computes its weights")
    groups = int(call.attribute("group", 1))
    return Part(RealConvolution(window_of(call, tuple(kernel)), groups, activation), call.node.inputs)


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product of ONNX's MatMul."""
    return torch.matmul(a, b)


def einsum(*factors: Tensor, equation: str) -> Tensor:
    """Return Einsum."""
    product: Tensor = torch.einsum(equation, *factors)
    return product


def fused_matrix_product(
    a: Tensor,
    b: Tensor,
    alpha: float = 1.0,
    flips: tuple[bool, bool] = (False, False),
) -> Tensor:
    """Return FusedMatMul: ``alpha A B`` with the last two axes of either flipped.

    Arguments:
        a: Left factor.
        b: Right factor.
        alpha: Factor of the product.
        flips: Whether to flip A, and B.
    """
    left, right = (value.mT if flip and value.ndim > 1 else value for value, flip in zip((a, b), flips, strict=True))
    product = torch.matmul(left, right)
    return product if alpha == 1 else alpha * product


class Gemm(nn.Module):
    """Gemm, and FusedGemm with the activation that it fuses: ``activation(alpha A B + beta C)``.

    Arguments:
        alpha: Factor of the product.
        beta: Factor of C.
        flips: Whether to flip A, and B.
        activation: What follows, or none.
    """

    def __init__(
        self, alpha: float, beta: float, flips: tuple[bool, bool], activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.flips, self.activation = alpha, beta, flips, activation

    def forward(self, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = fused_matrix_product(a, b, self.alpha, self.flips)
        if c is not None:
            product = product + (c if self.beta == 1 else self.beta * c)
        return product if self.activation is None else self.activation(product)


def gemm(call: Call, activation: nn.Module | None = None) -> Part:
    """Return Gemm or FusedGemm.

    Arguments:
        call: The node.
        activation: What follows in a fused one.
    """
    flips = bool(call.attribute("transA", 0)), bool(call.attribute("transB", 0))
    module = Gemm(float(call.attribute("alpha", 1.0)), float(call.attribute("beta", 1.0)), flips, activation)
    return Part(module, call.node.inputs)
