"""What a first run of a file in a process of its own tells: that it can be opened, and what XNNPACK computes of it."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from quantattack.deployed.tflite import opening
from quantattack.errors import InputError

_LONGEST = 120  # seconds
_FOUND: dict[tuple[str, str], frozenset[int]] = {}  # what each file gave in this process


def tried(data: bytes, kernels: str) -> frozenset[int]:
    """Return the tensors of a file that XNNPACK computes, after opening it in a process of its own.

    Arguments:
        data: The file's bytes.
        kernels: "xnnpack" or "reference".

    Raises:
        InputError: If the interpreter refuses the file, or dies of it.
    """
    key = sha256(data).hexdigest(), kernels
    if key not in _FOUND:
        _FOUND[key] = _opened(data, kernels)
    return _FOUND[key]


def _opened(data: bytes, kernels: str) -> frozenset[int]:
    # the program is passed as text: its folder, first on the path otherwise, has modules with names of others
    program = Path(opening.__file__).read_text(encoding="utf-8")
    command = [sys.executable, "-c", program, kernels]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"the interpreter did not run the file in {_LONGEST} seconds") from None
    if done.returncode < 0:
        raise InputError(f"the interpreter died of the file (signal {-done.returncode}): it is damaged")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise InputError(f"the interpreter refuses the file: {last[0]}")
    return frozenset(json.loads(done.stdout.decode().strip().splitlines()[-1]))
