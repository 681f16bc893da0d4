"""The runtime of a file that is judged, whatever runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from quantattack.deployed.base import Artifact
from quantattack.deployed.facts import checksum_of_file
from quantattack.deployed.rows import by_rows
from quantattack.errors import InputError

Run: TypeAlias = Callable[[Tensor], Tensor]
Opener: TypeAlias = Callable[..., "FileRuntime"]


@dataclass(frozen=True, eq=False)
class FileRuntime:
    """Runs a file on the CPU; deep copies share it, and a pickled one opens its file again.

    Arguments:
        run: Maps float32 inputs with shape (rows, ...) to outputs with shape (rows, k).
        artifact: The file and what runs it.
        rows: Images that it takes at once; None for any number.
        takes: Shape of one input, None where a size is free.
        path: The file.
        opened: Opens the file: a function of the path and the settings.
        settings: The settings that it was opened with.
    """

    run: Run
    artifact: Artifact
    rows: int | None
    takes: tuple[int | None, ...]
    path: Path
    opened: Opener
    settings: tuple[Any, ...] = ()

    def __call__(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return by_rows(self.run, inputs.detach().to("cpu", torch.float32).contiguous(), self.rows)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FileRuntime":
        return self

    def __reduce__(self) -> Any:
        return _reopened, (self.opened, str(self.path.resolve()), self.artifact.sha256, self.settings)


def _reopened(opened: Opener, path: str, sha256: str, settings: tuple[Any, ...]) -> FileRuntime:
    """Open a file in another process, after checking that it is the same file."""
    if not Path(path).is_file() or checksum_of_file(*files_of(Path(path))) != sha256:
        raise InputError(f"{path} is not there or is another file than the one that was loaded; put it back")
    return opened(Path(path), *settings)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that a model is in: OpenVINO keeps its weights beside the `.xml`.

    Arguments:
        path: The file that is given.

    Raises:
        InputError: If one of them is not there.
    """
    files = (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)
    for file in files:
        if not file.is_file():
            raise InputError(f"{file} is not there; give the path of a file that is")
    return files
