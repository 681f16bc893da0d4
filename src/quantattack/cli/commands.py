"""The commands: each reads its names, calls the library and prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quantattack.cli import names
from quantattack.cli.data import data as data_group
from quantattack.cli.diagnose import diagnose
from quantattack.cli.inspect import inspect
from quantattack.cli.reproduce import reproduce
from quantattack.cli.signal import signal
from quantattack.data.sets import SETS, load_data
from quantattack.descriptions import digest_of
from quantattack.errors import InputError, check_count, unknown
from quantattack.evaluate import run
from quantattack.jobs import Job, examine, prepare
from quantattack.progress import bar
from quantattack.records import Store
from quantattack.report.page import write_page
from quantattack.report.tables import print_table

app = typer.Typer(
    help="Find out what a quantized neural network's adversarial robustness really is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(data_group, name="data")
DEFAULT = "digits-mdtanhs"


@app.command()
def evaluate(
    model: Annotated[list[str], typer.Argument(help="Names of the zoo, checkpoints, or package.module:function.")] = [  # noqa: B006
        DEFAULT
    ],
    data: Annotated[str | None, typer.Option(help="Data set; else the one the model was trained on.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    norm: Annotated[str, typer.Option(help="linf, l2 or l1.")] = "linf",
    radius: Annotated[str | None, typer.Option(help="Radius, 8/255, or several, a,b,c; else the data set's.")] = None,
    attacks: Annotated[str, typer.Option(help="Attacks, a,b[steps=40]; see `quantattack list attacks`.")] = "standard",
    images: Annotated[int | None, typer.Option(help="How many test images, from the first on; else all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    batch_size: Annotated[int | None, typer.Option(help="Images attacked at once; changes no verdict.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the record; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Attack test images of a data set and print what withstood."""
    data = names.data_for(data, model)
    pixels, labels = load_data(data, data_root)
    count = _count(images, len(pixels))
    threats = names.threat_named(norm, radius, data)
    loaded = [(name, names.model_named(name, names.device_named(device))) for name in dict.fromkeys(model)]
    contexts = [
        (name, names.Context(net, threat, pixels, SETS[data].std)) for name, net in loaded for threat in threats
    ]
    jobs = [_job((name, data), context, labels[:count], attacks, seed, batch_size) for name, context in contexts]
    store = _store(jobs, seed, out)
    with store.writing(), bar(not quiet) as advance:
        for job in jobs:
            run(job, store, lambda name, done, total, at=job: advance(_task(at, len(jobs), name), done, total))  # type: ignore[misc]
    print_table(store.records(), Console())
    typer.echo(f"record: {store.folder}")


def _count(asked: int | None, there: int) -> int:
    if asked is not None:
        check_count("--images", asked)
    return there if asked is None else min(asked, there)


def _job(
    subject: tuple[str, str], context: names.Context, labels: Any, attacks: str, seed: int, size: int | None
) -> Job:
    images = context.images[: len(labels)]
    examine(context.model, images, labels, context.threat)  # before anything is fitted on the model
    found = names.attacks_named(attacks, context)
    return prepare(context.model, images, labels, found, context.threat, seed=seed, batch_size=size, names=subject)


def _store(jobs: list[Job], seed: int, out: Path | None) -> Store:
    identity = {"subjects": [job.identity for job in jobs], "seed": seed}
    first = jobs[0].subject
    model = first.model if len(jobs) == 1 else f"{len(jobs)}-evaluations"
    folder = out or Path("runs") / f"{Path(model).stem}-{first.data}-{digest_of(identity)}"
    return Store.open(folder, identity)


def _task(job: Job, jobs: int, name: str) -> str:
    return name if jobs == 1 else f"{job.subject.model} {job.threat.radius:.4g} {name}"


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Folder of a record.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a record's numbers and flags."""
    records = Store.load(run).records()
    if not records:
        raise InputError(f"{run} holds no evaluation; `quantattack report {run}` shows what it holds")
    if not as_json:
        print_table(records, Console())
        return
    rows = [record.summary() for record in records]
    typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))


app.command()(diagnose)
app.command()(inspect)
app.command()(signal)
app.command()(reproduce)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a record.")]) -> None:
    """Write a record's page, one HTML file that needs nothing else."""
    typer.echo(f"report: {write_page(run)}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a training recipe, which is the network's in the zoo.")],
    out: Annotated[Path, typer.Option(help="File of the checkpoint; the state of the training lies beside it.")],
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
) -> None:
    """Train a network; the same command continues a training that was interrupted."""
    from quantattack.training import recipes

    chosen = recipes.recipe(recipe)
    state = out.with_name(out.name + ".state")
    card = recipes.train(chosen, out, root=data_root, keep=state, progress=_said(chosen.training.epochs))
    state.unlink(missing_ok=True)
    typer.echo(f"{out}: {100 * card.clean:.2f}% of the test images right")


def _said(epochs: int) -> Callable[[Any], None]:
    def say(epoch: Any) -> None:
        right = "" if epoch.accuracy is None else f"  rounded network, test images {100 * epoch.accuracy:.2f}%"
        line = f"epoch {epoch.index + 1}/{epochs}  loss {epoch.loss:.4f}  training images {100 * epoch.training:.2f}%"
        typer.echo(line + right, err=True)

    return say


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, data or attacks.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks, the data sets or the attacks."""
    kinds = {"models": names.model_rows, "data": names.data_rows, "attacks": names.attack_rows}
    if kind not in kinds:
        raise unknown("list", kind, kinds)
    rows = kinds[kind]()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None)
    for column in rows[0] if rows else ():
        table.add_column(column, no_wrap=column == "name")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else getattr(value, "__name__", str(value))
