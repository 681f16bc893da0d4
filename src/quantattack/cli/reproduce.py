"""What `reproduce` does: it runs what the records of the papers' tables and figures lack, and writes the page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from quantattack.cli import names
from quantattack.data.sets import SETS, is_path
from quantattack.errors import InputError, check_count, unknown
from quantattack.nn.zoo import card_of
from quantattack.progress import bar
from quantattack.reading import exists
from quantattack.report.reproduction import print_view
from quantattack.reproduction.bench import Network, kind_of
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.own import with_networks
from quantattack.reproduction.paper import Paper
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.read import Reader
from quantattack.reproduction.run import fill
from quantattack.reproduction.scales import SCALES, Scale
from quantattack.reproduction.views import keep_missing, views

ITEM = re.compile(r"(table|figure|section)\d+[a-z]?")


@dataclass(frozen=True)
class Chosen:
    """What is to be reproduced.

    Arguments:
        paper: A paper's key; empty for all.
        words: Keys of tables and figures, and names of networks of one's own.
        only: ``headline`` for the main tables on one or two networks each.
        data: Data set of networks whose card names none.
        radius: Radius under Linf of networks of one's own.
        scale: Name of the scale.
    """

    paper: str
    words: tuple[str, ...]
    only: str | None
    data: str | None
    radius: str | None
    scale: str


def sizes_of(scale: str, budget: int | None, images: int | None) -> dict[str, Scale]:
    """Return each paper's scale with the budget and the images that were asked for."""
    return {key: sized(scale, each, budget, images) for key, each in PAPERS.items()}


def run_papers(
    chosen: Chosen, sizes: Mapping[str, Scale], out: Path | None, pages: bool, quiet: bool, **settings: Any
) -> None:
    """Run what the records lack, print the tables, and write the page.

    Arguments:
        chosen: What is to be reproduced.
        sizes: Each paper's scale.
        out: Folder of the records; one named by what was chosen where None.
        pages: Whether to run nothing and only write the pages.
        quiet: Whether to show no progress bar.
        settings: The folder of more networks, the data root, the seed, and the device's name.
    """
    papers = [PAPERS[key] for key in ([known(chosen.paper)] if chosen.paper else PAPERS)]
    items, models = split(papers, chosen.words)
    settings["device"] = str(names.device_named(settings["device"]))
    folder = out or Path("runs") / (f"{papers[0].key}-{'-'.join(items)}" if models else f"reproduce-{chosen.scale}")
    base = Plan(papers[0], (), sizes[papers[0].key], folder, **settings)
    if models:
        plans = shown = [on_own(base, items, models, chosen.data, chosen.radius)]
    else:
        plans = [planned(base, each, items, chosen.only, sizes[each.key]) for each in papers]
        shown = everything(base, sizes)
    for plan in [] if pages else plans:
        fill_and_print(plan, quiet)
    from quantattack.reproduction.page import write_pages  # with matplotlib, where figures are drawn

    typer.echo(f"page: {write_pages(shown)}")


def listed(paper: str = "") -> list[str]:
    """Return one line for each table and figure: paper, key, title."""
    chosen = [known(paper)] if paper else list(PAPERS)
    return [f"{key} {item:<10} {PAPERS[key].items[item].title}" for key in chosen for item in PAPERS[key].items]


def known(paper: str) -> str:
    """Return a paper's key, or refuse it with the nearest one."""
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    return paper


def sized(name: str, paper: Paper, budget: int | None, images: int | None) -> Scale:
    """Return a paper's scale with the budget and the images that were asked for."""
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    scale = paper.scale(name)
    if budget is not None:
        check_count("--budget", budget)
        scale = replace(scale, budget=budget)
    if images is not None:
        check_count("--images", images)
        parts = {part: min(getattr(scale, part), images) for part in ("few", "nearest", "signals", "merged")}
        scale = replace(scale, images=images, **parts)
    return scale


def split(papers: Sequence[Paper], words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which words are tables and figures, and which are networks."""
    every = {key for paper in papers for key in (*paper.items, *paper.runnable)}
    items = [word for word in words if word in every or ITEM.fullmatch(word)]
    for item in items:
        if item not in every:
            raise unknown("table or figure", item, every)
    return items, [word for word in words if word not in items]


def planned(base: Plan, paper: Paper, items: Sequence[str], only: str | None, scale: Scale) -> Plan:
    """Return what to run of a paper: the items that were named, else its headline or all of it.

    Arguments:
        base: Where its records lie, and what it is run with.
        paper: The paper.
        items: Keys of the items that were named.
        only: ``headline`` to run one or two networks of each item alone.
        scale: How large it is run.

    Raises:
        InputError: If there is no such part of a paper, or an item runs on networks of one's own alone.
    """
    if only not in (None, "headline"):
        raise InputError(f"--only must be headline, not {only!r}")
    keys = tuple(items) or tuple(paper.headline if only else paper.items)
    for key in keys:
        if key not in paper.items:
            raise InputError(f"{key} is a part of a figure; it runs on networks that you name behind it")
    return replace(base, paper=paper, items=keys, scale=scale, only=paper.headline if only else None)


def everything(plan: Plan, sizes: Mapping[str, Scale]) -> list[Plan]:
    """Return a plan of every item of each paper, where this one is: what the page shows."""
    return [
        replace(plan, paper=paper, items=tuple(paper.items), scale=sizes[key], only=None)
        for key, paper in PAPERS.items()
    ]


def fill_and_print(plan: Plan, quiet: bool) -> None:
    """Run what a plan's records lack and print the tables."""
    with bar(not quiet) as advance:
        missing = fill(plan, advance)
    keep_missing(plan, missing)
    reader = Reader(plan)
    for view in views(reader):
        print_view(view, Console())
    reader.close()
    typer.echo(f"records: {plan.out / plan.paper.key}")


def on_own(base: Plan, items: Sequence[str], models: Sequence[str], data: str | None, radius: str | None) -> Plan:
    """Return a plan of one item on networks of one's own.

    Arguments:
        base: The paper, where its records lie, and what it is run with.
        items: Keys of the items that were named.
        models: Names of the zoo, checkpoints, or package.module:function.
        data: Data set of networks whose card names none.
        radius: Radius under Linf, such as 8/255.

    Raises:
        InputError: If not one item was named, or a network cannot be used.
    """
    if len(items) != 1:
        raise InputError("name one table or figure before your networks; see `quantattack reproduce --list`")
    networks = [(name, own_network(name, data, base.device)) for name in dict.fromkeys(models)]
    paper, own = with_networks(base.paper, items[0], networks)
    size = None if radius is None else names.number(radius)
    return replace(base, paper=paper, items=tuple(items), networks=None, own=own, radius=size)


def own_network(name: str, data: str | None, device: str) -> Network:
    """Return a network with what its card says of it; one without a card needs its data set named."""
    model = names.model_named(name, names.device_named(device))
    if ":" in name and not exists(name):
        if data is None:
            raise InputError(f"{name} has no card that names its data set; give --data")
        return Network(name, model, _data(data), "")
    card = card_of(name)
    kind = kind_of(bool(card.weights), bool(card.activations), bool(card.adversarial))
    return Network(Path(name).stem, model, _data(data or card.data), kind)


def _data(name: str) -> str:
    """Return the name of a data set that the papers' settings are for."""
    if is_path(names.data_named(name)):
        raise InputError(f"the papers' settings are for {', '.join(SETS)}; attack {name} with `quantattack evaluate`")
    return name
