"""Programs from memory: `torch.export` programs and the graph modules of PT2E."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from quantattack.deployed.torch_programs.program import Program, Ref, Step
from quantattack.errors import InputError

_GUARDS = "_guards_fn"  # torch.export's own check of the inputs' sizes, which computes nothing
_OBSERVER = "activation_post_process"
EVALUATION = "export the model after model.eval(), or call torchao's move_exported_model_to_eval before convert_pt2e"


def is_program(model: object) -> bool:
    """Return whether a model is an exported program, or a graph module of operators, as PT2E has them.

    Arguments:
        model: Any object.
    """
    if isinstance(model, torch.export.ExportedProgram):
        return True
    return isinstance(model, fx.GraphModule) and any(
        isinstance(node.target, torch._ops.OpOverload) for node in model.graph.nodes if node.op == "call_function"
    )


def has_observers(model: object) -> bool:
    """Return whether a graph module still has its observers, so that it was prepared and not converted.

    Arguments:
        model: Any object.
    """
    return isinstance(model, fx.GraphModule) and any(_OBSERVER in str(node.target) for node in model.graph.nodes)


def read_graph(model: Any) -> Program:
    """Return an exported program or the graph module of PT2E as a program; its tensors are copied.

    Arguments:
        model: The program or the graph module.

    Raises:
        InputError: If it has several inputs or outputs, observers, submodules, or changes its own buffers.
    """
    if isinstance(model, torch.export.ExportedProgram):
        _check_mutations(model)
        model = model.module()
    nodes = [node for node in model.graph.nodes if node.target != _GUARDS]
    images = [node for node in nodes if node.op == "placeholder"]
    if len(images) != 1:
        raise InputError(f"the program takes {len(images)} inputs; export a model that takes images alone")
    constants = {node.name: _constant(model, str(node.target)) for node in nodes if node.op == "get_attr"}
    steps = tuple(_step(model, node) for node in nodes if node.op in ("call_function", "call_module", "call_method"))
    (end,) = (node for node in nodes if node.op == "output")
    return Program(images[0].name, _shape(images[0]), steps, constants, _single(end.args[0]))


def _check_mutations(program: torch.export.ExportedProgram) -> None:
    changed = [*program.graph_signature.buffers_to_mutate.values(), *program.graph_signature.user_inputs_to_mutate]
    if changed:
        raise InputError(f"the program changes {changed[0]} whenever it runs, as in training; {EVALUATION}")


def _step(model: nn.Module, node: fx.Node) -> Step:
    if node.op != "call_function":
        raise _submodule(model, node)
    args, kwargs = _plain(node.args), {key: _plain(value) for key, value in node.kwargs.items()}
    return Step(_name_of(node.target), args, (node.name,), kwargs)


def _submodule(model: nn.Module, node: fx.Node) -> InputError:
    if _OBSERVER in str(node.target):
        return InputError("the program has its observers yet; call convert_pt2e (or convert_fx) on it first")
    kind = type(model.get_submodule(str(node.target))).__name__ if node.op == "call_module" else node.target
    return InputError(f"the graph calls {kind}, which is no operator of an exported program; give a torch.export of it")


def _name_of(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        space, _, name = target._schema.name.partition("::")
        return f"{space}.{name}.{target._overloadname}"
    if getattr(target, "__module__", "") == "_operator":
        return f"operator.{target.__name__}"
    raise InputError(
        f"the graph calls {getattr(target, '__name__', target)}, which is no operator of an exported program"
    )


def _plain(argument: Any) -> Any:
    """Return a node's argument as data: nodes become references, fx's own lists ordinary ones."""
    if isinstance(argument, fx.Node):
        return Ref(argument.name)
    if isinstance(argument, tuple):
        return tuple(_plain(each) for each in argument)
    if isinstance(argument, list):
        return [_plain(each) for each in argument]
    return argument


def _constant(model: nn.Module, name: str) -> Tensor:
    found: Any = model
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Tensor):
        raise InputError(f"the graph holds {type(found).__name__} {name}; control flow is not attacked here")
    return found.detach().clone()


def _shape(image: fx.Node) -> tuple[int | None, ...]:
    value = image.meta.get("val")
    return tuple(size if isinstance(size, int) else None for size in value.shape) if isinstance(value, Tensor) else ()


def _single(returned: Any) -> str:
    values = list(_leaves(returned))
    if len(values) != 1:
        raise InputError(f"the program returns {len(values)} values; export a model that returns the logits alone")
    name: str = values[0].name
    return name


def _leaves(returned: Any) -> Iterator[fx.Node]:
    if isinstance(returned, fx.Node):
        yield returned
    elif isinstance(returned, dict):
        yield from _leaves(list(returned.values()))
    elif isinstance(returned, Sequence):
        for each in returned:
            yield from _leaves(each)
