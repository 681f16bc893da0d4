"""The command `reproduce`: a paper's table or figure on networks of one's own, with the published numbers beside."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from quantattack.cli import names
from quantattack.errors import InputError, check_count, unknown
from quantattack.nn.zoo import card_of
from quantattack.papers.gupta2022 import ITEMS, PAPER, Bench, Network, kind_of
from quantattack.papers.gupta2022 import reproduce as run
from quantattack.progress import bar
from quantattack.report.signal_tables import print_paper_table, tables
from quantattack.report.tables import print_table

PAPERS = (PAPER,)


def reproduce(
    paper: Annotated[str, typer.Argument(help=f"{', '.join(PAPERS)}.")],
    item: Annotated[str, typer.Argument(help=f"{', '.join(ITEMS)}.")],
    model: Annotated[list[str], typer.Argument(help="Names of the zoo, checkpoints, or package.module:function.")],
    data: Annotated[str | None, typer.Option(help="Data set, for networks whose card names none.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    radius: Annotated[str | None, typer.Option(help="Radius under Linf, 8/255; else the data set's.")] = None,
    images: Annotated[int, typer.Option(help="How many test images, from the first on.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the record; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Run a paper's table or figure and print it with the published numbers."""
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    check_count("--images", images)
    check_count("--seed", seed, least=0)
    if item not in ITEMS:
        raise unknown("table or figure", item, ITEMS)
    networks = tuple(_network(name, data, device) for name in dict.fromkeys(model))
    bench = Bench(networks, images, None if radius is None else names.number(radius), data_root, seed)
    folder = out or Path("runs") / f"{paper}-{item}"
    with bar(not quiet) as advance:
        store = run(item, bench, folder, advance)
    if store.records():
        print_table(store.records(), Console())
    for table in tables(store):
        print_paper_table(table, Console())
    typer.echo(f"record: {store.folder}")


def _network(name: str, data: str | None, device: str) -> Network:
    """Return a network with what its card says of it; one without a card needs its data set named."""
    net, place = names.model_named(name, names.device_named(device)), data
    if ":" in name and not Path(name).exists():
        if place is None:
            raise InputError(f"{name} has no card that names its data set; give --data")
        return Network(name, net, names.data_named(place), "")
    card = card_of(name)
    kind = kind_of(bool(card.weights), bool(card.activations), bool(card.adversarial))
    return Network(name, net, names.data_named(place or card.data), kind)
