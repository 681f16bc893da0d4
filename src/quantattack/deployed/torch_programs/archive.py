"""Programs from `.pt2` files, read as data: the graph is JSON, the tensors are raw bytes, and nothing is unpickled.

`torch.export.load` unpickles what a file holds (example inputs, tensors of classes of their own, custom objects),
evaluates its expressions of sizes, and takes any name below torch for an operator: a stranger's file can run code by
each.  Here example inputs, expressions and guards are left unread, pickled tensors and custom objects are refused, and
operators are those of `operators.check_operator`.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from quantattack.deployed.torch_programs.operators import check_operator
from quantattack.deployed.torch_programs.program import Program, Ref, Step
from quantattack.errors import InputError

MOST_BYTES = 4 << 30
_MAJOR = 8  # version of the schema
_DTYPES = dict(
    enumerate(
        (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64), 1
    )
) | {12: torch.bool, 13: torch.bfloat16, 28: torch.uint16}
_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format}
_PLAIN = ("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string", "as_int_lists")
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, RecursionError, OverflowError)


def read_archive(path: Path | str) -> Program:
    """Return the program of a `.pt2` file; nothing in the file is run.

    Arguments:
        path: The file, as `torch.export.save` writes it.

    Raises:
        InputError: If it is no such file, is damaged, holds what only unpickling can read, or an operator that may not
            run.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path.name} is over {MOST_BYTES >> 30} GiB, more than is read; export a smaller model")
        with ZipFile(path) as archive:
            return _program(_Members(path.name, archive))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (BadZipFile, NotImplementedError, EOFError, MemoryError, *_DAMAGE) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise InputError(
            f"{path.name} is no program of torch.export, or is damaged ({reason}); save it again"
        ) from None


class _Members:
    """The members of an archive, by name below its one folder; none of them may be compressed."""

    def __init__(self, name: str, archive: ZipFile) -> None:
        infos = archive.infolist()
        if any(info.compress_type != ZIP_STORED for info in infos):
            raise InputError(f"{name} has compressed members, which torch.export.save does not write; save it again")
        self.name, self._archive = name, archive
        self._paths = {info.filename.partition("/")[2]: info for info in infos}

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def read(self, path: str) -> bytes:
        if path not in self._paths:
            raise InputError(f"{self.name} has no {path}, so it is no program of torch.export; save it again")
        return self._archive.read(self._paths[path])

    def json(self, path: str) -> Any:
        return json.loads(self.read(path).decode())

    def models(self) -> list[str]:
        return [path for path in self._paths if path.startswith("models/") and path.endswith(".json")]


def _program(members: _Members) -> Program:
    models = members.models()
    if models != ["models/model.json"]:
        raise InputError(
            f"{members.name} holds {len(models)} programs of torch.export; save one, as torch 2.8 or later does"
        )
    if members.read("byteorder").strip() != b"little":
        raise InputError(f"{members.name} was saved on a big-endian machine; save it again on another")
    model = members.json("models/model.json")
    if model["schema_version"]["major"] != _MAJOR:
        found = model["schema_version"]["major"]
        raise InputError(
            f"{members.name} has version {found} of the format, {_MAJOR} is read; save it with torch 2.8 or later"
        )
    graph, signature = model["graph_module"]["graph"], model["graph_module"]["signature"]
    tensors = {**_tensors(members, "weights"), **_tensors(members, "constants")}
    image, constants = _inputs(signature["input_specs"], tensors)
    steps = tuple(step for node in graph["nodes"] for step in _steps(node))
    shape = tuple(size.get("as_int") for size in graph["tensor_values"][image]["sizes"])
    return Program(image, shape, steps, constants, _output(signature["output_specs"]))


def _inputs(specs: list[Any], tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Return the name of the one input, and the tensors by the names that the graph has for them."""
    images, constants = [], {}
    for kind, spec in (_only(each) for each in specs):
        if kind == "user_input":
            images.append(_only(spec["arg"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            constants[spec["arg"]["name"]] = tensors[spec[f"{kind}_name"]]
        else:
            raise InputError(f"the program has an input of the kind {kind}; export a model that takes images alone")
    if len(images) != 1 or images[0][0] != "as_tensor":
        raise InputError(f"the program takes {len(images)} inputs; export a model that takes images alone")
    return images[0][1]["name"], constants


def _output(specs: list[Any]) -> str:
    kinds = [_only(spec) for spec in specs]
    for kind, spec in kinds:
        if kind != "user_output":
            changed = spec.get("buffer_name") or spec.get("user_input_name") or kind
            raise InputError(f"the program changes {changed} whenever it runs; export the model after model.eval()")
    if len(kinds) != 1 or "as_tensor" not in kinds[0][1]["arg"]:
        raise InputError(f"the program returns {len(kinds)} values; export a model that returns the logits alone")
    name: str = kinds[0][1]["arg"]["as_tensor"]["name"]
    return name


def _tensors(members: _Members, folder: str) -> dict[str, Tensor]:
    """Return the tensors of one folder by their names in the model."""
    found = {}
    if f"data/{folder}/model.pt" in members:
        raise InputError(f"{members.name} holds pickled tensors, which can run code; save it with torch 2.8 or later")
    for name, entry in members.json(f"data/{folder}/model_{folder}_config.json")["config"].items():
        if entry["use_pickle"] or not entry["path_name"].startswith(("weight_", "tensor_")):
            raise InputError(
                f"{members.name} holds {name} as a pickle, which can run code; give the program in memory instead"
            )
        found[name] = _tensor(members.read(f"data/{folder}/{entry['path_name']}"), entry["tensor_meta"])
    return found


def _tensor(data: bytes, meta: Mapping[str, Any]) -> Tensor:
    dtype = _DTYPES[meta["dtype"]]
    sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
    if any(size < 0 for size in sizes) or math.prod(sizes) > max(1, MOST_BYTES):
        raise ValueError("a tensor's size")
    if not math.prod(sizes) or not data:
        return torch.zeros(sizes, dtype=dtype) if not math.prod(sizes) else _missing()
    if math.prod(sizes) * dtype.itemsize > len(data):
        raise ValueError("a tensor is larger than its data")
    flat = torch.frombuffer(bytearray(data), dtype=dtype)
    return flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"]).clone()


def _missing() -> Tensor:
    raise ValueError("a tensor has no data")


def _steps(node: Mapping[str, Any]) -> Iterator[Step]:
    target: str = node["target"]
    name = target.removeprefix("torch.ops.").replace("_operator.", "operator.", 1)
    check_operator(name)
    kinds = [_only(output) for output in node["outputs"]]
    args = tuple(_argument(each["arg"]) for each in node["inputs"] if each.get("kind") != 2)
    kwargs = {each["name"]: _argument(each["arg"]) for each in node["inputs"] if each.get("kind") == 2}
    if len(kinds) == 1 and kinds[0][0] == "as_tensors":
        yield Step(name, args, tuple(each["name"] for each in kinds[0][1]), kwargs, unpacks=True)
        return
    results = tuple(_result(*each) for each in kinds)
    yield Step(name, args, results, kwargs, unpacks=len(results) > 1)


def _result(kind: str, value: Any) -> str:
    if kind not in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float", "as_none"):
        raise ValueError(f"an operator returns {kind}")
    name: str = "" if kind == "as_none" else value.get("name") or value["as_name"]
    return name


def _argument(argument: Mapping[str, Any]) -> Any:
    kind, value = _only(argument)
    if kind in _PLAIN:
        return value
    return _READERS[kind](value)


def _optional(value: Mapping[str, Any]) -> Ref | None:
    kind, found = _only(value)
    return Ref(found["name"]) if kind == "as_tensor" else None


def _number(value: Mapping[str, Any]) -> Any:
    """Return a size: a number, or the name of one that an earlier step gives."""
    kind, found = _only(value)
    return Ref(found) if kind == "as_name" else found if isinstance(found, int | float) else _missing()


def _only(union: Mapping[str, Any]) -> tuple[str, Any]:
    ((kind, value),) = union.items()
    return kind, value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "as_none": lambda _: None,
    "as_tensor": lambda value: Ref(value["name"]),
    "as_tensors": lambda value: [Ref(each["name"]) for each in value],
    "as_optional_tensor": _optional,
    "as_optional_tensors": lambda value: [_optional(each) for each in value],
    "as_scalar_type": lambda value: _DTYPES[value],
    "as_memory_format": lambda value: _FORMATS[value],
    "as_layout": lambda _: torch.strided,
    "as_device": lambda _: torch.device("cpu"),
    **dict.fromkeys(("as_sym_int", "as_sym_float", "as_sym_bool"), _number),
    "as_sym_ints": lambda value: [_number(each) for each in value],
}
