"""Checks a flatbuffer before anything reads it: the interpreter trusts every offset, and dies of a wrong one."""

import struct
from collections.abc import Mapping
from typing import TypeAlias

from quantattack.errors import InputError

IDENTIFIER = b"TFL3"
_DEEPEST, _MOST = 16, 1_000_000  # nested tables, and tables in all: shared offsets must not multiply the work

# A field is the bytes of its scalar, "string", or the kind of what it points to with its bytes or its table's name.
Field: TypeAlias = int | str | tuple[str, int | str]

_INTEGERS, _LONGS, _BYTES, _FLOATS = ("vector", 4), ("vector", 8), ("vector", 1), ("vector", 4)

_TABLES: Mapping[str, Mapping[int, Field]] = {  # by number of the field, as the schema numbers them
    "Model": {
        0: 4,
        1: ("tables", "OperatorCode"),
        2: ("tables", "SubGraph"),
        3: "string",
        4: ("tables", "Buffer"),
        5: _INTEGERS,
        6: ("tables", "Metadata"),
        7: ("tables", "SignatureDef"),
    },
    "OperatorCode": {0: 1, 1: "string", 2: 4, 3: 4},
    "SubGraph": {0: ("tables", "Tensor"), 1: _INTEGERS, 2: _INTEGERS, 3: ("tables", "Operator"), 4: "string", 5: 4},
    "Tensor": {
        0: _INTEGERS,
        1: 1,
        2: 4,
        3: "string",
        4: ("table", "Quantization"),
        5: 1,
        6: ("table", "Any"),
        7: _INTEGERS,
        8: 1,
        9: ("tables", "Any"),
        10: 4,
    },
    "Quantization": {0: _FLOATS, 1: _FLOATS, 2: _FLOATS, 3: _LONGS, 4: 1, 5: ("table", "Any"), 6: 4},
    "Operator": {
        0: 4,
        1: _INTEGERS,
        2: _INTEGERS,
        3: 1,
        4: ("table", "Options"),
        5: _BYTES,
        6: 1,
        7: _BYTES,
        8: _INTEGERS,
        9: 8,
        10: 8,
        11: 1,
        12: ("table", "Any"),
        13: 4,
    },
    "Buffer": {0: _BYTES, 1: 8, 2: 8},
    "Metadata": {0: "string", 1: 4},
    "SignatureDef": {0: ("tables", "TensorMap"), 1: ("tables", "TensorMap"), 2: "string", 4: 4},
    "TensorMap": {0: "string", 1: 4},
    "Options": {},  # which fields point somewhere depends on the operator: see `check_integers`
    "Any": {},
}


def check_structure(data: bytes) -> None:
    """Raise InputError unless every table, vector and string of a TFLite flatbuffer lies inside the file.

    Arguments:
        data: The file's bytes.

    Raises:
        InputError: If the file is empty, no TFLite file, or damaged.
    """
    if not data:
        raise InputError("the file is empty; copy or download it again")
    if len(data) < 16 or data[4:8] != IDENTIFIER:
        raise InputError("the file is no TFLite model: the identifier TFL3 is missing")
    _Walk(data).table(int.from_bytes(data[:4], "little"), "Model")


def check_integers(data: bytes, table: int, field: int) -> None:
    """Raise InputError unless a field of an operator's options, if it is there, is a vector of integers in the file.

    Arguments:
        data: The file's bytes.
        table: Where the options lie.
        field: Number of the field.
    """
    walk = _Walk(data)
    offset = walk.fields(table).get(field)
    if offset is not None:
        walk.field(table + offset, _INTEGERS)


def _damaged(what: str) -> InputError:
    return InputError(f"the file is damaged: {what} lies outside it; copy or download it again")


class _Walk:
    """One pass over the tables of a file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.tables = data, 0

    def table(self, at: int, name: str, depth: int = 0) -> None:
        self.tables += 1
        if depth > _DEEPEST or self.tables > _MOST:
            raise InputError("the file is damaged: its tables are nested without end; copy or download it again")
        known = _TABLES[name]
        size = self._size(at)
        for number, offset in self.fields(at).items():
            kind = known.get(number, 1)
            if offset + (kind if isinstance(kind, int) else 4) > size:
                raise _damaged(f"a field of {name}")
            self.field(at + offset, kind, depth)

    def fields(self, at: int) -> dict[int, int]:
        """Return the offset of each field that is there, by its number."""
        vtable = self._vtable(at)
        (length,) = self._read("<H", vtable)
        if length < 4 or length % 2:
            raise _damaged("a table's list of fields")
        offsets = self._read(f"<{(length - 4) // 2}H", vtable + 4)
        return {number: offset for number, offset in enumerate(offsets) if offset}

    def field(self, at: int, kind: Field, depth: int = 0) -> None:
        if isinstance(kind, int):
            return
        start = at + self._read("<I", at)[0]
        if kind == "string":
            self._vector(start, 1)
        elif kind[0] == "vector":
            self._vector(start, int(kind[1]))
        elif kind[0] == "table":
            self.table(start, str(kind[1]), depth + 1)
        else:
            for index in range(self._vector(start, 4)):
                place = start + 4 + 4 * index
                self.table(place + self._read("<I", place)[0], str(kind[1]), depth + 1)

    def _vtable(self, at: int) -> int:
        return at - int(self._read("<i", at)[0])

    def _size(self, at: int) -> int:
        size = int(self._read("<H", self._vtable(at) + 2)[0])
        if size < 4 or at + size > len(self.data):
            raise _damaged("a table")
        return size

    def _vector(self, at: int, width: int) -> int:
        length = int(self._read("<I", at)[0])
        if at + 4 + length * width > len(self.data):
            raise _damaged("a list")
        return length

    def _read(self, form: str, at: int) -> tuple[int, ...]:
        if at < 0 or at + struct.calcsize(form) > len(self.data):
            raise _damaged("an offset")
        return struct.unpack_from(form, self.data, at)
