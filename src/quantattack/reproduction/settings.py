"""The settings behind a table in words: images, steps, restarts, queries and runs, beside those at full scale."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import nn

from quantattack.attacks.base import Attack
from quantattack.attacks.scaling.njs import Njs
from quantattack.data.sets import SETS
from quantattack.record.description import describe
from quantattack.reproduction.bench import Bench, Network, attack_of
from quantattack.reproduction.numbers import RecordedCell, mappings_in
from quantattack.reproduction.paper import Item, Row, label
from quantattack.reproduction.read import Reader
from quantattack.reproduction.roles import DATA
from quantattack.reproduction.scales import Scale

COUNTED = ("steps", "restarts", "queries")
Pair = tuple[int, int]  # the number here and the number at full scale
Place = tuple[str, str]  # how an item calls an attack, and a data set
Counts = dict[str, dict[Pair, list[Place]]]  # where a pair is found, by what is counted


def settings_words(reader: Reader, key: str) -> str:
    """Return an item's settings, such as ``200 of 10000 test images; 20 steps``; empty if nothing of it was run."""
    item, full, counts = reader.plan.paper.items[key], reader.plan.paper.scale("full"), Counts()
    for row in item.rows:
        shared = reader.shared(row.role, item.columns)
        for column in (column for column in item.columns if column.how not in ("clean", "quoted")):
            number, cells = reader.number(row.role, column, shared), reader.cells(row.role, column)
            if number is not None:
                there = item.measured_images(full) if column.how == "signal" else full.images
                there = min(there, SETS[reader.data(row.role)].tests)
                _add(counts, "test images", (number.images, max(number.images, there)))
            if number is not None and column.how in ("mean", "worst"):
                _add(counts, "runs", (len(cells), item.runs or full.runs))
        _add_attacks(counts, reader, item, row)
    if item.measured and counts:  # a spectrum pools its images and does not list them, so that it counts as one
        counts["test images"] = {max(counts["test images"]): []}
    return "; ".join(words for kind, pairs in counts.items() for words in _words(kind, pairs))


def _add(counts: Counts, kind: str, pair: Pair, place: Place = ("", "")) -> None:
    places = counts.setdefault(kind, {}).setdefault(pair, [])
    if place not in places:
        places.append(place)


def _add_attacks(counts: Counts, reader: Reader, item: Item, row: Row) -> None:
    cells = [cell for column in item.columns if column.how != "signal" for cell in reader.cells(row.role, column)]
    at_full = full_settings(reader, item, row, cells) if cells and item.attacked else {}
    for record, name in cells:
        for kind in COUNTED:
            here, there = largest(record.settings(name), kind), largest(at_full.get(name), kind)
            if here > 1:
                there = there if kind != "steps" or item.steps is None else min(there, item.steps)
                _add(counts, kind, (here, max(here, there)), (attack_label(item, name), record.subject.data))


def attack_label(item: Item, name: str) -> str:
    """Return how an item calls an attack, whichever of its runs it is."""
    alone = any(column.name == name for column in item.columns)
    return label(item, name if alone else attack_of(name) or name)


def full_settings(reader: Reader, item: Item, row: Row, cells: Iterable[RecordedCell]) -> dict[str, object]:
    """Return the settings that an item's attacks have at full scale, by their names; nothing is run for it."""
    data = next(iter(cells))[0].subject.data
    attacks = built_attacks(reader, item, row, data, reader.plan.paper.scale("full"))
    return {name: describe(attack) for name, attack in attacks.items()}


def built_attacks(reader: Reader, item: Item, row: Row, data: str, scale: Scale) -> dict[str, Attack]:
    """Return an item's attacks on a data set at a scale, by their names, built for a network that does nothing."""
    assert item.attacked is not None
    network = Network("network", nn.Identity(), data, row.role.kind)
    twin = Network("twin", nn.Identity(), data, "REF")
    bench = Bench((network, twin), radius=reader.plan.radius, scale=scale, fitted={network.name: Njs(1.0)})
    return {name: attack for _, attacks in item.attacked(bench, network) for name, attack in attacks.items()}


def largest(settings: object, key: str) -> int:
    """Return the largest whole number that a key has anywhere in nested settings; 0 if there is none."""
    values = [inside.get(key) for inside in mappings_in(settings)]
    return max((value for value in values if isinstance(value, int)), default=0)


def _words(kind: str, pairs: Mapping[Pair, Sequence[Place]]) -> Iterator[str]:
    """Yield a phrase for each number; those beside the most common one name what they are of."""
    common = max(pairs, key=lambda pair: len(pairs[pair]))
    for here, there in sorted(pairs, key=lambda pair: (pair != common, pair)):
        number = f"{here} of {there} {kind}" if here < there else f"{here} {kind}"
        others = [place for pair, places in pairs.items() if pair != (here, there) for place in places]
        yield number + ("" if (here, there) == common else _where(pairs[here, there], others))


def _where(places: Sequence[Place], others: Sequence[Place]) -> str:
    """Return the attacks, or else the data sets, that no other number is of; empty if neither tells them apart."""
    attacks, sets = ([dict.fromkeys(place[part] for place in each) for each in (places, others)] for part in (0, 1))
    if not attacks[0].keys() & attacks[1].keys() and "" not in attacks[0]:
        return f" for {', '.join(attacks[0])}"
    if not sets[0].keys() & sets[1].keys() and "" not in sets[0]:
        return f" on {', '.join(DATA.get(name, name) for name in sets[0])}"
    return ""
