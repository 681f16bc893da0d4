"""Reads an ONNX file and checks all that can be checked before anything runs it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from quantattack.deployed.onnx.graph import DOMAINS, End, ends_of
from quantattack.errors import InputError
from quantattack.reading import message_of

MOST_BYTES = 2 << 30  # of a file with its external data: what a protobuf can hold
MOST_NUMBERS = 1 << 28  # of one tensor that a graph states, for one image
CONTROL = ("If", "Loop", "Scan", "SequenceMap")
_KINDS = ("float", "uint8", "int8", "uint16", "int16")
_HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file that passed all checks.

    Arguments:
        path: The file.
        model: Its `ModelProto`, external data not loaded.
        sha256: SHA-256 of the file.
        bytes: Its size.
        external: SHA-256 of its external data, by file name.
    """

    path: Path
    model: Any
    sha256: str
    bytes: int
    external: dict[str, str]

    @property
    def ends(self) -> tuple[End, End]:
        """Its input and its output."""
        return ends_of(self.model.graph)


def read_file(path: str | Path, most: int = MOST_BYTES) -> OnnxFile:
    """Return an ONNX file after all checks that need no runtime.

    Arguments:
        path: The file.
        most: Largest size in bytes, external data included.

    Raises:
        InputError: If it cannot be read, is too large, is no valid ONNX model, or is no classifier of images.
    """
    require_packages()
    import onnx

    data = _bytes_of(Path(path), most)
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception:  # protobuf's decoders raise errors of several classes
        raise InputError(f"{path} is not an ONNX model, or damaged; export it again") from None
    if not model.graph.node:
        raise InputError(f"{path} is not an ONNX model, or empty: it has no operators")
    check_operators(model)
    check_ends(model)
    external = _external_data(model, Path(path), most - len(data))
    _check(model, Path(path), bool(external))
    return OnnxFile(Path(path), model, hashlib.sha256(data).hexdigest(), len(data), external)


def require_packages() -> None:
    """Raise InputError unless the packages that read and run ONNX files are here.

    Raises:
        InputError: If one is missing.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 -- whether it is there is what is asked
    except ImportError:
        raise InputError("ONNX files need onnx and onnxruntime: pip install 'quantattack[onnx]'") from None
    del onnx


def _bytes_of(path: Path, most: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > most:
            raise InputError(f"{path} has {size} bytes, over the limit of {most}; give a smaller model")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; give an ONNX file") from None


def check_operators(model: Any) -> None:
    """Raise InputError if a graph has control flow or operators of other domains.

    Arguments:
        model: A `ModelProto`.

    Raises:
        InputError: If it has; the operator is named.
    """
    own = {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.op_type in CONTROL:
            raise InputError(f"{node.op_type} {node.name!r} is control flow, which a twin cannot follow; unroll it")
        if node.domain not in DOMAINS and node.domain not in own:
            raise InputError(f"the operator {node.domain}.{node.op_type} is a custom one, and is not run")


def _nodes(model: Any) -> Iterator[Any]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def check_ends(model: Any) -> None:
    """Raise InputError unless a model maps one image tensor to one row of classes.

    Arguments:
        model: A `ModelProto`.

    Raises:
        InputError: If it does not.
    """
    entry, out = ends_of(model.graph)
    if entry.kind in _HALF or any(_kind(tensor) in _HALF for tensor in model.graph.initializer):
        raise InputError("the model is in half precision, which is not supported; save it in float32")
    if entry.kind not in _KINDS:
        raise InputError(f"the input {entry.name!r} is {entry.kind}; give a model of float32 or 8-bit images")
    if entry.shape is None or len(entry.shape) not in (2, 4):
        raise InputError(
            f"the input {entry.name!r} has the shape {entry.shape}; give a model of images (n, c, h, w), "
            "(n, h, w, c) or rows (n, d)"
        )
    if out.shape is not None and (len(out.shape) != 2 or (out.shape[1] or 2) < 2):
        raise InputError(
            f"the output {out.name!r} has the shape {out.shape}, not (n, classes); give a classifier, "
            "no detector or segmenter"
        )


def _kind(tensor: Any) -> str:
    from quantattack.deployed.onnx.graph import kind_name

    return kind_name(tensor.data_type)


def _check(model: Any, path: Path, external: bool) -> None:
    """What onnx's own checker says, and that no stated tensor is beyond all measure."""
    import onnx

    try:
        onnx.checker.check_model(str(path) if external else model)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # the checker raises errors of several classes
        raise InputError(f"{path} is not a valid ONNX model: {message_of(error)}") from None
    values = [*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input]
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for name, sizes in shapes.items():
        count = 1
        for size in sizes:
            count *= max(int(size), 1)
        if count > MOST_NUMBERS:
            raise InputError(f"{name!r} has the shape {sizes}, over the limit of {MOST_NUMBERS} numbers")


def _external_data(model: Any, path: Path, most: int) -> dict[str, str]:
    """SHA-256 of each file of external data, which must lie in the model's folder and fit the limit."""
    names = sorted({_location(tensor) for tensor in _tensors(model) if tensor.data_location == tensor.EXTERNAL})
    found = {}
    for name in names:
        file = _inside(path.parent, name)
        size = file.stat().st_size
        most -= size
        if most < 0:
            raise InputError(f"the external data {name!r} of {path.name} is over the limit; give a smaller model")
        found[name] = _hash(file)
    return found


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _location(tensor: Any) -> str:
    return next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "")


def _inside(folder: Path, name: str) -> Path:
    """The file of that name in the folder, or below it; none that leaves it, be it through a link."""
    pure = (PurePosixPath(name), PureWindowsPath(name))
    if not name or "\0" in name or any(path.is_absolute() or path.drive or ".." in path.parts for path in pure):
        raise InputError(f"the external data {name!r} lies outside the model's folder; it is not read")
    file = folder / name
    if not file.is_file():
        raise InputError(f"the external data {name!r} is missing; put it beside the model")
    if not file.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"the external data {name!r} lies outside the model's folder; it is not read")
    return file


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
