"""The command `reproduce`: a paper's tables and figures, on the paper's roles or on networks of one's own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from quantattack.cli import names
from quantattack.data.sets import SETS, is_path
from quantattack.errors import InputError, check_count, unknown
from quantattack.nn.zoo import card_of
from quantattack.progress import bar
from quantattack.report.reproduction import print_view
from quantattack.report.signal_tables import print_paper_table, tables
from quantattack.report.terminal import print_table
from quantattack.reproduction.bench import Bench, Network, kind_of
from quantattack.reproduction.catalog import HEADLINE, PAPERS
from quantattack.reproduction.items import Paper
from quantattack.reproduction.own import reproduce as run
from quantattack.reproduction.own import runnable
from quantattack.reproduction.read import Reader
from quantattack.reproduction.run import Plan, fill
from quantattack.reproduction.scales import SCALES, Scale, scale_of
from quantattack.reproduction.views import keep_missing, views

ITEM = re.compile(r"(table|figure|section)\d+[a-z]?")


def reproduce(
    paper: Annotated[str, typer.Argument(help=f"{', '.join(PAPERS)}; all of them if none is named.")] = "",
    words: Annotated[
        list[str] | None, typer.Argument(help="Tables and figures, all if none; then networks of your own, if any.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List every table and figure, one line each.")] = False,
    only: Annotated[str | None, typer.Option(help="headline: the main tables on one network each.")] = None,
    scale: Annotated[str, typer.Option(help=f"{', '.join(SCALES)}: how many images, restarts and steps.")] = "quick",
    networks: Annotated[Path | None, typer.Option(help="Folder of checkpoints beside those of the package.")] = None,
    budget: Annotated[int | None, typer.Option(help="Most forward and backward passes of a cell.")] = None,
    data: Annotated[str | None, typer.Option(help="Data set, for networks whose card names none.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    radius: Annotated[str | None, typer.Option(help="Radius under Linf of your own networks; else the data's.")] = None,
    images: Annotated[
        int | None, typer.Option(help="How many test images, from the first on; else the scale's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the records; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Run a paper's tables and figures and print them with the published numbers."""
    if show:
        typer.echo("\n".join(listed(paper)))
        return
    check_count("--seed", seed, least=0)
    papers = [PAPERS[key] for key in ([known(paper)] if paper else PAPERS)]
    items, models = split(papers, words or [])
    if models:
        own = Own(papers[0], items, models, data, device)
        chosen = sized(scale, papers[0], budget, images)
        size = None if radius is None else names.number(radius)
        bench = Bench(own.networks(), chosen.images, size, data_root, seed, chosen)
        own.run(bench, out, quiet)
        return
    if only not in (None, "headline"):
        raise InputError(f"--only must be headline, not {only!r}")
    sizes = {one.key: sized(scale, one, budget, images) for one in PAPERS.values()}
    folder = out or Path("runs") / f"reproduce-{scale}"
    where = str(names.device_named(device))
    plans = [
        replace(
            planned(one, items, only, sizes[one.key], folder),
            networks=networks,
            root=data_root,
            seed=seed,
            device=where,
        )
        for one in papers
    ]
    for plan in plans:
        fill_one(plan, quiet)
    from quantattack.reproduction.page import write_pages  # with matplotlib, where figures are drawn

    typer.echo(f"page: {write_pages(everything(plans[0], sizes))}")


def listed(paper: str = "") -> list[str]:
    """Return one line for each table and figure: paper, key, title."""
    chosen = [known(paper)] if paper else list(PAPERS)
    return [f"{key} {item:<10} {PAPERS[key].items[item].title}" for key in chosen for item in PAPERS[key].items]


def known(paper: str) -> str:
    """Return a paper's key, or refuse it with the nearest one."""
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    return paper


def sized(scale: str, paper: Paper, budget: int | None, images: int | None) -> Scale:
    """Return a paper's scale with the budget and the images that were asked for."""
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    found = scale_of(scale, paper.key)
    if budget is not None:
        check_count("--budget", budget)
        found = replace(found, budget=budget)
    if images is not None:
        check_count("--images", images)
        few, merged = min(found.few, images), min(found.merged, images)
        found = replace(found, images=images, few=few, merged=merged)
    return found


def split(papers: list[Paper], words: list[str]) -> tuple[list[str], list[str]]:
    """Return which words are tables and figures, and which are networks."""
    every = {key for paper in papers for key in (*paper.items, *runnable(paper))}
    items = [word for word in words if word in every or ITEM.fullmatch(word)]
    for item in items:
        if item not in every:
            raise unknown("table or figure", item, every)
    return items, [word for word in words if word not in items]


def planned(paper: Paper, items: list[str], only: str | None, scale: Scale, out: Path) -> Plan:
    """Return what to run of a paper."""
    headline = HEADLINE[paper.key]
    keys = tuple(items) or tuple(headline if only else paper.items)
    for key in keys:
        if key not in paper.items:
            raise InputError(f"{key} is a part of a figure; it runs on networks that you name behind it")
    return Plan(paper, keys, scale, out, only=headline if only else None)


def everything(plan: Plan, sizes: Mapping[str, Scale]) -> list[Plan]:
    """Return a plan of every item of each paper, where this one is: what the page shows."""
    return [
        replace(plan, paper=paper, items=tuple(paper.items), scale=sizes[paper.key], only=None)
        for paper in PAPERS.values()
    ]


def fill_one(plan: Plan, quiet: bool) -> None:
    """Run what a plan's records lack and print the tables."""
    with bar(not quiet) as advance:
        missing = fill(plan, advance)
    keep_missing(plan, missing)
    reader = Reader(plan)
    for view in views(reader):
        print_view(view, Console())
    reader.close()
    typer.echo(f"records: {plan.out / plan.paper.key}")


def _data(name: str) -> str:
    """Return the name of a data set that the papers' settings are for."""
    if is_path(names.data_named(name)):
        raise InputError(f"the papers' settings are for {', '.join(SETS)}; attack {name} with `quantattack evaluate`")
    return name


@dataclass(frozen=True)
class Own:
    """An item on networks of one's own."""

    paper: Paper
    items: list[str]
    models: list[str]
    data: str | None
    device: str

    def networks(self) -> tuple[Network, ...]:
        return tuple(self._network(name) for name in dict.fromkeys(self.models))

    def _network(self, name: str) -> Network:
        """Return a network with what its card says of it; one without a card needs its data set named."""
        net, place = names.model_named(name, names.device_named(self.device)), self.data
        if ":" in name and not Path(name).exists():
            if place is None:
                raise InputError(f"{name} has no card that names its data set; give --data")
            return Network(name, net, _data(place), "")
        card = card_of(name)
        kind = kind_of(bool(card.weights), bool(card.activations), bool(card.adversarial))
        return Network(name, net, _data(place or card.data), kind)

    def run(self, bench: Bench, out: Path | None, quiet: bool) -> None:
        if len(self.items) != 1:
            raise InputError("name one table or figure before your networks; see `quantattack reproduce --list`")
        folder = out or Path("runs") / f"{self.paper.key}-{self.items[0]}"
        with bar(not quiet) as advance:
            store = run(self.paper, self.items[0], bench, folder, advance)
        if store.records():
            print_table(store.records(), Console())
        for table in tables(store):
            print_paper_table(table, Console())
        typer.echo(f"record: {store.folder}")
