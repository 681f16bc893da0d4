"""Chains of elementwise operators between two grids, as tables of their values and derivatives.

Quantizers write a GELU as nine operators with levels between them.  All of it is a function of at most 256 levels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.deployed.onnx.call import Apply
from quantattack.deployed.onnx.operators import activations, arithmetic, shapes
from quantattack.deployed.onnx.operators.elementwise import QuantizedFunction, Regrid
from quantattack.deployed.onnx.operators.pairs import QuantizedAdd, QuantizedMul
from quantattack.deployed.onnx.operators.quantized import Axis, QuantizedLinear, Requantize

_FUNCTIONS = (
    *(torch.add, torch.sub, torch.mul, torch.neg, torch.abs, torch.erf, torch.exp, torch.relu, torch.tanh),
    *(torch.sigmoid, functional.hardswish, functional.mish, functional.softplus, functional.softsign),
    *(arithmetic.divide, arithmetic.power, activations.clip, activations.gelu, activations.quick_gelu),
    *(activations.hard_sigmoid, activations.leaky_relu, activations.elu),
)
_SHORT = 3  # a table takes as many passes over memory as two operators
_MOST = 1 << 9  # levels


@dataclass(frozen=True)
class Step:
    """One operator of a twin.

    Arguments:
        module: Position of its module.
        takes: Names of the values that it takes.
        gives: Names of the values that it gives.
        frees: Names of the values that no later step takes.
    """

    module: int
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    frees: tuple[str, ...] = ()


class _Looked(torch.autograd.Function):
    """Numbers of a table at levels; the next table is the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, tables: Tensor, low: float) -> Tensor:
        return looked_up(x, tables[0], low)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004 -- torch calls it so
        ctx.low = inputs[2]
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, tables = ctx.saved_tensors
        if len(tables) == 1:
            return None, None, None
        if torch.is_grad_enabled():  # for the derivative of this derivative
            return grads[0] * _Looked.apply(x, tables[1:], ctx.low), None, None  # type: ignore[no-untyped-call]
        return grads[0] * looked_up(x, tables[1], ctx.low), None, None


def looked_up(x: Tensor, table: Tensor, low: float) -> Tensor:
    """Return the numbers of a table at levels.

    Arguments:
        x: Levels of any shape.
        table: One number for each level.
        low: The first level.
    """
    places = (x - low if low else x).long()  # index_select is three times as fast with these
    return table.index_select(0, places.flatten()).reshape(x.shape)


class Table(nn.Module):
    """A function of levels by its values and its first two derivatives.

    Arguments:
        function: Maps levels to numbers, each by itself.
        limits: Smallest and largest level.
    """

    tables: Tensor

    def __init__(self, function: nn.Module, limits: tuple[float, float]) -> None:
        super().__init__()
        self.low, orders = limits[0], []
        with torch.enable_grad():
            levels = torch.arange(limits[0], limits[1] + 1).requires_grad_()
            values = function(levels)
            for _ in range(3):
                orders.append(values.detach())
                values = _slope(values, levels)
        self.register_buffer("tables", torch.stack(orders))

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            numbers: Tensor = _Looked.apply(x, self.tables, self.low)  # type: ignore[no-untyped-call]
            return numbers
        return looked_up(x, self.tables[0], self.low)


def _slope(values: Tensor, levels: Tensor) -> Tensor:
    if not values.requires_grad:
        return torch.zeros_like(levels)
    (slope,) = torch.autograd.grad(values.sum(), levels, create_graph=True, allow_unused=True)
    return torch.zeros_like(levels) if slope is None else slope


class Chain(nn.Module):
    """Steps that make one value of another and of constants.

    Arguments:
        steps: The steps, in order.
        modules: Modules of all steps.
        constants: Constants by name.
        source: Name of the value that they start from.
    """

    def __init__(
        self, steps: Sequence[Step], modules: Sequence[nn.Module], constants: Mapping[str, Tensor], source: str
    ) -> None:
        super().__init__()
        self.steps, self.parts, self.constants, self.source = steps, modules, constants, source

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor | None] = {"": None, **self.constants, self.source: x}
        for step in self.steps:
            values[step.gives[0]] = self.parts[step.module](*[values[name] for name in step.takes])
        result = values[self.steps[-1].gives[0]]
        assert result is not None
        return result


def limits_of(module: nn.Module) -> tuple[float, float] | None:
    """Return the smallest and largest level that a module gives; none for real numbers."""
    if isinstance(module, QuantizedLinear):
        return module.finish.limits if isinstance(module.finish, Requantize) else None
    if isinstance(module, Axis):
        return module.limits
    return (module.low, module.high) if isinstance(module, QuantizedAdd | QuantizedMul | QuantizedFunction) else None


def is_elementwise(module: nn.Module) -> bool:
    """Return whether a module computes each number from numbers of the same place."""
    if isinstance(module, Axis):
        return module.scale.numel() == 1 and module.zero.numel() == 1
    if isinstance(module, Apply):
        return module.function in _FUNCTIONS
    return isinstance(module, QuantizedAdd | QuantizedMul | QuantizedFunction | Regrid)


def shortened(
    steps: Sequence[Step], modules: list[nn.Module], constants: Mapping[str, Tensor], ends: Sequence[str]
) -> list[Step]:
    """Return steps that compute the same with tables in the place of chains; what is no longer needed remains.

    Arguments:
        steps: The steps of a twin.
        modules: Their modules, to which tables are added.
        constants: Constants by name.
        ends: Values that must be those of their operators.
    """
    limits: dict[str, tuple[float, float]] = {}
    chains: dict[str, tuple[str, list[Step]]] = {}
    makers: dict[str, Step] = {}
    found = []
    for step in steps:
        module, name = modules[step.module], step.gives[0]
        source = _source(step, module, constants, chains, limits)
        if source is not None:
            before = [one for taken in step.takes if taken in chains for one in chains[taken][1]]
            chains[name] = source, [*dict.fromkeys(before), step]
        grid = limits_of(module)
        if grid is not None and grid[1] - grid[0] < _MOST:
            limits[name] = grid
            if source is not None and len(chains[name][1]) >= _SHORT and name not in ends:
                modules.append(Table(Chain(chains[name][1], modules, constants, source), limits[source]))
                step = Step(len(modules) - 1, (source,), step.gives)
        found.append(_of_shapes(step, module, makers, modules))
        makers[name] = step
    return found


def _source(
    step: Step,
    module: nn.Module,
    constants: Mapping[str, Tensor],
    chains: Mapping[str, tuple[str, list[Step]]],
    limits: Mapping[str, tuple[float, float]],
) -> str | None:
    """The one value on a grid that a step's result is an elementwise function of."""
    if len(step.gives) != 1 or not is_elementwise(module):
        return None
    if any(constants[name].numel() != 1 for name in step.takes if name in constants):
        return None
    taken = [name for name in step.takes if name and name not in constants]
    sources = {chains[name][0] if name in chains else name for name in taken}
    return next(iter(sources)) if len(sources) == 1 and sources <= limits.keys() else None


def _of_shapes(step: Step, module: nn.Module, makers: Mapping[str, Step], modules: Sequence[nn.Module]) -> Step:
    """A step that takes a shape takes it from before the levels were made real numbers."""
    maker = makers.get(step.takes[0]) if step.takes else None
    if not isinstance(module, Apply) or module.function is not shapes.shape_of or maker is None:
        return step
    return replace(step, takes=maker.takes[:1]) if isinstance(modules[maker.module], Axis) else step
