"""The twin: the graph that onnxruntime runs, as torch operations with straight-through derivatives."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from quantattack.deployed.onnx.call import Call
from quantattack.deployed.onnx.chains import Step, shortened
from quantattack.deployed.onnx.ends import Ends, find_ends, in_batches, to_rows
from quantattack.deployed.onnx.graph import Graph, Node
from quantattack.deployed.onnx.operators.quantized import QuantizedLinear
from quantattack.deployed.onnx.operators.table import builder_of
from quantattack.errors import InputError


class OnnxTwin(nn.Module):
    """The graph of an ONNX file as torch operations.

    `forward` returns the logits, `outputs` the file's own outputs, the softmax at the end included.  A deep copy that
    is cast to float64 computes in float64.

    Arguments:
        graph: The graph that the runtime runs.
        batch: How many rows at a time, where the graph takes no other number; none for any number.
    """

    def __init__(self, graph: Graph, batch: int | None = None) -> None:
        super().__init__()
        self.ends: Ends = find_ends(graph)
        self.input, self.output = graph.input.name, graph.output.name
        self.batch = batch
        build = _Build(graph, graph.input.shape[0] if batch is None and graph.input.shape else None)
        steps = shortened(build.steps, build.modules, build.constants, (self.ends.logits, self.output))
        self._to_logits, self._to_output = _reaching(steps, self.ends.logits), _reaching(steps, self.output)
        self.parts = nn.ModuleList(build.modules)
        self._names = list(build.kept)
        for index, name in enumerate(self._names):
            self.register_buffer(f"constant_{index}", build.kept[name])

    def forward(self, inputs: Tensor) -> Tensor:
        levels = self.ends.logit_levels
        logits = to_rows(self._run(inputs, self._to_logits, self.ends.logits))
        return logits if levels is None else levels.dequantize(logits)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the file with shape (n, k), the softmax at the end included."""
        levels = self.ends.output_levels
        outputs = to_rows(self._run(inputs, self._to_output, self.output))
        return outputs if levels is None else levels.dequantize(outputs)

    def _run(self, inputs: Tensor, steps: Sequence[Step], target: str) -> Tensor:
        if self.ends.integers and self.ends.input_levels is not None:
            inputs = self.ends.input_levels.quantize(inputs)
        if self.batch is None or len(inputs) == self.batch:
            return self._once(inputs, steps, target)
        batches = in_batches(inputs, self.batch)
        return torch.cat([self._once(batch, steps, target) for batch in batches])[: len(inputs)]

    def _once(self, inputs: Tensor, steps: Sequence[Step], target: str) -> Tensor:
        values: dict[str, Tensor | None] = {
            name: getattr(self, f"constant_{index}") for index, name in enumerate(self._names)
        }
        values |= {"": None, self.input: inputs}
        for step in steps:
            results = self.parts[step.module](*[values[name] for name in step.takes])
            values.update(zip(step.gives, results if isinstance(results, tuple) else (results,), strict=False))
            for name in step.frees:
                del values[name]
        found = values[target]
        assert found is not None
        return found


class _Build:
    """Makes a part of every node; what depends on constants alone is computed here, once.

    Arguments:
        graph: The graph.
        fixed: How many rows the graph states, where any number shall do.
    """

    def __init__(self, graph: Graph, fixed: int | None) -> None:
        self.constants: dict[str, Tensor] = dict(graph.constants)
        self.kinds, self.opset = graph.kinds, graph.opset
        self.fixed = fixed
        self.modules: list[nn.Module] = []
        self.steps: list[Step] = []
        self.uses = Counter(name for node in graph.nodes for name in node.inputs)
        self.uses[graph.output.name] += 1
        for node in graph.nodes:
            self._add(node)
        known = {graph.input.name, "", *self.constants, *(name for step in self.steps for name in step.gives)}
        missing = {name for step in self.steps for name in step.takes} | {graph.output.name}
        if missing - known:
            raise InputError(f"nothing computes {sorted(missing - known)[0]!r}; the model is damaged")
        used = {name for step in self.steps for name in step.takes} | {graph.output.name}
        self.kept: Mapping[str, Tensor] = {name: self.constants[name] for name in self.constants if name in used}

    def _add(self, node: Node) -> None:
        if node.operator == "Constant":
            self.constants[node.outputs[0]] = _constant(node)
            return
        if node.operator == "MaxPool" and self._pooled_before(node):
            return
        part = builder_of(node)(Call(node, self.constants, self.kinds, self.opset, self.fixed))
        if any(name and name not in self.constants for name in part.takes):
            self.steps.append(Step(len(self.modules), part.takes, node.outputs))
            self.modules.append(part.module)
            return
        with torch.no_grad():
            results = part.module(*[self.constants[name] if name else None for name in part.takes])
        found = results if isinstance(results, tuple) else (results,)
        self.constants.update({name: value for name, value in zip(node.outputs, found, strict=False) if name})

    def _pooled_before(self, node: Node) -> bool:
        """Take a maximum of integer sums before they are put on a grid, if nothing else takes the levels."""
        last = self.steps[-1] if self.steps else None
        if last is None or last.gives != node.inputs or self.uses[node.inputs[0]] != 1:
            return False
        module = self.modules[last.module]
        if not isinstance(module, QuantizedLinear) or module.pool is not None or not module.rises:
            return False
        module.pool = builder_of(node)(Call(node, self.constants)).module
        self.steps[-1] = Step(last.module, last.takes, node.outputs)
        return True


def _constant(node: Node) -> Tensor:
    for name, kind in (("value_int", torch.int64), ("value_ints", torch.int64)):
        if name in node.attributes:
            return torch.tensor(node.attributes[name], dtype=kind)
    for name in ("value_float", "value_floats"):
        if name in node.attributes:
            return torch.tensor(node.attributes[name], dtype=torch.float32)
    value = node.attributes.get("value")
    if not isinstance(value, Tensor):
        raise InputError(f"Constant {node.name!r} holds no numbers; its twin cannot be built")
    return value


def _reaching(steps: Iterable[Step], target: str) -> list[Step]:
    """Return the steps that a value needs, each with what no later one takes."""
    needed, found = {target}, []
    for step in reversed(list(steps)):
        if needed & set(step.gives):
            given = {name for name in step.gives if name}
            unused = tuple(sorted((set(step.takes) | given) - needed - {""}))
            found.append(Step(step.module, step.takes, step.gives, unused))
            needed |= set(step.takes)
    return found[::-1]
