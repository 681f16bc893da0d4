"""Files that are there whole or not at all: written beside their place, flushed, and renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quantattack.errors import InputError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of `path` once the block has ended without an error.

    Until then a file that was there stays as it was; what a block that failed has written is removed.

    Arguments:
        path: Where the file is to be.

    Raises:
        InputError: If the system refuses to write, rename or flush it, such as on a full disk.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        _flush(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise cannot_write(path, error) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def cannot_write(path: Path, error: Exception) -> InputError:
    """Return the error for a file that cannot be written."""
    return InputError(
        f"cannot write {path}: {getattr(error, 'strerror', None) or error}; make room or choose another place"
    )


def _flush(path: Path) -> None:
    """Flush a file to disk, so that no name ever leads to a file that a crash has lost."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
