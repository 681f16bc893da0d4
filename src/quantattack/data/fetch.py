"""Downloads of published data sets: resumable, checked by checksum, and never unpickled."""

import hashlib
import http.client
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantattack.errors import InputError, unknown

Advance = Callable[[str, int, int], None]
_BLOCK = 1 << 16
_WAIT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Published:
    """A published file with its checksum.

    Arguments:
        address: Its URL.
        md5: Its MD5 sum, in hexadecimal.
        members: Files of the archive to unpack; none for a file that is kept as it is.
    """

    address: str
    md5: str
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.address.rsplit("/", 1)[1]


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
    "mnist": tuple(Published(_MNIST + name, md5) for name, md5 in zip(_IDX, _MNIST_SUMS, strict=True)),
    "fashion-mnist": tuple(Published(_FASHION + name, md5) for name, md5 in zip(_IDX, _FASHION_SUMS, strict=True)),
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


def _silent(name: str, done: int, total: int) -> None:
    """Report nothing."""


def _fetched(file: Published, folder: Path, advance: Advance) -> list[Path]:
    wanted = [folder / member for member in file.members] or [folder / file.name]
    if all(path.is_file() for path in wanted):
        return wanted
    part = folder / f"{file.name}.part"
    _download(file, part, advance)
    _check(file, part)
    if file.members:
        _unpack(part, file.members, folder)
        part.unlink()
    else:
        part.replace(wanted[0])
    return wanted


def _download(file: Published, part: Path, advance: Advance) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(file.address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_WAIT) as answer:
            have = have if answer.status == 206 else 0  # a server that cannot go on from the middle sends it all
            _keep(answer, part, have, file.name, advance)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the whole file is there already
            raise InputError(f"{file.address} answers {error.code} {error.reason}; try again later") from None
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{file.address} cannot be read: {error}; the same command continues the download") from None


def _keep(answer: Any, part: Path, have: int, name: str, advance: Advance) -> None:
    total = have + int(answer.headers.get("Content-Length") or 0)
    with part.open("ab" if have else "wb") as out:
        while block := answer.read(_BLOCK):
            out.write(block)
            have += len(block)
            advance(name, have, max(total, have))
    if have < total:
        raise http.client.IncompleteRead(b"", total - have)


def _check(file: Published, part: Path) -> None:
    with part.open("rb") as data:
        found = _md5(data)
    if found != file.md5:
        part.unlink()
        raise InputError(f"{file.address} has the checksum {found}, not {file.md5}; it was thrown away: try again")


def _md5(data: Any) -> str:
    sums = hashlib.md5(usedforsecurity=False)
    while block := data.read(_BLOCK):
        sums.update(block)
    return sums.hexdigest()


def _unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """Take the wanted files out of an archive by their names alone: no path in it is followed."""
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
