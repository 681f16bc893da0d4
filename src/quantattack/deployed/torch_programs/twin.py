"""The two halves of a program: its twin, with straight-through derivatives, and itself, which judges."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.deployed.base import Artifact
from quantattack.deployed.rows import by_rows
from quantattack.deployed.torch_programs.graphs import EVALUATION
from quantattack.deployed.torch_programs.operators import CHECKS, run_operator, run_through
from quantattack.deployed.torch_programs.program import Program, Step
from quantattack.errors import InputError

_KEPT = ("view", "reshape", "flatten", "squeeze", "clone", "contiguous", "dropout", "alias", "detach")


class ProgramTwin(nn.Module):
    """A program as differentiable operations, in the dtype of its inputs.

    Arguments:
        program: The program.
        logits: Name of the value that enters the softmax at the end, or of the output where there is none.
        rows: Images that the program takes at once; None for any number.
    """

    def __init__(self, program: Program, logits: str, rows: int | None = None) -> None:
        super().__init__()
        self.program = replace(program, constants={})
        self.logits, self.rows, self.names = logits, rows, tuple(program.constants)
        for index, tensor in enumerate(program.constants.values()):
            self.register_buffer(f"constant_{index}", tensor)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        return self._until(self.logits, inputs)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the program, with the softmax at the end."""
        return self._until(self.program.output, inputs)

    def _until(self, wanted: str, inputs: Tensor) -> Tensor:
        constants = dict(zip(self.names, self.buffers(), strict=True))
        call = in_dtype(run_through, inputs)
        return by_rows(lambda some: self.program.run(call, some.clone(), constants, wanted), inputs, self.rows)

    def extra_repr(self) -> str:
        return f"{len(self.program.steps)} steps, rows={self.rows}"


@dataclass(frozen=True, eq=False)
class ProgramRuntime:
    """A program as it is, run on the CPU without a derivative; deep copies share it.

    Arguments:
        program: The program.
        artifact: What is known of it.
        rows: Images that the program takes at once; None for any number.
        reopen: Opens the file again in another process; None for a program in memory, which is sent.
    """

    program: Program
    artifact: Artifact
    rows: int | None = None
    reopen: tuple[Callable[..., "ProgramRuntime"], tuple[str, str]] | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        program = self.program

        def call(some: Tensor) -> Tensor:
            return program.run(run_operator, some.clone(), program.constants, program.output)

        with torch.no_grad():
            return by_rows(call, inputs.detach().to("cpu", torch.float32), self.rows).float()

    def __deepcopy__(self, memo: dict[int, Any]) -> "ProgramRuntime":
        return self

    def __reduce__(self) -> Any:
        return self.reopen or (ProgramRuntime, (self.program, self.artifact, self.rows))


def in_dtype(call: Callable[..., Any], inputs: Tensor) -> Callable[..., Any]:
    """Return a call whose operators work in the dtype and on the device of the inputs where they name their own.

    Arguments:
        call: Runs an operator by name.
        inputs: The inputs of the program.
    """

    def following(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return call(target, _follow(args, inputs), {key: _follow(value, inputs) for key, value in kwargs.items()})

    return following


def _follow(argument: Any, inputs: Tensor) -> Any:
    if argument is torch.float32:
        return inputs.dtype
    if isinstance(argument, torch.device):
        return inputs.device
    return tuple(_follow(each, inputs) for each in argument) if isinstance(argument, tuple) else argument


def before_softmax(program: Program) -> str:
    """Return the name of what enters the softmax at the end of a program; its output where there is no softmax.

    Arguments:
        program: The program.
    """
    makers = {name: step for step in program.steps for name in step.results}
    name = program.output
    while name in makers:
        step = makers[name]
        kind = step.target.split(".")[1].rstrip("_")
        if kind in ("softmax", "_softmax", "_safe_softmax"):
            return step.reads[0]
        if kind not in _KEPT and not kind.startswith(("quantize_per_tensor", "dequantize_per_tensor")):
            break
        name = step.reads[0]
    return program.output


def without_checks(program: Program) -> Program:
    """Return a program without the steps that only check sizes and dtypes."""
    return replace(program, steps=tuple(step for step in program.steps if not _is_check(step)))


def _is_check(step: Step) -> bool:
    return step.target.split(".")[1] in CHECKS


# Where the operators that behave differently in training say so: the position of the argument.
_TRAINING: Mapping[str, int] = {
    **dict.fromkeys(("batch_norm", "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"), 5),
    "_native_batch_norm_legit_functional": 5,
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "native_dropout"), 2),
}


def check_evaluation(program: Program) -> None:
    """Raise `InputError` if an operator is in its training form, or the program writes into its own constants.

    Arguments:
        program: The program.

    Raises:
        InputError: If it is.
    """
    for step in program.steps:
        space, name = step.target.split(".")[:2]
        place = _TRAINING.get(name)
        trains = place is not None and any(step.args[place : place + 1])
        if space == "aten" and (trains or (name == "batch_norm" and step.args[3:4] == (None,))):
            raise InputError(
                f"the program's {name} is in training form, so an image depends on the others; {EVALUATION}"
            )
        if name.endswith("_") and not name.startswith("_") and step.reads and step.reads[0] in program.constants:
            raise InputError(f"the program changes {step.reads[0]} whenever it runs, as in training; {EVALUATION}")
