"""Seeded damage to files: what a broken disk, a broken download or a hostile sender makes of them."""

import random
from collections.abc import Iterator

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `count` damaged forms of a file, the same ones for the same seed."""
    draws = random.Random(seed)
    kinds = (_flipped, _cut, _grown, _numbered, _moved, _blanked, _repeated)
    for _ in range(count):
        damaged = data
        for _ in range(draws.choice((1, 1, 1, 2, 5))):
            damaged = draws.choice(kinds)(damaged, draws)
        yield damaged


def _at(data: bytes, draws: random.Random) -> int:
    """A position, half of the time among the first hundred bytes, where headers are."""
    most = max(1, min(len(data), 100) if draws.random() < 0.5 else len(data))
    return draws.randrange(most)


def _flipped(data: bytes, draws: random.Random) -> bytes:
    at = _at(data, draws)
    return data[:at] + bytes([draws.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, draws: random.Random) -> bytes:
    return data[: _at(data, draws)]


def _grown(data: bytes, draws: random.Random) -> bytes:
    at = _at(data, draws)
    return data[:at] + draws.randbytes(draws.choice((1, 4, 100))) + data[at:]


def _numbered(data: bytes, draws: random.Random) -> bytes:
    """A number that a header may hold, of extreme size, in either byte order."""
    at, size = _at(data, draws), draws.choice((1, 2, 4, 8))
    number = draws.choice(_NUMBERS) % 2 ** (8 * size)
    return data[:at] + number.to_bytes(size, draws.choice(("little", "big"))) + data[at + size :]


def _moved(data: bytes, draws: random.Random) -> bytes:
    one, other = sorted((_at(data, draws), _at(data, draws)))
    return data[:one] + data[other:] + data[one:other]


def _blanked(data: bytes, draws: random.Random) -> bytes:
    at, size = _at(data, draws), draws.choice((1, 8, 64))
    return data[:at] + bytes(size) + data[at + size :]


def _repeated(data: bytes, draws: random.Random) -> bytes:
    at = _at(data, draws)
    return data[:at] + data[at : at + 50] * draws.choice((2, 20)) + data[at + 50 :]
