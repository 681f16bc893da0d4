"""A paper's table or figure on networks of one's own: one run with one record, the published numbers noted in it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, unknown
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.run import run
from quantattack.evaluation.task import Task, prepare
from quantattack.progress import Advance
from quantattack.record.signals import read_signals, write_signals
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.gupta2022.catalog import PARTS
from quantattack.reproduction.gupta2022.published import NETWORKS, PUBLISHED
from quantattack.reproduction.items import Attacked, Item, Measured, Paper


def runnable(paper: Paper) -> dict[str, Item]:
    """Return the items of a paper that run anything, and the parts of a figure that run alone."""
    whole = {key: item for key, item in paper.items.items() if item.attacked or item.measured}
    parts = PARTS if paper.key == "gupta2022" else {}
    return whole | {key: Item(whole["figure1"].title, attacked=attacked) for key, attacked in parts.items()}


def reproduce(paper: Paper, key: str, bench: Bench, out: Path | str | None, advance: Advance) -> Store:
    """Run one table or figure and return its record, finished.

    Arguments:
        paper: The paper.
        key: The item, such as ``table12``.
        bench: What it is run on.
        out: Folder of the record; None keeps it in memory.
        advance: Told of each attack or network how many images of how many are done.

    Raises:
        InputError: If the item is unknown, there is no network, or one of them cannot be used.
    """
    items = runnable(paper)
    if key not in items:
        raise unknown("table or figure", key, items)
    if not bench.networks:
        raise InputError(f"no network to run {key} on; name at least one")
    item = items[key]
    if item.attacked is not None:
        return _attack(paper, key, item.attacked, bench, out, advance)
    assert item.measured is not None
    return _measure(paper, key, item.measured, bench, out, advance)


def _attack(
    paper: Paper, key: str, attacked: Attacked, bench: Bench, out: Path | str | None, advance: Advance
) -> Store:
    jobs = [
        _job(bench, network, threat, attacks)
        for network in bench.networks
        for threat, attacks in attacked(bench, network)
    ]
    store = _open(paper, key, bench, out, {"subjects": [job.identity for job in jobs], "seed": bench.seed})
    with store.writing():
        for job in jobs:
            run([job], store, [partial(_named, advance, job)], gallery=False)
    return store


def _job(bench: Bench, network: Network, threat: Threat, attacks: Mapping[str, Attack]) -> Task:
    images, labels = (part[: bench.images] for part in bench.data(network.data))
    return prepare(network.model, images, labels, attacks, threat, seed=bench.seed, names=(network.name, network.data))


def _named(advance: Advance, job: Task, name: str, done: int, total: int) -> None:
    advance(f"{job.subject.model} {job.threat.radius:.3g} {name}", done, total)


def _measure(
    paper: Paper, key: str, measured: Measured, bench: Bench, out: Path | str | None, advance: Advance
) -> Store:
    subjects = [[part.name, part.data, model_checksum(part.model)] for part in bench.networks]
    store = _open(paper, key, bench, out, {"measured": subjects, "images": bench.images})
    with store.writing():
        done = {signal.model for signal in read_signals(store.connection)}
        for network in bench.networks:
            if network.name not in done:
                write_signals(store.connection, measured(bench, network))
            advance(network.name, bench.images, bench.images)
    return store


def _open(paper: Paper, key: str, bench: Bench, out: Path | str | None, identity: dict[str, Any]) -> Store:
    store = Store.open(out, {"paper": paper.key, "item": key, **identity})
    printed = PUBLISHED.get(key, {}) if paper.key == "gupta2022" else {}
    store.note(
        reproduces={
            "paper": paper.key,
            "source": paper.source,
            "item": key,
            "kinds": {network.name: network.kind for network in bench.networks},
            "networks": NETWORKS,
            "published": dict(printed),
        }
    )
    return store
