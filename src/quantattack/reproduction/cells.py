"""The cells of a paper's tables: one attack on one network each, its cost, and whether the record has it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from quantattack.attacks.base import Attack, passes
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts
from quantattack.data.sets import SETS
from quantattack.record.description import describe, stable
from quantattack.record.file import reading
from quantattack.record.outcome import Subject
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.gupta2022.foolbox import INSTALL, NEAREST
from quantattack.reproduction.paper import Item
from quantattack.reproduction.plan import Missing, Plan
from quantattack.reproduction.scales import Scale

FORMER = {"told": "card_facts", "Hosted": "CountedModel"}  # names in older records, and what they are now
_RELATIVE_TOLERANCE = 1e-6  # settings fitted on different processors differ in their last bits


@dataclass(frozen=True, eq=False)
class Cell:
    """One attack on one network under one threat.

    Arguments:
        name: The attack's name in the record.
        threat: Perturbations that are allowed.
        attack: The attack.
        images: Number of test images it is run on.
        passes: Upper bound on its forward and backward passes, over all images.
        items: Keys of the tables and figures that show the cell.
    """

    name: str
    threat: Threat
    attack: Attack
    images: int
    passes: int
    items: tuple[str, ...]


def cells_of(plan: Plan, bench: Bench, network: Network, keys: Sequence[str]) -> tuple[list[Cell], list[Missing]]:
    """Return the distinct cells of some items on a network that can be run, and those that cannot.

    Arguments:
        plan: What to reproduce.
        bench: Context that the attacks are built in.
        network: The network.
        keys: Keys of the items.
    """
    cells = _distinct_cells(plan, bench, network, keys)
    limit = plan.scale.budget
    costly = [] if limit is None else [cell for cell in cells if cell.passes > limit]
    missing = [_over_budget(plan, cell, key) for cell in costly for key in cell.items]
    missing += [_not_installed(plan, key, name) for key in keys for name in _unavailable(plan.paper.items[key], cells)]
    return [cell for cell in cells if cell not in costly], missing


def _distinct_cells(plan: Plan, bench: Bench, network: Network, keys: Sequence[str]) -> list[Cell]:
    cells: dict[tuple[str, str], Cell] = {}
    for key in keys:
        for name, threat, attack in _attacks(plan.paper.items[key], bench, network):
            identity = stable(describe(threat)), name
            other_items = cells[identity].items if identity in cells else ()
            cells[identity] = _cell(plan.scale, network, name, threat, attack, (*other_items, key))
    return list(cells.values())


def _attacks(item: Item, bench: Bench, network: Network) -> Iterator[tuple[str, Threat, Attack]]:
    for threat, attacks in item.attacked(bench, network) if item.attacked else ():
        for name, attack in attacks.items():
            yield name, threat, attack


def _cell(scale: Scale, network: Network, name: str, threat: Threat, attack: Attack, items: tuple[str, ...]) -> Cell:
    images = images_of(scale, name, attack)
    return Cell(name, threat, attack, images, images * passes(attack, SETS[network.data].classes), items)


def images_of(scale: Scale, name: str, attack: Attack | None) -> int:
    """Return an attack's number of images: `nearest` if minimum-norm, `merged` with restarts, `images` otherwise."""
    if name in NEAREST:
        return scale.nearest
    return scale.merged if isinstance(attack, Restarts | Ensemble) else scale.images


def _unavailable(item: Item, cells: Iterable[Cell]) -> list[str]:
    """Return the names of an item's Foolbox attacks, if Foolbox is not installed."""
    available = {cell.name for cell in cells}
    return [column.name for column in item.columns if column.name in NEAREST and column.name not in available]


def _not_installed(plan: Plan, key: str, name: str) -> Missing:
    return Missing(key, "", name, "foolbox is not installed", f"{INSTALL} && {plan.command(key)}")


def _over_budget(plan: Plan, cell: Cell, key: str) -> Missing:
    why = f"it may take {cell.passes} passes and the budget is {plan.scale.budget}"
    return Missing(key, "", cell.name, why, plan.command(key, f"--budget {cell.passes}"))


def agrees(store: Store, network: Network, cell: Cell) -> bool:
    """Return whether a record has no cell of this name and threat, or one with the same settings."""
    row = _row_of(store, network, cell)
    return row is None or alike(json.loads(row[1]), json.loads(stable(describe(cell.attack))))


def is_done(store: Store, network: Network, cell: Cell) -> bool:
    """Return whether a record has a cell's outcome on every image."""
    row = _row_of(store, network, cell)
    return row is not None and len(store.done(row[0])) == cell.images


def _row_of(store: Store, network: Network, cell: Cell) -> tuple[int, str] | None:
    subject = Subject(network.name, network.data, stable(describe(cell.threat)))
    key = (subject.model, subject.data, subject.threat, cell.name)
    query = "SELECT id, settings FROM cell WHERE model = ? AND data = ? AND threat = ? AND attack = ?"
    with reading(store.connection):
        row = store.connection.execute(query, key).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def alike(a: object, b: object) -> bool:
    """Return whether two settings are equal up to a relative tolerance of 1e-6 in their numbers.

    A setting that is None or an empty list counts as absent, and a name may be a former one, since a record may be
    older than either.
    """
    if isinstance(a, float | int) and isinstance(b, float | int):
        return abs(a - b) <= _RELATIVE_TOLERANCE * max(abs(a), abs(b))
    if isinstance(a, dict) and isinstance(b, dict):
        a, b = (
            {FORMER.get(key, key): value for key, value in settings.items() if value not in (None, [])}
            for settings in (a, b)
        )
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(_renamed(a) == _renamed(b))


def _renamed(value: object) -> object:
    """Return a network's description, its class and its digest, with the class's present name."""
    name, colon, digest = value.partition(":") if isinstance(value, str) else ("", "", "")
    return FORMER[name] + colon + digest if name in FORMER else value
