"""The softmax and its logarithm, of float tensors and of levels: a table of exponentials and float32 sums."""

import torch
from torch import Tensor, nn

from quantattack.deployed.tflite.call import Call
from quantattack.deployed.tflite.grid import Grid, settled


class FloatSoftmax(nn.Module):
    """The softmax of float tensors, or its logarithm.

    Arguments:
        beta: What the inputs are multiplied by.
        logarithm: Whether the logarithm is returned.
    """

    def __init__(self, beta: float, logarithm: bool) -> None:
        super().__init__()
        self.beta, self.logarithm = beta, logarithm

    def forward(self, values: Tensor) -> Tensor:
        return torch.log_softmax(self.beta * values, -1) if self.logarithm else torch.softmax(self.beta * values, -1)


class Softmax(nn.Module):
    r"""The softmax of levels, or its logarithm, rounded half to even onto the output's grid.

    Where :math:`256\,p` exceeds 255, an 8-bit output is at its end, and the derivative is 0.

    Arguments:
        taken: The input's grid.
        given: The output's grid.
        beta: What the inputs are multiplied by.
        logarithm: Whether the logarithm is returned.
    """

    table: Tensor
    one: Tensor

    def __init__(self, taken: Grid, given: Grid, beta: float, logarithm: bool) -> None:
        super().__init__()
        self.taken, self.given, self.beta, self.logarithm = taken, given, beta, logarithm
        single = torch.tensor(taken.scale) * beta
        below = -single * torch.arange(256, dtype=torch.float32)  # the product in float32, as the table's maker has it
        self.register_buffer("table", below.double().exp().float())
        self.register_buffer("one", torch.ones(()))

    def forward(self, levels: Tensor) -> Tensor:
        real = levels * (self.taken.scale * self.beta)
        smooth = torch.log_softmax(real, -1) if self.logarithm else torch.softmax(real, -1)
        with torch.no_grad():
            found = self._log_levels(levels) if self.logarithm else self._levels(levels)
        smooth = smooth / self.given.scale
        return settled(smooth, self.one, smooth.detach(), found, self.given)

    def _levels(self, levels: Tensor) -> Tensor:
        terms, total = self._terms(levels)
        return (terms * (1 / (total * self.given.scale))).round()

    def _log_levels(self, levels: Tensor) -> Tensor:
        _, total = self._terms(levels)
        largest = levels.amax(-1, keepdim=True).float()
        ratio = torch.tensor(self.taken.scale) / torch.tensor(self.given.scale)
        offset = (largest * self.taken.scale + total.log()) / self.given.scale
        return (levels.float() * ratio - offset).round()

    def _terms(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the exponentials, and their sum in the order in which the kernel adds them."""
        below = (levels.amax(-1, keepdim=True) - levels).long()
        terms = self.table.float()[below]
        total = torch.zeros_like(terms[..., :1])
        for index in range(terms.shape[-1]):
            total = total + terms[..., index : index + 1]
        return terms, total


def softmax(call: Call) -> nn.Module:
    """Return the part of SOFTMAX."""
    return _softmax(call, float(call.option("beta")), logarithm=False)


def log_softmax(call: Call) -> nn.Module:
    """Return the part of LOG_SOFTMAX."""
    return _softmax(call, 1.0, logarithm=True)


def _softmax(call: Call, beta: float, logarithm: bool) -> nn.Module:
    if call.is_float:
        return FloatSoftmax(beta, logarithm)
    return Softmax(call.takes(0), call.gives, beta, logarithm)


SOFTMAXES = {"SOFTMAX": softmax, "LOG_SOFTMAX": log_softmax}
