"""A program: the steps of an exported graph with its constants, as data and not as code."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

_PLAIN = (Tensor, int, float)  # what can stand for a step

Call: TypeAlias = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]


class Ref(NamedTuple):
    """The name of a value that an earlier step, the input or a constant gives."""

    name: str


@dataclass(frozen=True)
class Step:
    """One call of an operator.

    Arguments:
        target: The operator's name, such as "aten.conv2d.default" or "operator.mul".
        args: Its positional arguments; values of earlier steps are `Ref`.
        results: Names of what it returns.
        kwargs: Its arguments by name.
        unpacks: Whether each of what it returns has a name of its own.
    """

    target: str
    args: tuple[Any, ...]
    results: tuple[str, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    unpacks: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the values that it needs."""
        return tuple(_names([*self.args, *self.kwargs.values()]))


@dataclass(frozen=True, eq=False)
class Program:
    """The steps of an exported graph with one input and one output.

    Arguments:
        image: Name of the input.
        shape: Shape of the input with its batch dimension, None where it is free; empty where it is unknown.
        steps: The steps in the order in which they run.
        constants: Parameters, buffers and constants by the name that steps use.
        output: Name of the output.
    """

    image: str
    shape: tuple[int | None, ...]
    steps: tuple[Step, ...]
    constants: Mapping[str, Tensor]
    output: str

    def run(self, call: Call, inputs: Tensor, constants: Mapping[str, Tensor], wanted: str) -> Tensor:
        """Run the steps until a value is there, and return it.

        Arguments:
            call: Runs an operator: maps its name, arguments and named arguments to what it returns.
            inputs: The input with shape (n, ...); a step may write into it.
            constants: The constants by name.
            wanted: Name of the value.
        """
        values: dict[str, Any] = {**constants, self.image: inputs}
        last = {name: index for index, step in enumerate(self.steps) for name in step.reads}
        for index, step in enumerate(self.steps):
            values.update(run_step(step, call, values))
            if wanted in values:
                break
            for name in step.reads:
                if last[name] == index and name not in constants:
                    values.pop(name, None)  # no later step needs it
        result: Tensor = values[wanted]
        return result


def run_step(step: Step, call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """Run one step and return what it returns, by name."""
    args, kwargs = filled(step.args, values), {key: filled(value, values) for key, value in step.kwargs.items()}
    returned = call(step.target, args, kwargs)
    return dict(zip(step.results, returned if step.unpacks else [returned], strict=False))


def filled(argument: Any, values: Mapping[str, Any]) -> Any:
    """Return an argument with every name in it replaced by its value."""
    if isinstance(argument, Ref):
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return type(argument)(filled(each, values) for each in argument)
    return argument


def folded(program: Program, call: Call) -> Program:
    """Return the program with every step that needs no input run once, and without what nothing needs then."""
    values: dict[str, Any] = dict(program.constants)
    steps = []
    with torch.no_grad():
        for step in program.steps:
            fixed = step.reads and all(name in values for name in step.reads)
            returned = run_step(step, call, values) if fixed else {}
            if returned and all(isinstance(value, _PLAIN) for value in returned.values()):
                values.update(returned)
            else:
                steps.append(step)
    needed = {program.output, *(name for step in steps for name in step.reads)}
    constants = {name: value for name, value in values.items() if name in needed and isinstance(value, Tensor)}
    numbers = {name: value for name, value in values.items() if name in needed and not isinstance(value, Tensor)}
    kept = tuple(replace(step, args=_with(step.args, numbers)) for step in steps)
    return replace(program, steps=kept, constants=constants)


def _with(argument: Any, numbers: Mapping[str, Any]) -> Any:
    if isinstance(argument, Ref):
        return numbers.get(argument.name, argument)
    if isinstance(argument, list | tuple):
        return type(argument)(_with(each, numbers) for each in argument)
    return argument


def _names(arguments: Sequence[Any]) -> list[str]:
    found: list[str] = []
    for argument in arguments:
        if isinstance(argument, Ref):
            found.append(argument.name)
        elif isinstance(argument, list | tuple):
            found += _names(argument)
    return found
