"""The check of everything in a record but its outcomes, once, when it is opened: readers believe what passed it."""

import math
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from quantattack.record.bounds import VERDICTS
from quantattack.record.checksums import check_indices, check_seal, snapshot
from quantattack.record.file import has_table, reading
from quantattack.record.parsing import check_types, parsed
from quantattack.record.shards import check_name

_WORDS = ("pass", "fail", "cannot tell")
_NUMBER = (int, float)


def check_contents(connection: sqlite3.Connection) -> None:
    """Check the checksum, the types, and the JSON of every table but the outcomes', which are checked as they are read.

    Raises:
        InputError: If anything is not as it was written, or cannot have been written.
    """
    if not has_table(connection, "run"):
        return
    with reading(connection), snapshot(connection):
        check_indices(connection)
        check_seal(connection)
        for table, check in _CHECKS.items():
            if has_table(connection, table):
                for row in connection.execute(f"SELECT * FROM {table}"):
                    check(row)


def _check_run(row: tuple[Any, ...]) -> None:
    check_types(row, (str, str))
    key, value = row
    if key == "identity":
        parsed(value, dict, finite=False)
    elif key == "notes":
        notes = parsed(value, dict)
        check_types([notes.get(name, 0) for name in ("seconds", "batch_size", "workers")], [_NUMBER] * 3)


def _check_cell(row: tuple[Any, ...]) -> None:
    check_types(row, (int, str, str, str, str, str, int))
    check_threat(parsed(row[3], dict, finite=False))
    parsed(f"[{row[5]}]", list, finite=False)
    if row[6] < 0:
        raise ValueError(f"an attack on {row[6]} images")


def check_threat(threat: Mapping[str, Any]) -> None:
    """Raise ValueError unless a threat's norm is a name or a description, and its radius a number or text."""
    norm = threat.get("norm", "")
    check_types([norm["part"] if isinstance(norm, dict) else norm], (str,))
    values = [threat.get(name, 0) for name in ("radius", "low", "high")]
    check_types(values, [(*_NUMBER, str, list, dict)] * 3)
    if not all(math.isfinite(value) for value in values if isinstance(value, float)):
        raise ValueError("a threat whose radius or range is not finite")
    if "each" in threat:
        _check_each(threat["each"])


def _check_each(each: Any) -> None:
    """Raise ValueError unless the pixels' own radii are described as `PixelRadii` are."""
    check_types([each], [dict])
    numbers, shape = each.get("numbers", []), each.get("shape")
    check_types(
        [each.get("values"), numbers, shape, each.get("least"), each.get("most")], [str, list, list, *[_NUMBER] * 2]
    )
    check_types([*numbers, *shape], [_NUMBER] * len(numbers) + [int] * len(shape))
    if not shape or not all(math.isfinite(value) for value in (*numbers, each["least"], each["most"])):
        raise ValueError("radii of no shape, or that are not finite")


def _check_flag(row: tuple[Any, ...]) -> None:
    check_types(row, (str,) * 5)


def _check_shard(row: tuple[Any, ...]) -> None:
    check_types(row, (int, str, int, str))
    check_name(row[1])


def _check_bound(row: tuple[Any, ...]) -> None:
    check_types(row, (int, int, str, str, *[_NUMBER] * 3, str, str))
    if row[2] not in VERDICTS:
        raise ValueError(f"the verdict {row[2]!r:.40}")


def _check_diagnosis(row: tuple[Any, ...]) -> None:
    check_types(row, (str,) * 9 + (_NUMBER,) * 2)
    parsed(row[2], dict, finite=False)
    parsed(row[8], dict)
    if row[4] not in _WORDS:
        raise ValueError(f"the verdict {row[4]!r:.40}")


def _check_signal(row: tuple[Any, ...]) -> None:
    check_types(row, (str,) * 6)
    parsed(row[5], dict)


_CHECKS: Mapping[str, Callable[[tuple[Any, ...]], None]] = {
    "run": _check_run,
    "cell": _check_cell,
    "flag": _check_flag,
    "shard": _check_shard,
    "bound": _check_bound,
    "diagnosis": _check_diagnosis,
    "signal": _check_signal,
}
