"""One node as an operator sees it: its attributes, its constants and its grids; and the module that is made of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.deployed.onnx.graph import Node
from quantattack.deployed.onnx.grid import LIMITS
from quantattack.errors import InputError


@dataclass(frozen=True)
class Grid:
    """Where an integer grid lies: ``real = scale * (level - zero)``.

    Arguments:
        scale: Step between two levels: a scalar, or one for each channel with shape (c).
        zero: Level of the real 0, of the shape of the scale.
        low: Smallest level.
        high: Largest level.
    """

    scale: Tensor
    zero: Tensor
    low: float
    high: float

    @property
    def origin(self) -> float:
        """The zero point of a grid that has one."""
        return float(self.zero.flatten()[0])

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest level, the zero point subtracted."""
        return float((self.low - self.zero).min()), float((self.high - self.zero).max())

    @property
    def reach(self) -> float:
        """The largest magnitude of a level, its zero point subtracted."""
        return float(torch.maximum((self.high - self.zero).abs(), (self.low - self.zero).abs()).max())


@dataclass(frozen=True)
class Part:
    """An operator made for one node.

    Arguments:
        module: Maps the tensors that it takes to the node's outputs: a tensor, or a tuple of them.
        takes: Names of the values that it takes, in order; an empty name is an input that is left out.
    """

    module: nn.Module
    takes: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """One node with the constants of its graph.

    Arguments:
        node: The node.
        constants: The graph's constants by name.
        kinds: Their element types.
        opset: Version of ONNX's own operators.
        batch: How many rows the file takes, where that is fixed.
    """

    node: Node
    constants: Mapping[str, Tensor]
    kinds: Mapping[str, str] = field(default_factory=dict)
    opset: int = 17
    batch: int | None = None

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def name(self, index: int) -> str:
        """Return the name of an input, empty if it is left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else ""

    def constant(self, index: int) -> Tensor | None:
        """Return the constant that an input names; none if it is left out.

        Raises:
            InputError: If the input is computed.
        """
        name = self.name(index)
        if name and name not in self.constants:
            raise self.refuse(f"computes its input {index}, which must be a constant")
        return self.constants[name] if name else None

    def required(self, index: int) -> Tensor:
        """Return the constant that an input names.

        Raises:
            InputError: If the input is left out or computed.
        """
        value = self.constant(index)
        if value is None:
            raise self.refuse(f"lacks its input {index}")
        return value

    def grid(self, scale: int, zero: int, kind: str = "uint8") -> Grid:
        """Return the grid that two inputs state.

        Arguments:
            scale: Position of the scale.
            zero: Position of the zero point.
            kind: Type of the levels where there is no zero point.
        """
        step, origin = self.required(scale).float(), self.constant(zero)
        name = self.kinds.get(self.name(zero), kind) if origin is not None else kind
        if name not in LIMITS:
            raise self.refuse(f"quantizes to {name}, which is not supported")
        low, high = LIMITS[name]
        return Grid(step, torch.zeros_like(step) if origin is None else origin.float(), low, high)

    def refuse(self, why: str) -> InputError:
        """Return the error that names this node."""
        return InputError(f"{self.node.operator} {self.node.name!r} {why}; its twin cannot be built")


class Apply(nn.Module):
    """A function of tensors as a module.

    Arguments:
        function: A function of a module, so that copies and processes find it.
        settings: Its other arguments.
    """

    def __init__(self, function: Callable[..., Any], **settings: Any) -> None:
        super().__init__()
        self.function, self.settings = function, settings

    def forward(self, *tensors: Tensor | None) -> Any:
        return self.function(*tensors, **self.settings)

    def extra_repr(self) -> str:
        return ", ".join([self.function.__name__, *(f"{name}={value}" for name, value in self.settings.items())])


def applied(function: Callable[..., Any], call: Call, **settings: Any) -> Part:
    """Return a part that applies a function to all inputs of a node."""
    return Part(Apply(function, **settings), call.node.inputs)
