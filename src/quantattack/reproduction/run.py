"""Whatever a reproduction lacks: each cell of a paper's tables, once, in a record of its network."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.run import run
from quantattack.evaluation.task import Task, prepare
from quantattack.nn.zoo import card_of, load_model
from quantattack.progress import Advance
from quantattack.record.description import describe, stable
from quantattack.record.signals import read_signals, write_signals
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.cells import Cell, agrees, cells_of, is_done
from quantattack.reproduction.paper import Item, signals_of
from quantattack.reproduction.plan import Missing, Plan
from quantattack.reproduction.roles import Role, role_of
from quantattack.training.recipes import RECIPES


def fill(plan: Plan, advance: Advance) -> list[Missing]:
    """Run every cell that the plan's records lack, and return those that were not run.

    Arguments:
        plan: What to reproduce.
        advance: Told of each attack how many images of how many are done.

    Raises:
        InputError: If a folder cannot be written.
    """
    bench = Bench((), plan.scale.images, plan.radius, plan.root, plan.seed, plan.scale)
    missing = []
    for role, keys in plan.roles().items():
        missing += _fill_row(plan, bench, role, keys, advance)
    return missing


def _fill_row(plan: Plan, shared: Bench, role: Role, keys: list[str], advance: Advance) -> list[Missing]:
    network = network_of(plan, role)
    if network is None:
        return [_untrained(plan, role, key) for key in keys if key in plan.paper.runnable]
    bench = replace(shared, networks=(network, *_twins(plan, role)))
    cells, missing = cells_of(plan, bench, network, keys)
    for count in sorted({cell.images for cell in cells}):
        missing += _fill(plan, bench, network, [cell for cell in cells if cell.images == count], advance)
    for key in keys:
        _measure(plan, bench, network, plan.paper.items[key], advance)
    return [replace(absence, row=role.label) for absence in missing]


def _untrained(plan: Plan, role: Role, key: str) -> Missing:
    wanted = role.candidates(plan.scale.name)[0]
    folder = plan.networks or Path("networks")
    file = folder / f"{wanted}.safetensors"
    if wanted not in RECIPES:
        return Missing(key, role.label, "", f"there is no network {wanted} and no recipe; put one at {file}", "")
    command = f"quantattack train {wanted} --out {file} && {replace(plan, networks=folder).command(key)}"
    return Missing(key, role.label, "", f"there is no network {wanted}", command)


def network_of(plan: Plan, role: Role) -> Network | None:
    """Return the network that takes a role; None where there is none."""
    if role in plan.own:
        return plan.own[role]
    name = plan.checkpoint(role)
    return None if name is None else opened(name, role, plan.device)


def opened(name: str, role: Role, device: str = "cpu") -> Network:
    """Return a network with the data set that its card names, in a role's place."""
    card = card_of(name)
    told = {"clean": card.clean, "epochs": card.training.get("epochs"), "quantizer": card.quantizer}
    return Network(Path(name).stem, load_model(name).to(device), card.data or role.data, role.kind, told)


def _twins(plan: Plan, role: Role) -> tuple[Network, ...]:
    """Return the networks that images may be transferred from: the float one of the same architecture, if any."""
    if plan.own:
        return tuple(network for other, network in plan.own.items() if other != role)
    if role.kind not in ("BNN-WQ", "BNN-WAQ"):
        return ()
    twin = network_of(plan, role_of("REF", role.architecture, role.data))
    return () if twin is None else (twin,)


def _fill(plan: Plan, bench: Bench, network: Network, cells: list[Cell], advance: Advance) -> list[Missing]:
    """Run the cells of so many images that their record lacks."""
    count = cells[0].images
    try:
        store = Store.open(plan.folder(network.name, str(count)), _identity(plan, bench, network, count))
    except InputError as error:
        return [Missing(key, "", cell.name, str(error), "") for cell in cells for key in cell.items]
    with store.writing():
        fitting = [cell for cell in cells if agrees(store, network, cell)]
        wanted = [cell for cell in fitting if not is_done(store, network, cell)]
        for threat, attacks in _by_threat(wanted):
            task = _task(bench, network, threat, attacks, count)
            run([task], store, [partial(_tell, advance, task)], gallery=False)
        _note(plan, store, network)
    why = "the record holds this cell with other settings"
    others = [cell for cell in cells if cell not in fitting]
    return [Missing(key, "", cell.name, why, f"rm -r {store.folder}") for cell in others for key in cell.items]


def _note(plan: Plan, store: Store, network: Network) -> None:
    told = {"kind": network.kind, "data": network.data, **network.told}
    store.note(paper=plan.paper.key, scale=plan.scale.name, network=told)


def _identity(plan: Plan, bench: Bench, network: Network, count: int) -> dict[str, object]:
    subject = [network.name, network.data, model_checksum(network.model)]
    return {"paper": plan.paper.key, "network": subject, "images": count, "seed": bench.seed}


def _by_threat(cells: Iterable[Cell]) -> Iterator[tuple[Threat, dict[str, Attack]]]:
    groups: dict[str, tuple[Threat, dict[str, Attack]]] = {}
    for cell in cells:
        groups.setdefault(stable(describe(cell.threat)), (cell.threat, {}))[1][cell.name] = cell.attack
    yield from groups.values()


def _task(bench: Bench, network: Network, threat: Threat, attacks: Mapping[str, Attack], count: int) -> Task:
    images, labels = (tensor[:count] for tensor in bench.data(network.data))
    return prepare(network.model, images, labels, attacks, threat, seed=bench.seed, names=(network.name, network.data))


def _tell(advance: Advance, task: Task, name: str, done: int, total: int) -> None:
    advance(f"{task.subject.model} {task.threat.radius:.3g} {name}", done, total)


def _measure(plan: Plan, bench: Bench, network: Network, item: Item, advance: Advance) -> None:
    """Measure what an item wants of a network, where its record lacks it."""
    if item.measured is None:
        return
    count, what = plan.measured_images(item), signals_of(item.measured)
    store = Store.open(plan.folder(network.name, f"{what}-{count}"), _identity(plan, bench, network, count))
    with store.writing():
        if not read_signals(store.connection):
            write_signals(store.connection, item.measured(replace(bench, images=count), network))
        _note(plan, store, network)
        advance(f"{network.name} {what}", count, count)
