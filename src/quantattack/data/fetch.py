"""Downloads of published files: resumable, checked by checksum, and never unpickled."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from quantattack.errors import InputError, unknown

Advance = Callable[[str, int, int], None]
_BLOCK = 1 << 16
_WAIT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Published:
    """A published file with its checksum.

    Arguments:
        address: Its URL.
        checksum: Its SHA-256 or, with 32 digits, its MD5 sum, in hexadecimal.
        members: Files of the archive to unpack; none for a file that is kept as it is.
        size: Its size in bytes, where it is known; 0 where it is not.
    """

    address: str
    checksum: str
    members: tuple[str, ...] = ()
    size: int = 0

    @property
    def name(self) -> str:
        """The last part of the address's path."""
        return unquote(urlsplit(self.address).path).rsplit("/", 1)[-1]

    @property
    def algorithm(self) -> str:
        """The checksum's algorithm, as `hashlib` names it."""
        return "md5" if len(self.checksum) == 32 else "sha256"


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MNIST_SUMS = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
_FASHION_SUMS = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
_TEN = (*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin", "batches.meta.txt")
_HUNDRED = ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")

SOURCES: Mapping[str, tuple[Published, ...]] = {
    "mnist": tuple(Published(_MNIST + name, total) for name, total in zip(_IDX, _MNIST_SUMS, strict=True)),
    "fashion-mnist": tuple(Published(_FASHION + name, total) for name, total in zip(_IDX, _FASHION_SUMS, strict=True)),
    "cifar10": (Published(_CIFAR + "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", _TEN),),
    "cifar100": (Published(_CIFAR + "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", _HUNDRED),),
}


def fetch(
    name: str, root: Path | str, advance: Advance | None = None, sources: Mapping[str, Any] = SOURCES
) -> list[Path]:
    """Download a data set into `root/name`, and return its files; what is there already is left alone.

    A download that broke off is continued where it stopped, and nothing counts before its checksum fits.

    Arguments:
        name: Name of the data set.
        root: Folder of the data sets.
        advance: Called with a file's name, the number of bytes so far and the total.
        sources: The files of each data set.

    Raises:
        InputError: If the name is unknown, the server cannot be reached, or a checksum does not match.
    """
    if name not in sources:
        raise unknown("data set to fetch", name, sources)
    folder = Path(root) / name
    folder.mkdir(parents=True, exist_ok=True)
    return [path for file in sources[name] for path in _fetched(file, folder, advance or _silent)]


def fetch_file(file: Published, path: Path, advance: Advance | None = None) -> Path:
    """Download a file to a path, and return the path; what has the checksum there already is left alone.

    Arguments:
        file: The file.
        path: Where it goes; its folder is made.
        advance: Called with the file's name, the number of bytes so far and the total.

    Raises:
        InputError: If another file is at the path, the server cannot be reached, or the checksum does not match.
    """
    if _is_there(file, path):
        return path
    part = path.with_name(f"{path.name}.part")
    _download(file, part, advance or _silent)
    _check(file, part)
    part.replace(path)
    return path


def _is_there(file: Published, path: Path) -> bool:
    """Return whether the file is at a path; make its folder where nothing is, refuse where something else is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return False
        same = path.is_file() and checksum_of(path, file.algorithm) == file.checksum
    except OSError as error:
        raise InputError(f"{path} cannot be used: {error.strerror or error}; give another place") from None
    if not same:
        raise InputError(f"{path} is there and is another file; move it away, or give another place")
    return True


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's checksum in hexadecimal."""
    sums = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as data:
        while block := data.read(_BLOCK):
            sums.update(block)
    return sums.hexdigest()


def _silent(name: str, done: int, total: int) -> None:
    """Report nothing."""


def _fetched(file: Published, folder: Path, advance: Advance) -> list[Path]:
    wanted = [folder / member for member in file.members] or [folder / file.name]
    if all(path.is_file() for path in wanted):
        return wanted
    if not file.members:
        return [fetch_file(file, wanted[0], advance)]
    part = folder / f"{file.name}.part"
    _download(file, part, advance)
    _check(file, part)
    _unpack(part, file.members, folder)
    part.unlink()
    return wanted


def _download(file: Published, part: Path, advance: Advance) -> None:
    import http.client  # here, with the next: their imports take longer than a command's whole help
    import urllib.error
    import urllib.request

    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(file.address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_WAIT) as answer:
            have = have if answer.status == 206 else 0  # a server that cannot go on from the middle sends it all
            _keep(answer, part, have, file, advance)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the whole file is there already
            what = f"{file.address} answers {error.code} {error.reason}"
            raise InputError(f"{what}; check the address, or try again later") from None
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{file.address} cannot be read: {error}; the same command continues the download") from None


def _keep(answer: Any, part: Path, have: int, file: Published, advance: Advance) -> None:
    total = have + int(answer.headers.get("Content-Length") or 0)
    with part.open("ab" if have else "wb") as out:
        while block := answer.read(_BLOCK):
            have += len(block)
            if file.size and max(total, have) > file.size:
                break
            out.write(block)
            advance(file.name, have, max(total, have))
    if file.size and max(total, have) > file.size:
        part.unlink()
        raise InputError(f"{file.address} has more than its {file.size:,} bytes; it was thrown away: try again")
    if have < total:
        from http.client import IncompleteRead

        raise IncompleteRead(b"", total - have)


def _check(file: Published, part: Path) -> None:
    found = checksum_of(part, file.algorithm)
    if found != file.checksum:
        part.unlink()
        raise InputError(f"{file.address} has the checksum {found}, not {file.checksum}; it was thrown away: try again")


def _unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """Take the wanted files out of an archive by their names alone: no path in it is followed."""
    import tarfile

    left = set(members)
    with tarfile.open(archive, "r:*") as files:
        for entry in files:
            name = entry.name.rsplit("/", 1)[-1]
            content = files.extractfile(entry) if name in left and entry.isfile() else None
            if content is not None:
                half = folder / f"{name}.part"
                half.write_bytes(content.read())
                half.replace(folder / name)
                left.discard(name)
    if left:
        raise InputError(f"{archive.name} has no {', '.join(sorted(left))}; the published archive must have changed")
