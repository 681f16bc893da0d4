"""Whatever a reproduction lacks: each cell of a paper's tables, once, in a record of its network."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from quantattack.attacks.base import Attack, passes
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts
from quantattack.data.sets import SETS
from quantattack.errors import InputError
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.run import run
from quantattack.evaluation.task import Task, prepare
from quantattack.nn.zoo import card_of, load_model, models
from quantattack.progress import Advance
from quantattack.record.description import describe, stable
from quantattack.record.outcome import Subject
from quantattack.record.signals import read_signals, write_signals
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.gupta2022.attacks import against_beta, clever, propagated
from quantattack.reproduction.gupta2022.foolbox import INSTALL, NEAREST
from quantattack.reproduction.items import Item, Measured, Paper, Row
from quantattack.reproduction.roles import Role, role
from quantattack.reproduction.scales import Scale
from quantattack.training.recipes import RECIPES

_SAME = 1e-6  # settings that were fitted on another processor differ in their last bits


@dataclass(frozen=True, eq=False)
class Plan:
    """What to reproduce of a paper, and where.

    Arguments:
        paper: The paper.
        items: Keys of its items.
        scale: Images, restarts, runs, steps, and the budget of a cell.
        out: Folder of the records; each paper has a folder in it.
        networks: Folder of checkpoints, by name, beside those that the package carries.
        root: Folder of the data sets.
        seed: Seed of every random number.
        only: Kind and architecture of the one network of each item; every network where an item is not among them.
        stand_in: Returns the name of a network for a role, in place of the zoo's.
        device: Where the networks run.
    """

    paper: Paper
    items: tuple[str, ...]
    scale: Scale
    out: Path
    networks: Path | None = None
    root: str | None = None
    seed: int = 0
    only: Mapping[str, tuple[str, str]] | None = None
    stand_in: Callable[[Role], str] | None = None
    device: str = "cpu"

    def rows(self) -> dict[Role, list[str]]:
        """Return the roles with the items that each is part of."""
        found: dict[Role, list[str]] = {}
        for key in self.items:
            for row in self.chosen(key):
                found.setdefault(row.role, []).append(key)
        return found

    def chosen(self, key: str) -> tuple[Row, ...]:
        """Return an item's networks: all, or the first of the kind and architecture that was asked for."""
        rows, only = self.paper.items[key].rows, (self.only or {}).get(key)
        if only is None:
            return rows
        return tuple(row for row in rows if only == (row.role.kind, row.role.architecture))[:1]

    def network(self, part: Role) -> str | None:
        """Return the checkpoint or the zoo's name of the network that takes a role; None where there is none."""
        if self.stand_in is not None:
            return self.stand_in(part)
        for name in part.candidates(self.scale.name):
            path = None if self.networks is None else self.networks / f"{name}.safetensors"
            if path is not None and path.is_file():
                return str(path)
            if name in {one.name for one in models()}:
                return name
        return None

    def folder(self, network: str, what: str) -> Path:
        """Return the folder of a network's record of so many images, or of its signals."""
        return self.out / self.paper.key / f"{Path(network).stem}-{what}"


@dataclass(frozen=True)
class Missing:
    """A cell that was not run.

    Arguments:
        item: Key of the table or figure.
        row: The network's label.
        cell: The attack's name; empty where no cell of the row was run.
        why: The reason.
        command: What would run it.
    """

    item: str
    row: str
    cell: str
    why: str
    command: str


@dataclass(frozen=True, eq=False)
class Cell:
    """One attack on one network under one threat."""

    name: str
    threat: Threat
    attack: Attack
    images: int
    passes: int
    items: tuple[str, ...]


def fill(plan: Plan, advance: Advance) -> list[Missing]:
    """Run every cell that the plan's records lack, and return those that were not run.

    Arguments:
        plan: What to reproduce.
        advance: Told of each attack how many images of how many are done.

    Raises:
        InputError: If a folder cannot be written.
    """
    shared = Bench((), plan.scale.images, None, plan.root, plan.seed, plan.scale)
    missing = []
    for part, keys in plan.rows().items():
        missing += _row(plan, shared, part, keys, advance)
    return missing


def _row(plan: Plan, shared: Bench, part: Role, keys: list[str], advance: Advance) -> list[Missing]:
    name = plan.network(part)
    if name is None:
        return [_untrained(plan, part, key) for key in keys if _runs(plan.paper.items[key])]
    network = opened(name, part, plan.device)
    bench = replace(shared, networks=(network, *_twin(plan, part)))
    cells, missing = _cells(plan, bench, network, keys)
    for count in sorted({cell.images for cell in cells}):
        missing += _fill(plan, bench, network, [cell for cell in cells if cell.images == count], advance)
    for key in keys:
        _measure(plan, bench, network, plan.paper.items[key], advance)
    return [replace(one, row=part.label) for one in missing]


def _runs(item: Item) -> bool:
    return item.attacked is not None or item.measured is not None


def _untrained(plan: Plan, part: Role, key: str) -> Missing:
    wanted = part.candidates(plan.scale.name)[0]
    folder = plan.networks or Path("networks")
    file = folder / f"{wanted}.safetensors"
    if wanted not in RECIPES:
        return Missing(key, part.label, "", f"there is no network {wanted} and no recipe; put one at {file}", "")
    again = command(replace(plan, networks=folder), key)
    return Missing(
        key, part.label, "", f"there is no network {wanted}", f"quantattack train {wanted} --out {file} && {again}"
    )


def opened(name: str, part: Role, device: str = "cpu") -> Network:
    """Return a network with the data set that its card names, in a role's place."""
    card = card_of(name)
    told = {"clean": card.clean, "epochs": card.training.get("epochs"), "quantizer": card.quantizer}
    return Network(Path(name).stem, load_model(name).to(device), card.data or part.data, part.kind, told)


def _twin(plan: Plan, part: Role) -> tuple[Network, ...]:
    """Return the float network of the same architecture, from which images are transferred, if it is there."""
    if part.kind not in ("BNN-WQ", "BNN-WAQ"):
        return ()
    other = role("REF", part.architecture, part.data)
    name = plan.network(other)
    return () if name is None else (opened(name, other, plan.device),)


def _cells(plan: Plan, bench: Bench, network: Network, keys: list[str]) -> tuple[list[Cell], list[Missing]]:
    """Return the cells of some items on a network, each once, and those that cost too much."""
    found: dict[tuple[str, str], Cell] = {}
    for key in keys:
        attacked = plan.paper.items[key].attacked
        for threat, attacks in attacked(bench, network) if attacked else ():
            for name, attack in attacks.items():
                place = stable(describe(threat)), name
                before = found[place].items if place in found else ()
                found[place] = _cell(plan.scale, network, name, threat, attack, (*before, key))
    limit = plan.scale.budget
    dear = [] if limit is None else [cell for cell in found.values() if cell.passes > limit]
    missing = [_dear(plan, cell, key) for cell in dear for key in cell.items]
    missing += [_foreign(plan, key, name) for key in keys for name in _absent(plan.paper.items[key], found.values())]
    return [cell for cell in found.values() if cell not in dear], missing


def _absent(item: Item, cells: Iterable[Cell]) -> list[str]:
    """Return the attacks from elsewhere that an item wants and that are not to be had."""
    there = {cell.name for cell in cells}
    return [column.name for column in item.columns if column.name in NEAREST and column.name not in there]


def _foreign(plan: Plan, key: str, name: str) -> Missing:
    return Missing(key, "", name, "foolbox is not installed", f"{INSTALL} && {command(plan, key)}")


def _cell(scale: Scale, network: Network, name: str, threat: Threat, attack: Attack, items: tuple[str, ...]) -> Cell:
    images = images_of(scale, name, attack)
    return Cell(name, threat, attack, images, images * passes(attack, SETS[network.data].classes), items)


def images_of(scale: Scale, name: str, attack: Any) -> int:
    """Return how many images an attack gets at a scale: fewer with restarts, the fewest for the nearest image."""
    if name in NEAREST:
        return scale.few
    return scale.merged if isinstance(attack, Restarts | Ensemble) else scale.images


def _dear(plan: Plan, cell: Cell, key: str) -> Missing:
    why = f"it may take {cell.passes} passes and the budget is {plan.scale.budget}"
    return Missing(key, "", cell.name, why, command(plan, key, f"--budget {cell.passes}"))


def command(plan: Plan, key: str, *more: str) -> str:
    """Return the command that runs an item of the plan."""
    where = [f"--networks {plan.networks}"] if plan.networks is not None else []
    parts = [plan.paper.key, key, f"--scale {plan.scale.name}", *where, *more, f"--out {plan.out}"]
    return f"quantattack reproduce {' '.join(parts)}"


def _fill(plan: Plan, bench: Bench, network: Network, cells: list[Cell], advance: Advance) -> list[Missing]:
    """Run the cells of so many images that their record lacks."""
    count = cells[0].images
    try:
        store = Store.open(plan.folder(network.name, str(count)), _identity(plan, bench, network, count))
    except InputError as error:
        return [Missing(key, "", cell.name, str(error), "") for cell in cells for key in cell.items]
    with store.writing():
        missing = [
            Missing(key, "", cell.name, "the record holds this cell with other settings", f"rm -r {store.folder}")
            for cell in cells
            if not _agrees(store, network, cell)
            for key in cell.items
        ]
        wanted = [cell for cell in cells if _agrees(store, network, cell) and not _done(store, network, cell)]
        for threat, attacks in _by_threat(wanted):
            job = _job(bench, network, threat, attacks, count)
            run(job, store, partial(_named, advance, job), gallery=False)
        _note(plan, store, network)
    return missing


def _note(plan: Plan, store: Store, network: Network) -> None:
    told = {"kind": network.kind, "data": network.data, **network.told}
    store.note(paper=plan.paper.key, scale=plan.scale.name, network=told)


def _identity(plan: Plan, bench: Bench, network: Network, count: int) -> dict[str, Any]:
    subject = [network.name, network.data, model_checksum(network.model)]
    return {"paper": plan.paper.key, "network": subject, "images": count, "seed": bench.seed}


def _by_threat(cells: Iterable[Cell]) -> Iterator[tuple[Threat, dict[str, Attack]]]:
    groups: dict[str, tuple[Threat, dict[str, Attack]]] = {}
    for cell in cells:
        groups.setdefault(stable(describe(cell.threat)), (cell.threat, {}))[1][cell.name] = cell.attack
    yield from groups.values()


def _job(bench: Bench, network: Network, threat: Threat, attacks: Mapping[str, Attack], count: int) -> Task:
    images, labels = (part[:count] for part in bench.data(network.data))
    return prepare(network.model, images, labels, attacks, threat, seed=bench.seed, names=(network.name, network.data))


def _named(advance: Advance, job: Task, name: str, done: int, total: int) -> None:
    advance(f"{job.subject.model} {job.threat.radius:.3g} {name}", done, total)


def _row_of(store: Store, network: Network, cell: Cell) -> tuple[int, str] | None:
    subject = Subject(network.name, network.data, stable(describe(cell.threat)))
    key = (subject.model, subject.data, subject.threat, cell.name)
    query = "SELECT id, settings FROM cell WHERE model = ? AND data = ? AND threat = ? AND attack = ?"
    row = store.connection.execute(query, key).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def _agrees(store: Store, network: Network, cell: Cell) -> bool:
    row = _row_of(store, network, cell)
    return row is None or alike(json.loads(row[1]), json.loads(stable(describe(cell.attack))))


def _done(store: Store, network: Network, cell: Cell) -> bool:
    row = _row_of(store, network, cell)
    return row is not None and len(store.done(row[0])) == cell.images


def alike(a: Any, b: Any) -> bool:
    """Return whether two settings are the same but for the last bits of their numbers.

    A setting that is None or empty counts as one that is not there: a record may be older than the setting.
    """
    if isinstance(a, float | int) and isinstance(b, float | int):
        return abs(a - b) <= _SAME * max(abs(a), abs(b))
    if isinstance(a, dict) and isinstance(b, dict):
        a, b = ({key: value for key, value in part.items() if value not in (None, [])} for part in (a, b))
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b)


FULLER: Mapping[Measured, Measured] = {against_beta: propagated}  # one measurement serves both


def _measure(plan: Plan, bench: Bench, network: Network, item: Item, advance: Advance) -> None:
    """Measure what an item wants of a network, where its record lacks it."""
    if item.measured is None:
        return
    measured = FULLER.get(item.measured, item.measured)
    count = plan.scale.few if measured is clever else plan.scale.images
    folder = plan.folder(network.name, f"{signals_of(measured)}-{count}")
    store = Store.open(folder, _identity(plan, bench, network, count))
    with store.writing():
        if not read_signals(store.connection):
            write_signals(store.connection, measured(replace(bench, images=count), network))
        _note(plan, store, network)
        advance(f"{network.name} {signals_of(measured)}", count, count)


def signals_of(measured: Measured) -> str:
    """Return the name of what is measured, which is its folder's ending."""
    return str(FULLER.get(measured, measured).__name__)
