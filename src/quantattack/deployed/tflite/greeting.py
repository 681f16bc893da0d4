"""Keeps what the interpreter greets with off the standard error, where one line is one thing to mend."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_GREETING = b"INFO: Created TensorFlow Lite"
_ERRORS = 2  # the file descriptor that the interpreter's library itself writes to


@contextmanager
def without_greeting() -> Iterator[None]:
    """Hold back what the library writes to the standard error, and pass on all but its greeting."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        former = os.dup(_ERRORS)
        os.dup2(held.fileno(), _ERRORS)
        try:
            yield
        finally:
            os.dup2(former, _ERRORS)
            os.close(former)
            held.seek(0)
            kept = [line for line in held.read().splitlines(keepends=True) if not line.startswith(_GREETING)]
            os.write(_ERRORS, b"".join(kept))
