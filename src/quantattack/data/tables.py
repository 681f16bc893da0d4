"""Images and labels in parquet and arrow files, as Hugging Face's datasets writes them; read with pyarrow."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantattack.data.arrays import as_labels
from quantattack.data.readers import Arrays, Bytes, read_image, stacked
from quantattack.errors import InputError, unknown
from quantattack.reading import exists, first_line, is_file, is_folder, parsing, shown

SUFFIXES = (".parquet", ".arrow")
SPLITS = ("test", "validation", "valid", "val", "dev", "train")  # the first that is there is taken
_IMAGES, _LABELS = ("image", "img"), ("label", "labels")
_KIND, _ADVICE = "a table of images and labels", "save it with datasets' to_parquet"


def is_table(path: str) -> bool:
    """Return whether a path is a parquet or arrow file, or a folder that holds some."""
    return Path(path).suffix.lower() in SUFFIXES or (is_folder(path) and bool(_files(Path(path))))


def read_table(
    path: Path | str, image: str | None = None, label: str | None = None, split: str | None = None
) -> Arrays:
    """Return the images (n, channels, height, width), bytes, and labels (n) of a table's files.

    Arguments:
        path: A parquet or arrow file, or a folder with the files of a data set.
        image: The column of the images; None for the one that holds some.
        label: The column of the classes; None for the one of whole numbers.
        split: The split to take from a folder; None for its test images, else its validation images.

    Raises:
        InputError: If pyarrow is missing, a file cannot be read, or columns and split are not told by the files.

    """
    root = Path(path)
    if not exists(root):
        raise InputError(f"there is no file {shown(path)}; nothing is downloaded by name: give the files' folder")
    parts = [_columns(file, path, image, label) for file in _of_split(root, split)]
    blobs = [blob for images, _ in parts for blob in images]
    if not blobs:
        raise InputError(f"{shown(path)} holds no images; {_ADVICE}")
    folder = root if is_folder(root) else root.parent
    images = [_decoded(blob, folder, f"row {row} of {path}") for row, blob in enumerate(blobs)]
    labels = np.concatenate([np.asarray(labels) for _, labels in parts])
    return stacked(images, path), as_labels(labels, len(images), path)


def _files(folder: Path) -> list[Path]:
    """Return a folder's tables: parquet files, else arrow files, without those that datasets keeps as a cache."""
    with parsing(folder, "a folder", "make it readable"):
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    kept = [path for path in found if not path.name.startswith((".", "cache-"))]
    return [path for path in kept if path.suffix.lower() == ".parquet"] or kept


def _of_split(root: Path, split: str | None) -> list[Path]:
    files = [root] if is_file(root) else _files(root)
    splits = {path: _split(path.relative_to(root) if path != root else Path(root.name)) for path in files}
    there = sorted(set(splits.values()), key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
    if split is not None and split not in there:
        raise unknown(f"split of {shown(root)}", split, filter(None, there))
    return [path for path in files if splits[path] == (split or there[0])]


def _split(path: Path) -> str:
    """Return the split that a file's name or its folders' names tell; empty where they tell none."""
    words = (re.split(r"[-_.]", part)[0].lower() for part in reversed(path.parts))
    return next((word for word in words if word in SPLITS), "")


def _columns(file: Path, path: Path | str, image: str | None, label: str | None) -> tuple[list[Any], Sequence[Any]]:
    """Return the columns of images and of classes in one file."""
    with parsing(file, _KIND, _ADVICE):
        table = _table(file)
    images = _column(path, "image", image, _named(table.schema, _is_image), table.column_names, _IMAGES)
    labels = _column(path, "label", label, _named(table.schema, _is_label), table.column_names, _LABELS)
    with parsing(file, _KIND, _ADVICE):
        return table.column(images).to_pylist(), table.column(labels).to_pylist()


def _table(file: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{shown(file)} needs pyarrow ({first_line(error)}): pip install 'quantattack[parquet]'"
        ) from None
    if file.suffix.lower() == ".parquet":
        return parquet.ParquetFile(file).read()
    with pyarrow.memory_map(str(file)) as source:
        try:
            return pyarrow.ipc.open_stream(source).read_all()
        except pyarrow.ArrowInvalid:
            return pyarrow.ipc.open_file(source).read_all()


def _named(schema: Any, is_kind: Callable[[Any], bool]) -> list[str]:
    return [field.name for field in schema if is_kind(field.type)]


def _is_image(kind: Any) -> bool:
    """Return whether a column holds image files: their bytes, alone or beside their path."""
    if str(kind).startswith("struct<"):
        return bool(kind.get_field_index("bytes") >= 0)
    return str(kind) in ("binary", "large_binary")


def _is_label(kind: Any) -> bool:
    return bool(re.fullmatch(r"u?int\d+", str(kind)))


def _column(
    path: Path | str, what: str, asked: str | None, fitting: list[str], names: list[str], usual: Sequence[str]
) -> str:
    """Return the column that is asked for, else the only one that fits, else the one with a usual name."""
    if asked is not None:
        if asked not in names:
            raise unknown(f"column of {shown(path)}", asked, names)
        return asked
    if not fitting:
        raise InputError(f"{shown(path)} has no {what} column among {', '.join(names)}; {_ADVICE}")
    named = [name for name in usual if name in fitting] or fitting
    if len(fitting) > 1 and named is fitting:
        raise InputError(
            f"{shown(path)} has the {what} columns {', '.join(fitting)}; name one: --data '{path}[{what}={fitting[0]}]'"
        )
    return named[0]


def _decoded(blob: Any, folder: Path, where: str) -> Bytes:
    """Return an image of a row: of its bytes, else of the file in the folder that it names."""
    held = blob if isinstance(blob, dict) else {"bytes": blob}
    if isinstance(data := held.get("bytes"), bytes):
        return read_image(where, data)
    path = (folder / str(held.get("path") or "")).resolve()
    if not held.get("path") or not path.is_relative_to(folder.resolve()):
        raise InputError(
            f"{shown(where)} holds no image, and names no file in {shown(folder)}; embed the images' bytes"
        )
    return read_image(path)
