"""A network as a list of steps, each with its part, read off the network by tracing its calls."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from quantattack.certification import linear
from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.parts import Part, is_integral
from quantattack.certification.table import TABLE, part_of
from quantattack.errors import InputError
from quantattack.nn.convert import freeze
from quantattack.types import Images, Model

_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
_FLATTENINGS = (torch.flatten, "flatten", "view", "reshape")
_CLIPS = (torch.relu, torch.nn.functional.relu, "relu", "relu_")


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a network.

    Arguments:
        name: Its name in the network.
        part: How it is bounded.
        inputs: Which steps it takes, by their places; the image is at place 0.
        shape: Shape of its value for one image.
    """

    name: str
    part: Part
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A network as steps, the first of which is the image and the last the logits.

    Arguments:
        steps: The steps, each after those that it takes.
    """

    steps: tuple[Step, ...]

    @property
    def last(self) -> int:
        """The place of the logits."""
        return len(self.steps) - 1

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.steps[-1].shape[1]


class _Tracer(fx.Tracer):
    """Traces a network down to the modules that have bounds."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in TABLE or super().is_leaf_module(m, module_qualified_name)


def network_of(model: Model) -> nn.Module:
    """Return the network behind a model as an evaluation shows it.

    Raises:
        InputError: If it is no network of float32 whose modules can be read.
    """
    network = getattr(model, "as_given", model)
    if not isinstance(network, nn.Module):
        raise InputError(f"bounds need a torch.nn.Module, whose modules can be read; not {type(network).__name__}")
    kinds = {parameter.dtype for parameter in network.parameters()} - {torch.float32, torch.float64}
    if kinds:
        raise InputError(f"the bounds hold for float32, and the model has {kinds.pop()}; give it in float32")
    return network


def program_of(model: Model, image: Images) -> Program:
    """Return a network as steps.

    Arguments:
        model: The network, or what an evaluation wraps it in.
        image: One image with shape (1, ...), for the shapes of the values.

    Raises:
        InputError: If a module or an operation of it has no bound, which is named.
    """
    network = freeze(network_of(model)).cpu()
    tracer = _Tracer()
    try:
        graph = tracer.trace(network)
    except Exception as error:  # the network's own code may fail in any way while it is traced
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"the model's calls cannot be read ({reason}); bounds need a forward without branches") from None
    reader = _Reader(dict(network.named_modules()), image.detach().cpu()[:1].float())
    for node in graph.nodes:
        reader.read(node)
    return Program(tuple(reader.steps))


class _Reader:
    """Collects the steps of a traced network, and runs one image through it for the shapes.

    Arguments:
        modules: The network's modules by name.
        image: The image, with shape (1, ...).
    """

    def __init__(self, modules: Mapping[str, nn.Module], image: Tensor) -> None:
        self._modules, self._image = modules, image
        self.steps: list[Step] = []
        self._places: dict[str, int] = {}
        self._integral: dict[int, bool] = {}

    def read(self, node: fx.Node) -> None:
        """Add the step of one call."""
        if node.op == "placeholder":
            if self.steps:
                raise InputError("the model takes more than an image; bounds need a model of one argument")
            self._add(node, linear.unchanged(), (), tuple(self._image.shape))
        elif node.op == "output":
            self._end(node)
        elif node.op != "call_method" or node.target != "size":
            inputs = tuple(self._places[each.name] for each in node.all_input_nodes if each.name in self._places)
            shape = self.steps[inputs[0]].shape if inputs else ()
            part = self._part(node, inputs, shape)
            self._add(node, part, inputs, self._shape_after(part, inputs))

    def _end(self, node: fx.Node) -> None:
        result: Any = node.args[0]
        if not isinstance(result, fx.Node) or self._places.get(result.name) != len(self.steps) - 1:
            raise InputError("the model returns something other than its last value; bounds need the logits alone")
        if len(self.steps[-1].shape) != 2:
            raise InputError(f"the model returns a value of shape {self.steps[-1].shape}, not one of logits")

    def _part(self, node: fx.Node, inputs: tuple[int, ...], shape: tuple[int, ...]) -> Part:
        if node.op == "call_module":
            part = part_of(str(node.target), self._modules[str(node.target)], shape)
            integral = len(inputs) == 1 and self._integral[inputs[0]]
            return linear.on_integers(part) if integral and isinstance(part, linear.Linear) else part
        if node.target in _ADDITIONS and len(inputs) == 2:
            return linear.Sum()
        if node.target in _FLATTENINGS and _is_flat(node):
            return linear.flattened(shape)
        if node.target in _CLIPS:
            return Clip()
        name = getattr(node.target, "__name__", str(node.target))
        raise InputError(f"no bound is known of the operation {name}; use modules, or add, flatten and relu")

    def _shape_after(self, part: Part, inputs: tuple[int, ...]) -> tuple[int, ...]:
        zeros = torch.zeros(self.steps[inputs[0]].shape, dtype=torch.float64)
        if isinstance(part, linear.Linear):
            return tuple((part.apply(zeros) + part.shift).shape)
        return tuple(part.pool(zeros)[0].shape) if isinstance(part, MaxPool) else tuple(zeros.shape)

    def _add(self, node: fx.Node, part: Part, inputs: tuple[int, ...], shape: tuple[int, ...]) -> None:
        place = len(self.steps)
        self._places[node.name], self._integral[place] = place, self._keeps_integers(part, inputs)
        self.steps.append(Step(str(node.target), part, inputs, shape))

    def _keeps_integers(self, part: Part, inputs: tuple[int, ...]) -> bool:
        """Return whether a step's values are whole numbers, whatever the image."""
        if isinstance(part, Steps):
            return is_integral(part.values)
        if not inputs or not all(self._integral[place] for place in inputs):
            return False
        if isinstance(part, linear.Linear):
            return part.integral and is_integral(part.shift)
        return isinstance(part, MaxPool | linear.Sum)


def _is_flat(node: fx.Node) -> bool:
    """Return whether a call makes one dimension of all but the first."""
    rest = list(node.args[1:]) or [node.kwargs.get("start_dim", 0)]
    if node.target in (torch.flatten, "flatten"):
        return rest in ([1], [1, -1])
    rest = list(rest[0]) if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest
    return len(rest) == 2 and rest[1] == -1
