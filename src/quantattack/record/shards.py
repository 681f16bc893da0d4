"""Names of the files of attacked images beside a record: what a file holds names it, and no name leads elsewhere."""

import hashlib
from pathlib import Path, PurePosixPath

from quantattack.errors import InputError

FOLDER = "images"  # in the record's folder
_DIGITS = 32  # of the checksum, in a name


def name_of(sha256: str) -> str:
    """Return the name, in the record's folder, of a file with this checksum: files of one name hold the same."""
    return f"{FOLDER}/{sha256[:_DIGITS]}.safetensors"


def check_name(file: str) -> None:
    """Raise ValueError unless a name is of a file in the folder of images, such as `images/1-00000000.safetensors`."""
    path = PurePosixPath(file)
    if len(path.parts) != 2 or path.parts[0] != FOLDER or path.parts[1] == ".." or "\\" in file or "\0" in file:
        raise ValueError(f"a file of images named {file!r:.80}, which is not in {FOLDER}/")


def path_of(folder: Path, file: str) -> Path:
    """Return the path of a file of attacked images.

    Raises:
        InputError: If the name leads out of the record's folder.
    """
    try:
        check_name(file)
    except ValueError as error:
        raise InputError(f"the record in {folder} names {error}; it is damaged or was tampered with") from None
    path = folder / file
    if path.is_symlink() or path.parent.is_symlink():
        raise InputError(f"{path} is a link to another place; put the file itself there")
    return path


def checksum(path: Path) -> str:
    """Return a file's SHA-256."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
