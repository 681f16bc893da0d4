"""One operator as its builder sees it: checked access to inputs, grids and options, and which kernels run it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantattack.deployed.tflite.graph import Constant, Node, Value
from quantattack.deployed.tflite.grid import ACTIVATIONS, Grid, grid_of
from quantattack.errors import InputError


@dataclass(frozen=True, eq=False)
class Call:
    """One operator of the graph.

    Arguments:
        node: The operator.
        delegated: Whether XNNPACK runs it; else TFLite's own kernels do.
        reference: Whether TFLite's own kernels are the reference ones.
    """

    node: Node
    delegated: bool
    reference: bool = False

    @property
    def output(self) -> Value:
        """The output."""
        return self.node.output

    @property
    def is_float(self) -> bool:
        """Whether it takes and gives float tensors.

        Raises:
            InputError: If it takes one and gives another.
        """
        first = self.value(0)
        if "float32" not in (first.type, self.output.type):
            return False
        if first.type != self.output.type:
            raise self.refused(f"takes {first.type} and gives {self.output.type}")
        return True

    @property
    def activation(self) -> str:
        """The activation at its end.

        Raises:
            InputError: If it is not one of those that are read.
        """
        code = int(self.option("fusedActivationFunction"))
        if code not in ACTIVATIONS:
            raise self.refused(f"ends in activation {code}")
        return ACTIVATIONS[code]

    @property
    def gives(self) -> Grid:
        """The grid of the output."""
        return grid_of(self.output, self.node.name)

    def takes(self, index: int) -> Grid:
        """Return the grid of an input."""
        return grid_of(self.value(index), self.node.name)

    def value(self, index: int) -> Value:
        """Return an input.

        Raises:
            InputError: If it is left out.
        """
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            raise InputError(f"the file is damaged: its {self.node.name} lacks input {index}")
        return value

    def constant(self, index: int) -> Constant:
        """Return what an input holds.

        Raises:
            InputError: If it is computed.
        """
        data = self.value(index).data
        if data is None:
            raise self.refused(f"takes input {index} from another operator, where only a constant is read")
        return data

    def option(self, name: str) -> Any:
        """Return an option.

        Raises:
            InputError: If it is not there.
        """
        value = self.node.options.get(name)
        if value is None:
            raise InputError(f"the file is damaged: its {self.node.name} lacks the option {name}")
        return value

    def integers(self, index: int) -> list[int]:
        """Return an input that is a constant list of integers, such as axes."""
        data = self.constant(index)
        if data.dtype not in (np.int32, np.int64):
            raise self.refused(f"takes input {index} as {data.dtype}")
        return [int(number) for number in data.reshape(-1)]

    def same_grid(self) -> None:
        """Raise InputError unless the first input and the output have the same grid.

        Raises:
            InputError: If their scales or zero points differ.
        """
        if not self.is_float and self.takes(0) != self.gives:
            raise self.refused("takes one scale and gives another")

    def refused(self, why: str) -> InputError:
        """Return the error for an operator that is not read."""
        return InputError(f"the file's {self.node.name} {why}, which is not read")


def levels_of(value: Value) -> Tensor:
    """Return a constant as the twin computes with it: levels with their zero point subtracted, or its real numbers.

    Arguments:
        value: A constant tensor.

    Raises:
        InputError: If it is quantized for each channel, or of no type that is read.
    """
    data = value.data
    if data is None:
        raise InputError("the file is damaged: a tensor that nothing computes holds nothing")
    if value.type == "float32":
        return torch.from_numpy(data.copy())
    return torch.from_numpy(data.astype(np.float32)) - grid_of(value, "constant").zero
