"""ExecuTorch's `.pte` files."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantattack.deployed.base import Artifact
from quantattack.deployed.facts import checksum_of_file
from quantattack.deployed.judges.runtime import FileRuntime, files_of
from quantattack.errors import InputError
from quantattack.reading import first_line


def open_pte(path: Path) -> FileRuntime:
    """Return the runtime of a `.pte` file, after trying it on one batch.

    The file's structure is verified when it is opened; what its delegates (XNNPACK) hold is not, so open only files of
    your own tools.

    Arguments:
        path: The file.

    Raises:
        InputError: If ExecuTorch is missing, or the file is none, is damaged, or is no classifier of float images.
    """
    files = files_of(path)
    try:
        from executorch.runtime import Runtime, Verification
    except ImportError as error:
        raise InputError(
            f"ExecuTorch is missing or does not load ({first_line(error)}): pip install 'quantattack[executorch]'"
        ) from None
    try:
        program = Runtime.get().load_program(path, verification=Verification.InternalConsistency)
        method = program.load_method("forward")
    except Exception as error:  # the runtime's errors have no class of their own
        raise InputError(f"{path.name} is no program of ExecuTorch, or is damaged ({first_line(error)})") from None
    shape = _shape(path.name, method)
    run = _Method(program, method)
    rows = _rows(path.name, run, shape)
    from importlib.metadata import version

    settings = {"images at once": str(rows)}
    sizes = sum(file.stat().st_size for file in files)
    about = Artifact(
        path.name, "executorch", checksum_of_file(*files), sizes, f"executorch {version('executorch')}", settings
    )
    return FileRuntime(run, about, rows, shape[1:], path, open_pte)


class _Method:
    """A loaded method; it keeps the program that it is a part of."""

    def __init__(self, program: Any, method: Any) -> None:
        self._program, self._method = program, method

    def __call__(self, inputs: Tensor) -> Tensor:
        (outputs,) = self._method.execute([inputs.contiguous()])
        return outputs.clone().float()  # type: ignore[no-any-return]  # the runtime uses its buffer again


def _shape(name: str, method: Any) -> tuple[int, ...]:
    about = method.metadata
    if about.num_inputs() != 1 or about.num_outputs() != 1:
        counts = f"{about.num_inputs()} inputs and {about.num_outputs()} outputs"
        raise InputError(f"{name} has {counts}; export a model that maps images to logits alone")
    return tuple(about.input_tensor_meta(0).sizes())


def _rows(name: str, run: _Method, shape: tuple[int, ...]) -> int:
    """Return how many images the file takes at once: one where it takes that, else the number it was exported with."""
    for rows in dict.fromkeys((1, shape[0])):
        try:
            outputs = run(torch.zeros(rows, *shape[1:]))
        except RuntimeError as error:
            reason = first_line(error)
            continue
        if outputs.ndim == 2 and len(outputs) == rows:
            return rows
        raise InputError(f"{name} returns {tuple(outputs.shape)} for {rows} images; it must return (n, classes)")
    raise InputError(f"{name} does not run on float images of shape {shape}: {reason}")
