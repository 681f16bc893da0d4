"""Networks ranked by their worst case, among those on the same images under the same threat."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from quantattack.record.deployed import deployed_note
from quantattack.record.identity import Identity
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.tables import Share, clean_share, threat_words, worst_share
from quantattack.report.trust import doubts


@dataclass(frozen=True)
class Standing:
    """One network in a ranking.

    Arguments:
        rank: Its place, from 1, shared in a tie; None where its number is not to be trusted.
        model: Name of the network.
        run: Folder of its record; empty for a record in memory.
        worst: Worst-case robust accuracy.
        clean: Clean accuracy.
        attacks: Number of attacks that the worst case is over.
        passes: Forward and backward passes per image, over all attacks.
        bytes: Size of its file; None where it is not known.
        doubts: Why the worst case cannot be trusted, code to sentence; empty where it can.
    """

    rank: int | None
    model: str
    run: str
    worst: Share
    clean: Share
    attacks: int
    passes: float
    bytes: int | None
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """The networks that were attacked on the same images under the same threat.

    Arguments:
        data: Name of the data set.
        threat: The threat in words.
        images: Number of images.
        digest: Digest of the images' indices and labels, by which two sets of equal size are told apart.
        standings: The networks: by their worst case, and behind them those that are not to be trusted.
    """

    data: str
    threat: str
    images: int
    digest: str
    standings: tuple[Standing, ...]


def stores_in(folder: Path) -> list[Store]:
    """Return the record in a folder; where it holds none, those in the folders below it.

    Raises:
        InputError: If there is none, or one cannot be read.
    """
    below = [] if (folder / "record.sqlite").exists() else sorted(folder.rglob("record.sqlite"))
    return [Store.load(path.parent) for path in below] or [Store.load(folder)]


def leaderboard(stores: Sequence[Store], sizes: Mapping[str, int]) -> list[Group]:
    """Return the rankings, the largest first; unfinished evaluations are in none.

    Of several evaluations of one network on the same images under the same threat it is the one with the lowest worst
    case that counts: a network is as robust as the strongest attack on it.

    Arguments:
        stores: The runs.
        sizes: Size of a network's file in bytes, by name; of a deployed file the record knows it.
    """
    rivals: dict[tuple[str, ...], dict[tuple[str, str], Standing]] = {}
    for store in stores:
        for record in store.records():
            if record.finished and len(record.indices):
                network, standing = (record.subject.model, checksum_of(record)), _standing(record, sizes)
                networks = rivals.setdefault(_images_and_threat(record), {})
                networks[network] = min(networks.get(network, standing), standing, key=_by_worst_case)
    groups = [_group(key, list(networks.values())) for key, networks in rivals.items()]
    return sorted(groups, key=lambda group: (group.data, -len(group.standings), -group.images, group.threat))


def _by_worst_case(standing: Standing) -> tuple[float, bool]:
    return standing.worst.value, bool(standing.doubts)


def _images_and_threat(record: Record) -> tuple[str, ...]:
    """Return the data set, the threat and the images of an evaluation: what has to be equal for a ranking."""
    first = next(iter(record.by_attack.values()))
    rows = first.outcomes[first.places(record.indices)]
    digest = hashlib.sha256(rows["image"].tobytes() + rows["label"].tobytes()).hexdigest()[:8]
    span = f"{record.threat.get('low', 0.0)} {record.threat.get('high', 1.0)}"
    return record.subject.data, threat_words(record.threat), span, str(len(rows)), digest


def checksum_of(record: Record) -> str:
    """Return the checksum of a network's parameters; empty in records that have none."""
    identity = Identity.from_json(record.store.identity)
    sums = [about.model_checksum for about in identity.subjects or () if about.subject == record.subject]
    network: Any = identity.other.get("network")
    sums += [network[2]] if isinstance(network, list) and len(network) == 3 else []
    return str(sums[0])[:16] if sums else ""


def _standing(record: Record, sizes: Mapping[str, int]) -> Standing:
    model, cells = record.subject.model, record.by_attack.values()
    note = deployed_note(record.store, model)
    return Standing(
        rank=None,
        model=model,
        run="" if record.store.folder is None else record.store.folder.as_posix(),
        worst=worst_share(record),
        clean=clean_share(record),
        attacks=len(cells),
        passes=sum(float((cell.column("forwards") + cell.column("backwards")).mean()) for cell in cells),
        bytes=sizes.get(model) if note is None else note["file"]["bytes"],
        doubts=doubts(record),
    )


def _group(key: tuple[str, ...], standings: Sequence[Standing]) -> Group:
    ordered = sorted(standings, key=lambda each: (bool(each.doubts), -each.worst.value, -each.clean.value, each.model))
    data, threat, _, images, digest = key
    return Group(data, threat, int(images), digest, tuple(_ranked(ordered)))


def _ranked(ordered: Sequence[Standing]) -> list[Standing]:
    """Give those that can be trusted their ranks, equal ones the same."""
    ranked: list[Standing] = []
    for place, standing in zip(count(1), ordered, strict=False):
        tied = ranked and ranked[-1].worst.value == standing.worst.value
        rank = None if standing.doubts else ranked[-1].rank if tied else place
        ranked.append(Standing(**{**vars(standing), "rank": rank}))
    return ranked
