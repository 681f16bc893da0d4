"""The differentiable twin of a TFLite graph: its operators in order, on levels where the file has levels."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from quantattack.deployed.tflite.call import Call, levels_of
from quantattack.deployed.tflite.graph import Graph, Node, Value
from quantattack.deployed.tflite.grid import grid_of
from quantattack.deployed.tflite.operators import ALL_INPUTS, BUILDERS, FOLDED
from quantattack.deployed.tflite.operators.lookup import Dequantization
from quantattack.deployed.tflite.operators.softmaxes import FloatSoftmax, Softmax
from quantattack.deployed.tflite.quantization import InputLevels
from quantattack.errors import InputError

_LAST = ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE")  # what may follow a softmax and keeps it the last step


class TfliteTwin(nn.Module):
    """A TFLite graph as differentiable operations, a module that follows its dtype.

    Arguments:
        graph: The graph.
        delegated: Indices of the operators that XNNPACK runs.
        reference: Whether TFLite's own kernels are the reference ones.

    Raises:
        InputError: If an operator or one of its options is not read.
    """

    def __init__(self, graph: Graph, delegated: frozenset[int] = frozenset(), reference: bool = False) -> None:
        super().__init__()
        nodes, self.constants = _folded(graph.nodes), dict[int, str]()
        calls = [Call(node, index in delegated, reference) for index, node in enumerate(nodes) if node is not None]
        self.parts = nn.ModuleList([_built(call) for call in calls])
        self.wiring = [(self._taken(call), call.output.index) for call in calls]
        self.shapes = {call.output.index: call.output.shape[1:] for call in calls}
        self.input, self.output = graph.input.index, graph.output.index
        self.enter = _entrance(graph.input)
        self.leave = _exit(graph.output)
        self.softmax, self.logits, self.raised = self._end(calls)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits: what enters the softmax at the end, or the outputs where there is none.

        Arguments:
            inputs: The file's float inputs with shape (n, ...).
        """
        logits: Tensor = self.raised(self._run(inputs, self.logits))
        return logits

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the file's own outputs, the softmax at the end included, with shape (n, k)."""
        outputs: Tensor = self.leave(self._run(inputs, self.output))
        return outputs

    def check_shapes(self, shape: tuple[int, ...]) -> None:
        """Raise InputError unless every tensor comes out as the file states it.

        Arguments:
            shape: The input's shape for one image.

        Raises:
            InputError: If a tensor has another shape, or cannot be computed.
        """
        values: dict[int, Tensor] = {}
        try:
            with torch.no_grad():
                self._run(torch.zeros(shape), self.output, values)
        except (RuntimeError, IndexError, ValueError) as error:
            raise InputError("the file is damaged: its operators do not fit each other") from error
        wrong = [index for index, stated in self.shapes.items() if tuple(values[index].shape[1:]) != stated]
        if wrong:
            raise InputError(f"the file is damaged: tensor {wrong[0]} is not of the shape that it states")

    def extra_repr(self) -> str:
        """Return what a state does not hold: which tensor goes where."""
        return f"wiring={self.wiring}, logits={self.logits}, output={self.output}"

    def _run(self, inputs: Tensor, wanted: int, values: dict[int, Tensor] | None = None) -> Tensor:
        values = {} if values is None else values
        values[self.input] = self.enter(inputs)
        for index, name in self.constants.items():
            values[index] = getattr(self, name)
        for part, (taken, given) in zip(self.parts, self.wiring, strict=True):
            values[given] = part(*(values[index] for index in taken))
            if given == wanted:
                break
        return values[wanted]

    def _taken(self, call: Call) -> tuple[int, ...]:
        """Return the tensors that an operator takes, and hold those of them that are constant."""
        if call.node.name not in ALL_INPUTS:
            return (call.value(0).index,)
        values = [call.value(index) for index in range(len(call.node.inputs))]
        for value in values:
            if value.data is not None and value.index not in self.constants:
                self.constants[value.index] = f"constant_{value.index}"
                self.register_buffer(f"constant_{value.index}", _with_batch(levels_of(value), call.output))
        return tuple(value.index for value in values)

    def _end(self, calls: list[Call]) -> tuple[bool, int, nn.Module]:
        """Return whether the file ends in a softmax, the tensor of the logits, and what makes them real numbers."""
        made = {call.output.index: (call, part) for call, part in zip(calls, self.parts, strict=True)}
        at = self.output
        while made[at][0].node.name in _LAST and made[at][0].value(0).index in made:
            at = made[at][0].value(0).index
        call, part = made[at]
        if not isinstance(part, Softmax | FloatSoftmax):
            return False, self.output, self.leave
        entering = call.value(0)
        raised = nn.Sequential(_exit(entering), _Flat(part.beta))
        return not part.logarithm, entering.index, raised


class _Flat(nn.Module):
    """Logits as the softmax takes them, one row for each image."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, logits: Tensor) -> Tensor:
        return logits.flatten(1) if self.beta == 1.0 else self.beta * logits.flatten(1)


def _built(call: Call) -> nn.Module:
    builder = BUILDERS.get(call.node.name)
    if builder is None:
        raise InputError(f"the file has the operator {call.node.name}, which is not read")
    return builder(call)


def _folded(nodes: tuple[Node, ...]) -> list[Node | None]:
    """Return the operators without those that compute a constant or the shape of a reshape, None in their places."""
    known: dict[int, Value | None] = {}
    kept: list[Node | None] = []
    for node in nodes:
        inputs = tuple(known.get(value.index, value) if value else None for value in node.inputs)
        node = replace(node, inputs=inputs)
        value = _constant(node)
        if node.name in FOLDED or value is not None:
            known[node.output.index] = value
        kept.append(None if node.output.index in known else node)
    return kept


def _constant(node: Node) -> Value | None:
    """Return what an operator on constants gives; None where it depends on the image.

    Raises:
        InputError: If it computes with numbers of an image where only a shape can be computed.
    """
    source = node.inputs[0] if node.inputs else None
    if node.name in FOLDED:
        taken = [value for value in node.inputs if value is not None]
        if node.name != "SHAPE" and any(value.data is None for value in taken):
            raise InputError(f"the file's {node.name} takes an image apart, which is not read")
        return None
    if node.name != "DEQUANTIZE" or source is None or source.data is None:
        return None
    if source.type == "float16":
        return replace(node.output, data=source.data.astype("float32"))
    real = levels_of(source) * grid_of(source, node.name).scale
    return replace(node.output, data=real.numpy())


def _entrance(value: Value) -> nn.Module:
    return nn.Identity() if value.type == "float32" else InputLevels(grid_of(value, "input"))


def _exit(value: Value) -> nn.Module:
    return nn.Identity() if value.type == "float32" else Dequantization(grid_of(value, "output").scale)


def _with_batch(constant: Tensor, output: Value) -> Tensor:
    """Return a constant with as many dimensions as the output, so that a batch does not fall on its first."""
    missing = len(output.shape) - constant.ndim
    return constant.reshape((1,) * missing + tuple(constant.shape)) if missing > 0 else constant
