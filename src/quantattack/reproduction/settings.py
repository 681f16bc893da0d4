"""The settings behind a table in words: images, steps, restarts, queries and runs, beside those at full scale."""

from collections.abc import Iterable, Iterator, Mapping

from torch import nn

from quantattack.attacks.scaling.njs import Njs
from quantattack.data.sets import SETS
from quantattack.record.description import describe
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.numbers import RecordedCell
from quantattack.reproduction.paper import Item, Row
from quantattack.reproduction.read import Reader

COUNTED = ("steps", "restarts", "queries")
Counts = dict[str, set[tuple[int, int]]]  # pairs of the number here and the number at full scale, by what is counted


def settings_words(reader: Reader, key: str) -> str:
    """Return an item's settings, such as ``200 of 10000 test images; 20 steps``; empty if nothing of it was run."""
    item, paper = reader.plan.paper.items[key], reader.plan.paper
    full, counts = paper.scale("full"), Counts()
    for row in item.rows:
        shared = reader.shared(row.role, item.columns)
        for column in (column for column in item.columns if column.how not in ("clean", "quoted")):
            number, cells = reader.number(row.role, column, shared), reader.cells(row.role, column)
            if number is not None:
                there = min(full.images, SETS[reader.data(row.role)].tests)
                counts.setdefault("test images", set()).add((number.images, there))
            if number is not None and column.how in ("mean", "worst"):
                counts.setdefault("runs", set()).add((len(cells), full.runs))
        _add_attacks(counts, reader, item, row)
    if item.measured and counts:  # a spectrum pools its images and does not list them, so that it counts as one
        counts["test images"] = {max(counts["test images"])}
    return "; ".join(words for kind, pairs in counts.items() for words in _words(kind, pairs))


def _add_attacks(counts: Counts, reader: Reader, item: Item, row: Row) -> None:
    cells = [cell for column in item.columns if column.how != "signal" for cell in reader.cells(row.role, column)]
    at_full = full_settings(reader, item, row, cells) if cells and item.attacked else {}
    for record, name in cells:
        for kind in COUNTED:
            here, there = largest(record.settings(name), kind), largest(at_full.get(name), kind)
            if here > 1:
                counts.setdefault(kind, set()).add((here, max(here, there)))


def full_settings(reader: Reader, item: Item, row: Row, cells: Iterable[RecordedCell]) -> dict[str, object]:
    """Return the settings that an item's attacks have at full scale, by their names; nothing is run for it."""
    assert item.attacked is not None
    data = next(iter(cells))[0].subject.data
    network = Network("network", nn.Identity(), data, row.role.kind)
    twin = Network("twin", nn.Identity(), data, "REF")
    scale, fitted = reader.plan.paper.scale("full"), {network.name: Njs(1.0)}
    bench = Bench((network, twin), radius=reader.plan.radius, scale=scale, fitted=fitted)
    return {name: describe(attack) for _, attacks in item.attacked(bench, network) for name, attack in attacks.items()}


def largest(settings: object, key: str) -> int:
    """Return the largest whole number that a key has anywhere in nested settings; 0 if there is none."""
    return max(_values(settings, key), default=0)


def _values(settings: object, key: str) -> Iterator[int]:
    if isinstance(settings, Mapping):
        if isinstance(settings.get(key), int):
            yield settings[key]
        for inside in settings.values():
            yield from _values(inside, key)
    elif isinstance(settings, list | tuple):
        for inside in settings:
            yield from _values(inside, key)


def _words(kind: str, pairs: Iterable[tuple[int, int]]) -> Iterator[str]:
    for here, there in sorted(pairs):
        yield f"{here} of {there} {kind}" if here < there else f"{here} {kind}"
