"""Sums of products: convolutions and matrix products, of real numbers and of integers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Call, Part
from quantattack.deployed.onnx.operators.window import Window, padded, window_of

EXACT = 2.0**24  # integers up to here are exact in float32, and so is every partial sum of products below it
_MOST_PARTS = 64
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


def pieces(values: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """Return a tensor cut along an axis into pieces of these sizes.

    Arguments:
        values: Any tensor.
        sizes: Size of each piece.
        axis: Where to cut.
    """
    firsts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [values.narrow(axis, first, size) for first, size in zip(firsts, sizes, strict=True)]


def parts_of(weight: Tensor, reach: float) -> list[int] | None:
    """Return how to cut the inputs so that each part's sum of integers is exact in float32; none if nothing is.

    Arguments:
        weight: Integer weights with shape (outputs, inputs, ...).
        reach: Largest magnitude of an input.
    """
    sizes = weight.detach().double().abs().flatten(2).sum(2) if weight.ndim > 2 else weight.detach().double().abs()
    inputs = weight.shape[1]
    for count in range(1, min(inputs, _MOST_PARTS) + 1):
        cuts = [len(part) for part in torch.arange(inputs).tensor_split(count)]
        if max(float(part.sum(1).max()) for part in pieces(sizes, cuts, 1)) * reach < EXACT:
            return cuts
    return None


class IntegerProducts(nn.Module):
    """Integer sums of products plus an integer bias, exact, and then rounded to float32 as an int32 is.

    Where float32 would round within the sum, the inputs are cut into parts that do not, and the parts added in float64.

    Arguments:
        weight: Integer weights with shape (outputs, inputs, ...), their zero point subtracted.
        bias: Integer bias with shape (outputs), or none.
        reach: Largest magnitude of an input, its zero point subtracted.
        product: Maps inputs, weights and a bias or none to sums, the output channels in dimension 1 or last.
        axis: The inputs' dimension in x: 1, or -1.
        groups: How many groups the channels are in.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        reach: float,
        product: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        axis: int,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.product, self.axis = product, axis
        self.register_buffer("weight", weight.float())
        self.parts = parts_of(weight, reach)
        if groups > 1 and self.parts is not None and len(self.parts) > 1:
            self.parts = None  # a cut through all groups' inputs would be no slice: float64 does it
        whole = 0.0 if bias is None else float(bias.double().abs().max())
        most = float(weight.double().abs().flatten(1).sum(1).max()) * reach + whole
        self.simple = self.parts is not None and len(self.parts) == 1 and most < EXACT
        kind = torch.float32 if self.simple else torch.float64  # an int32 bias may have more bits than a float32
        self.register_buffer("bias", None if bias is None else bias.to(kind))

    def forward(self, x: Tensor) -> Tensor:
        if self.simple:
            return self.product(x, self.weight, self.bias)
        total = self._wide(x)
        if self.bias is not None:
            total = total + self.bias.double().reshape(-1, *[1] * (x.ndim - 2) if self.axis == 1 else ())
        return total.to(x.dtype)

    def _wide(self, x: Tensor) -> Tensor:
        if self.parts is None:
            return self.product(x.double(), self.weight.double(), None)
        cuts = zip(pieces(x, self.parts, self.axis), pieces(self.weight, self.parts, 1), strict=True)
        return torch.stack([self.product(piece, weight, None).double() for piece, weight in cuts]).sum(0)

    def extra_repr(self) -> str:
        return f"weight={tuple(self.weight.shape)}, parts={self.parts}"


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
