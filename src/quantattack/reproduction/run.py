"""Run the cells of a paper's tables that are not yet in the networks' records."""

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
from quantattack.reproduction.recall import recall_njs
from quantattack.reproduction.roles import ROLES, Role, role_of
from quantattack.training.recipes import RECIPES


def fill(plan: Plan, advance: Advance) -> list[Missing]:
    """Run every cell that is not yet in the plan's records, and return the cells that could not be run.

    Arguments:
        plan: What to reproduce.
        advance: Progress callback, called with the cell's name, the number of finished images and their total.

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
        return [_missing_network(plan, role, key) for key in keys if key in plan.paper.runnable]
    bench = replace(shared, networks=(network, *_transfer_sources(plan, role)))
    recall_njs(plan, bench, network, _identity(plan, bench, network, plan.scale.images))
    cells, missing = cells_of(plan, bench, network, keys)
    for count in sorted({cell.images for cell in cells}):
        missing += _run_cells(plan, bench, network, [cell for cell in cells if cell.images == count], advance)
    for key in keys:
        _measure(plan, bench, network, plan.paper.items[key], advance)
    return [replace(absence, row=role.label) for absence in missing]


def _missing_network(plan: Plan, role: Role, key: str) -> Missing:
    name = role.candidates(plan.scale.name)[0]
    folder = plan.networks or Path("networks")
    file = folder / f"{name}.safetensors"
    if name not in RECIPES:
        return Missing(key, role.label, "", f"there is no network {name} and no recipe; put one at {file}", "")
    command = f"quantattack train {name} --out {file} && {replace(plan, networks=folder).command(key)}"
    return Missing(key, role.label, "", f"there is no network {name}", command)


def network_of(plan: Plan, role: Role) -> Network | None:
    """Return the loaded network that stands in for a role; None if there is none."""
    if role in plan.own:
        return plan.own[role]
    name = plan.checkpoint(role)
    return None if name is None else opened(name, role, plan.device)


def opened(name: str, role: Role, device: str = "cpu") -> Network:
    """Load a network to stand in for a role; its data set is the one its card names, else the role's."""
    card = card_of(name)
    facts = {"clean": card.clean, "epochs": card.training.get("epochs"), "quantizer": card.quantizer}
    if card.logit_scale != 1:
        facts["logit_scale"] = card.logit_scale
    return Network(Path(name).stem, load_model(name).to(device), card.data or role.data, role.kind, facts)


def _transfer_sources(plan: Plan, role: Role) -> tuple[Network, ...]:
    """Return the networks that images may be transferred from.

    For a role of the paper, the float network of its family; with the user's own networks, all the others.
    """
    if plan.own:
        return tuple(network for other, network in plan.own.items() if other != role)
    if role.kind not in ("BNN-WQ", "BNN-WAQ") or role.family not in ROLES.architectures:
        return ()
    source = network_of(plan, role_of("REF", role.family, role.data))
    return () if source is None else (source,)


def _run_cells(plan: Plan, bench: Bench, network: Network, cells: list[Cell], advance: Advance) -> list[Missing]:
    """Run those of the cells, all with one number of images, that are not yet in the record they share."""
    count = cells[0].images
    try:
        store = Store.open(plan.folder(network.name, str(count)), _identity(plan, bench, network, count))
    except InputError as error:
        return [Missing(key, "", cell.name, str(error), "") for cell in cells for key in cell.items]
    with store.writing():
        consistent = [cell for cell in cells if agrees(store, network, cell)]
        unfinished = [cell for cell in consistent if not is_done(store, network, cell)]
        for threat, attacks in _by_threat(unfinished):
            task = _task(bench, network, threat, attacks, count)
            run([task], store, [partial(_report_progress, advance, task)], gallery=False)
        _note(plan, store, network)
    why = "the record holds this cell with other settings"
    conflicting = [cell for cell in cells if cell not in consistent]
    return [Missing(key, "", cell.name, why, f"rm -r {store.folder}") for cell in conflicting for key in cell.items]


def _note(plan: Plan, store: Store, network: Network) -> None:
    facts = {"kind": network.kind, "data": network.data, **network.card_facts}
    store.note(paper=plan.paper.key, scale=plan.scale.name, network=facts)


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


def _report_progress(advance: Advance, task: Task, name: str, done: int, total: int) -> None:
    advance(f"{task.subject.model} {task.threat.radius:.3g} {name}", done, total)


def _measure(plan: Plan, bench: Bench, network: Network, item: Item, advance: Advance) -> None:
    """Measure an item's signals on a network, unless its record already has them."""
    if item.measured is None:
        return
    count, signals = plan.measured_images(item), signals_of(item.measured)
    store = Store.open(plan.folder(network.name, f"{signals}-{count}"), _identity(plan, bench, network, count))
    with store.writing():
        if not read_signals(store.connection):
            write_signals(store.connection, item.measured(replace(bench, images=count), network))
        _note(plan, store, network)
        advance(f"{network.name} {signals}", count, count)
