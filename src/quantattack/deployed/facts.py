"""What is recorded of a program: its checksum, and the torch that runs it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from quantattack.data.checksums import bytes_of

_CHUNK = 1 << 20


def checksum_of(tensors: Mapping[str, Any], text: str = "") -> tuple[str, int]:
    """Return the SHA-256 of a text and of named tensors, and the number of their bytes.

    Arguments:
        tensors: Tensors by name.
        text: What else belongs to the checksum.
    """
    sha, size = hashlib.sha256(text.encode()), 0
    for name, tensor in tensors.items():
        for part in bytes_of(name, tensor):
            sha.update(part)
            size += len(part)
    return sha.hexdigest(), size


def checksum_of_file(*paths: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, or of several one after the other.

    Arguments:
        paths: The files.
    """
    sha = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sha.update(chunk)
    return sha.hexdigest()


def torch_version() -> str:
    """Return the torch that runs a program, such as "torch 2.13.0"."""
    return f"torch {torch.__version__.partition('+')[0]}"
