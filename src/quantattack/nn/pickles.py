"""What a pickle holds, read from its opcodes and never unpickled, and the line that turns it into safetensors."""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

from quantattack.errors import InputError
from quantattack.reading import is_file, shown

_MAGIC = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_SAFE = ("torch", "collections", "_codecs", "builtins", "__builtin__")  # what `weights_only=True` makes is in these
_KEYS = ("state_dict", "model_state_dict", "model", "net")  # under which training loops keep the weights
_MAIN = "__main__"  # the module of a class in the script that saved it
_MOST_BYTES, _PICKLES = 64 << 20, 5  # of a pickle without its tensors; the legacy format has five behind each other


@dataclass(frozen=True)
class Pickled:
    """What a pickle of torch holds.

    Arguments:
        names: The classes and functions in it, such as ("my", "Net").
        words: The texts in it, which are the keys of its dictionaries too.
        is_script: Whether it is a program of TorchScript.
    """

    names: tuple[tuple[str, str], ...] = ()
    words: frozenset[str] = frozenset()
    is_script: bool = False

    @property
    def foreign(self) -> tuple[tuple[str, str], ...]:
        """The classes and functions that no tensor needs."""
        return tuple((module, name) for module, name in self.names if not self._is_safe(module))

    @staticmethod
    def _is_safe(module: str) -> bool:
        return module.partition(".")[0] in _SAFE and not module.startswith("torch.nn.modules")

    @property
    def is_module(self) -> bool:
        """Whether it is a whole network, not its tensors by name."""
        return "_modules" in self.words


def is_pickle(data: bytes) -> bool:
    """Return whether a file's first bytes are those of a pickle, or of the archive in which torch keeps one."""
    return data[:2] in _MAGIC


def refuse_pickle(path: Path | str, network: str | None = None) -> None:
    """Raise InputError with the line that converts a file, if it is a pickle.

    Arguments:
        path: The file.
        network: The architecture that its weights are said to belong to; None where it is not said.
    """
    if not is_file(path):
        return
    with suppress(OSError), Path(path).open("rb") as file:
        if is_pickle(file.read(2)):
            raise InputError(
                f"{shown(path)} is a pickle, which runs code when loaded; where you trust it, convert it once: "
                f"{_conversion(Path(path), _held_in(Path(path)), network)}"
            )


def _held_in(path: Path) -> Pickled:
    """Return what a pickle holds; nothing where it cannot be read."""
    try:
        if not zipfile.is_zipfile(path):
            return _scanned(path.read_bytes() if path.stat().st_size < _MOST_BYTES else b"")
        with ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return Pickled(is_script=True)
            member = next(each for each in archive.infolist() if each.filename.endswith("data.pkl"))
            return _scanned(archive.read(member) if member.file_size < _MOST_BYTES else b"")
    except Exception:  # whatever is raised by a damaged file, which the conversion itself will say
        return Pickled()


def _scanned(data: bytes) -> Pickled:
    stream = io.BytesIO(data)
    names: list[tuple[str, ...]] = []
    words: list[str] = []
    with suppress(ValueError):  # behind the last pickle are tensors
        for code, argument in islice(_opcodes(stream), 10_000_000):
            if code == "GLOBAL":
                names.append(tuple(str(argument).split(" ", 1)))
            elif code == "STACK_GLOBAL":
                names.append(tuple(words[-2:]))
            elif isinstance(argument, str):
                words.append(argument)
    return Pickled(tuple((module, name) for module, name in names), frozenset(words))


def _opcodes(stream: io.BytesIO) -> Iterator[tuple[str, object]]:
    for _ in range(_PICKLES):
        for code, argument, _ in pickletools.genops(stream):
            yield code.name, argument


def _conversion(path: Path, held: Pickled, said: str | None) -> str:
    """Return the command that writes a pickle's tensors into a safetensors file, and how that file is named then."""
    out = f"{path.stem}.safetensors"
    own = next((each for each in held.foreign if held.is_module and not each[0].startswith("torch")), None)
    found = "my.py:Class" if own is None else f"my.py:{own[1]}" if own[0] == _MAIN else ":".join(own)
    needed = f"from my import {own[1]}; " if own and own[0] == _MAIN else ""
    where = "" if own is None else f" where {found} can be imported,"
    code = (
        f"import torch, safetensors.torch as s; {needed}t = {_tensors(path, held)}; "
        f"s.save_file({{k: v.contiguous().clone() for k, v in t.items()}}, {out!r})"
    )
    return f'python -c "{code}",{where} then {out} --architecture {said or found}'


def _tensors(path: Path, held: Pickled) -> str:
    """Return the expression of a pickle's tensors by name."""
    if held.is_script:
        return f"torch.jit.load({str(path)!r}, 'cpu').state_dict()"
    whole = f"torch.load({str(path)!r}, 'cpu', weights_only={not held.foreign})"
    if held.is_module:
        return f"{whole}.state_dict()"
    key = next((key for key in _KEYS if key in held.words), None)
    return whole if key is None else f"{whole}[{key!r}]"
