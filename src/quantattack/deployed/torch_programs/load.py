"""From a program to a deployed model: in memory, or from a `.pt2` file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.deployed.base import Artifact, DeployedModel
from quantattack.deployed.facts import checksum_of, checksum_of_file, torch_version
from quantattack.deployed.pixels import Pixels
from quantattack.deployed.torch_programs.archive import read_archive
from quantattack.deployed.torch_programs.graphs import has_observers, is_program, read_graph
from quantattack.deployed.torch_programs.operators import OF_BATCH, run_operator
from quantattack.deployed.torch_programs.program import Program, folded
from quantattack.deployed.torch_programs.quantized_modules import is_converted, read_module
from quantattack.deployed.torch_programs.twin import (
    ProgramRuntime,
    ProgramTwin,
    before_softmax,
    check_evaluation,
    without_checks,
)
from quantattack.errors import InputError

_NEAR = 0.05  # of the logits' spread: what a value that falls on the other side of a step may change
_EXAMPLE = 2  # rows of the example on which a program is tried


@dataclass(frozen=True, eq=False)
class LoadedProgram:
    """A program that was read: what a `DeployedModel` is made of.

    Arguments:
        twin: The differentiable twin.
        runtime: The program as it is, which judges.
        softmax: Whether the program ends in a softmax.
        input_shape: Shape of the input with its batch dimension, None where it is free; empty where it is unknown.
        classes: Number of outputs; 0 where the input's shape is unknown.
    """

    twin: ProgramTwin
    runtime: ProgramRuntime
    softmax: bool
    input_shape: tuple[int | None, ...]
    classes: int

    @property
    def input_grid(self) -> tuple[str, float, int] | None:
        """Type, scale and zero point with which the program quantizes its input, where it does so first."""
        program = self.runtime.program
        readers = [step for step in program.steps if program.image in step.reads]
        if len(readers) != 1 or readers[0].target != "quantized_decomposed.quantize_per_tensor.default":
            return None
        _, scale, zero, _, _, dtype = readers[0].args
        return str(dtype).removeprefix("torch."), float(scale), int(zero)

    def deployed(self, pixels: Pixels | None = None) -> DeployedModel:
        """Return the deployed model.

        Arguments:
            pixels: What pixels mean to the program; images in [0, 1] as they are by default.
        """
        return DeployedModel(self.twin, self.runtime, pixels or Pixels(), self.softmax)


def from_program(model: Any, pixels: Pixels | None = None) -> DeployedModel:
    """Return a program of `torch.export` or PT2E as a model to attack: the twin is climbed, the program judges.

    A program is what `torch.export.export` returns, its `.module()`, or what `convert_pt2e` returns; what torch.ao's
    `convert` and `convert_fx` return is taken too.  The verdict is that of the model's own operators on the CPU; where
    they find their scales from what they are shown, each image is shown alone.

    Arguments:
        model: The program; it is copied and not changed.
        pixels: What pixels mean to the program; images in [0, 1] as they are by default.

    Raises:
        InputError: If it is no program, is in its training form, has several inputs or outputs, or no derivative.
    """
    if is_converted(model):
        return DeployedModel(*read_module(model), pixels or Pixels())
    if not is_program(model):
        raise InputError(
            f"from_program takes a program of torch.export, convert_pt2e or convert_fx, not {type(model).__name__}; "
            "give torch.export.export(model, (images,))"
        )
    program = read_graph(model)
    about = checksum_of(program.constants, repr((program.steps, program.output)))
    return _loaded(program, "program", *about).deployed(pixels)


def adopted(model: Any) -> Any:
    """Return what is attacked where a model is given: programs and converted modules as deployed models, others as is.

    Arguments:
        model: What was given as a model.

    Raises:
        InputError: If it is the path of a file, or a program that cannot be attacked.
    """
    if isinstance(model, str | Path):
        raise InputError(f"the model is a path; load it first: qa.load_model({str(model)!r})")
    return from_program(model) if is_converted(model) or (is_program(model) and not has_observers(model)) else model


def load_pt2(path: Path | str) -> LoadedProgram:
    """Return the program of a `.pt2` file; nothing in the file is unpickled or run (see `archive`).

    Arguments:
        path: A file that `torch.export.save` wrote.

    Raises:
        InputError: If the file is none, is damaged, holds pickled parts, or its program cannot be attacked.
    """
    path = Path(path)
    program = read_archive(path)
    digest = checksum_of_file(path)
    loaded = _loaded(program, path.name, digest, path.stat().st_size)
    runtime = replace(loaded.runtime, reopen=(_reopened, (str(path.resolve()), digest)))
    return replace(loaded, runtime=runtime)


def _reopened(path: str, digest: str) -> ProgramRuntime:
    """Return the runtime of a file that another process opened, after checking that it is the same file."""
    if not Path(path).is_file() or checksum_of_file(Path(path)) != digest:
        raise InputError(f"{path} is not there or is another file than the one that was loaded; put it back")
    return load_pt2(path).runtime


def _loaded(program: Program, name: str, digest: str, size: int) -> LoadedProgram:
    program = without_checks(program)
    check_evaluation(program)
    rows, relaxed = _rows(program)
    settings = {} if rows is None else {"images at once": str(rows)}
    artifact = Artifact(name, "pt2e", digest, size, torch_version(), settings)
    try:
        program = folded(program, run_operator)
        logits = before_softmax(program)
        twin, runtime = ProgramTwin(program, logits, rows), ProgramRuntime(program, artifact, rows)
        classes = _tried(twin, runtime, program.shape)
        if relaxed and classes and _takes_any_number(program, twin):
            twin.rows = None
    except InputError:
        raise
    except Exception as error:  # a damaged program may fail in any way
        reason = " ".join(f"{type(error).__name__} {error}".split())[:160]
        raise InputError(f"{name} does not run: {reason}; export it again") from None
    return LoadedProgram(twin, runtime, logits != program.output, program.shape, classes)


def _rows(program: Program) -> tuple[int | None, bool]:
    """Return how many images a program is shown at once, None for any number, and whether its twin may take others."""
    fixed = (program.shape or (None,))[0]
    if not any(step.target in OF_BATCH for step in program.steps):
        return fixed, fixed is not None
    if fixed not in (None, 1):
        raise InputError(
            "the program finds its scales from each batch and takes several images at once, so an image's answer "
            "depends on the others; quantize it statically, or export it with one image"
        )
    return 1, False


def _tried(twin: ProgramTwin, runtime: ProgramRuntime, shape: tuple[int | None, ...]) -> int:
    """Return the number of classes, after checking on an example that the program classifies and has a derivative."""
    sizes = [size for size in shape[1:] if size is not None]
    if not sizes or len(sizes) < len(shape) - 1:
        return 0
    example = torch.rand((_EXAMPLE, *sizes), generator=torch.Generator().manual_seed(0))
    outputs = runtime(example)
    if outputs.ndim != 2 or len(outputs) != _EXAMPLE or outputs.shape[1] < 2:
        raise InputError(
            f"the program returns {tuple(outputs.shape)} for {_EXAMPLE} images; it must return (n, classes)"
        )
    if not _has_derivative(twin, example):
        names = sorted(
            {step.target for step in twin.program.steps if not step.target.startswith(("aten.", "operator."))}
        )
        raise InputError(
            f"the program passes no derivative from its logits to its input; its operators: {', '.join(names)}"
        )
    return outputs.shape[1]


def _takes_any_number(program: Program, twin: ProgramTwin) -> bool:
    """Return whether a program of a fixed batch computes the same of other batches, so that its twin need not wait.

    Sizes that were written into the graph make it fail, or mix the images; the judge keeps the batch all the same.
    """
    count = 2 * (twin.rows or 1) + 1
    shape = (count, *(size or 1 for size in program.shape[1:]))
    example = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        fixed = twin(example)
        try:
            free = ProgramTwin(program, twin.logits)(example)
        except (RuntimeError, ValueError):
            return False
    return free.shape == fixed.shape and bool((free - fixed).abs().max() <= _NEAR * fixed.std())


def _has_derivative(twin: nn.Module, example: Tensor) -> bool:
    with torch.enable_grad():
        images = example.clone().requires_grad_()
        logits = twin(images)
        if not logits.requires_grad:
            return False
        (grad,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    return grad is not None
