"""Matrix products with weights that are packed in blocks, several to a byte."""

import torch
from torch import Tensor

from quantattack.deployed.onnx.call import Apply, Call, Part


def unpack(packed: Tensor, bits: int) -> Tensor:
    """Return the numbers in each byte, the lowest bits first, along the last axis.

    Arguments:
        packed: Bytes as real numbers, of any shape.
        bits: How many bits each number has: 2, 4 or 8.
    """
    shifts = torch.arange(0, 8, bits, dtype=torch.int64)
    numbers: Tensor = (packed.long()[..., None] >> shifts) & (2**bits - 1)
    return numbers.flatten(-2).float()


def product_with(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the product of rows with weights of shape (outputs, inputs), plus a bias."""
    return torch.matmul(x, weight.T) if bias is None else torch.matmul(x, weight.T) + bias


def blockwise_matrix_product(call: Call) -> Part:
    """Return MatMulNBits, its weights as real numbers, as the runtime multiplies them."""
    sizes = [int(call.attribute(name, 0)) for name in ("N", "K", "bits", "block_size")]
    outputs, inputs, bits, block = sizes
    if call.name(4) or bits not in (2, 4, 8) or min(sizes) < 1:
        raise call.refuse("packs its weights in a way that is not supported")
    count = -(-inputs // block)
    levels = unpack(call.required(1).reshape(outputs, count, -1), bits)[..., :block]
    scale = call.required(2).float().reshape(outputs, count, 1)
    weight = ((levels - _zeros(call, (outputs, count), bits)) * scale).flatten(1)[:, :inputs]
    return Part(Product(weight, call.constant(5)), (call.name(0),))


def _zeros(call: Call, shape: tuple[int, int], bits: int) -> Tensor:
    """The zero point of each block: half of the range, real numbers, or packed as the weights are."""
    zeros = call.constant(3)
    if zeros is None:
        return torch.full((1, 1, 1), 2.0 ** (bits - 1))
    if call.kinds.get(call.name(3)) == "uint8":
        zeros = unpack(zeros.reshape(shape[0], -1), bits)[:, : shape[1]]
    return zeros.reshape(*shape, 1)


class Product(Apply):
    """A matrix product with a constant weight.

    Arguments:
        weight: Weights with shape (outputs, inputs).
        bias: One number for each output, or none.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(product_with)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, *tensors: Tensor | None) -> Tensor:
        product: Tensor = self.function(tensors[0], self.weight, self.bias)
        return product
