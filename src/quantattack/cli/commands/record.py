"""Commands that read records: show, export, merge, verify, compare, report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from quantattack.cli.commands.listing import listing
from quantattack.cli.exits import DISAGREES
from quantattack.cli.gate import Gate, share_of
from quantattack.cli.options import (
    Architecture,
    AsJson,
    Badge,
    DataRoot,
    Device,
    Folder,
    GateOn,
    Junit,
    Layout,
    Mean,
    MinRobust,
    NoPadding,
    Range,
    RuntimeName,
    Std,
    SummaryFile,
)
from quantattack.data.model_files import MODEL_FILES
from quantattack.errors import InputError
from quantattack.reading import is_folder

DEPLOYED_SUFFIXES = (".onnx", ".tflite", ".pt2", ".pte", ".xml")
MODEL_SUFFIXES = (*DEPLOYED_SUFFIXES, ".safetensors")


def show(
    run: Folder,
    as_json: AsJson = False,
    min_robust: MinRobust = None,
    gate_on: GateOn = "number",
    junit: Junit = None,
    summary: SummaryFile = None,
    badge: Badge = None,
) -> None:
    """Print a record's numbers and flags, and hold them to a gate if one is given."""
    from rich.console import Console

    from quantattack.cli.holding import hold
    from quantattack.record.store import Store
    from quantattack.report.terminal import print_table
    from quantattack.report.trust import doubts

    gate, records = Gate(share_of(min_robust), junit, summary, badge, gate_on), Store.load(run).records()
    if not records:
        raise InputError(f"{run} holds no evaluation; `quantattack report {run}` shows what it holds")
    rows = [{**record.summary(), "doubts": doubts(record)} for record in records] if as_json else []
    if as_json:
        typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))
    else:
        print_table(records, Console())
    hold(records, gate, quietly=as_json)


def export(
    run: Folder,
    out: Annotated[Path, typer.Option(help="The table: a file that ends in .csv or .parquet.")],
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Also the rows of unfinished attacks.")] = False,
) -> None:
    """Write every outcome into a table, a row for each image and attack; without those of unfinished attacks."""
    from quantattack.record.export import export as write_export
    from quantattack.record.export import unfinished_attacks

    typer.echo(f"{out}: {write_export(run, out, unfinished)} outcomes")
    for line in unfinished_attacks(run):
        typer.echo(f"- {line}{'' if unfinished else ', and left out'}: its rows are no sample of the images", err=True)


def merge(
    run: Annotated[list[Path], typer.Argument(help="Folders of the parts' records.")],
    out: Annotated[Path, typer.Option(help="Folder of the record that they are put into.")],
) -> None:
    """Put together the records of a run that was done in parts."""
    from rich.console import Console

    from quantattack.record.merge import merge as put_together
    from quantattack.report.terminal import print_table

    print_table(put_together(run, out).records(), Console())
    typer.echo(f"record: {out}")


def verify(
    run: Folder,
    data: Annotated[str | None, typer.Option(help="The record's images, where they lie elsewhere now.")] = None,
    data_root: DataRoot = None,
    device: Device = "cpu",
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    runtime: RuntimeName = None,
    no_padding: NoPadding = False,
) -> None:
    """Compute every verdict once more, from the model, the data and the saved images; exit with 4 where one differs."""
    from quantattack.cli.deployed import file_options
    from quantattack.cli.verify import verified
    from quantattack.record.store import Store

    said = file_options(layout, range_, mean, std, runtime, data_root, architecture=architecture)
    records = Store.load(run).records()
    said.check([record.subject.model for record in records] or [str(run)])
    found = [verified(record, data, data_root, device, said, padding=not no_padding) for record in records]
    if any(each.wrong for each in found):
        raise typer.Exit(DISAGREES)
    if not any(each.clean for each in found):
        raise InputError(f"{run} holds no outcome to verify yet; the same `quantattack evaluate` command continues it")


def compare(
    run: Folder,
    more: Annotated[
        list[str] | None, typer.Argument(help="More runs on the same images; networks to compare, else all.")
    ] = None,
    attack: Annotated[str | None, typer.Option(help="Compare under one attack; else under all in common.")] = None,
) -> None:
    """Put networks side by side on the same images, with paired tests, and say what quantization cost."""
    from rich.console import Console

    from quantattack.record.store import Store
    from quantattack.report.comparison import comparisons, strangers, why_not
    from quantattack.report.cost import costs
    from quantattack.report.terminal import print_comparison

    if _is_model(run):
        raise InputError(_how_to_compare(str(run), more or ()))
    runs = [run, *(Path(word) for word in more or () if is_folder(word))]
    models = [word for word in more or () if not is_folder(word)]
    records = [record for folder in dict.fromkeys(runs) for record in Store.load(folder).records()]
    compared = comparisons(records, models, attack)
    if not compared:
        raise InputError(why_not([record for record in records if not models or record.subject.model in models]))
    _check_across(strangers(records, compared), len(dict.fromkeys(runs)))
    for comparison in compared:
        print_comparison(comparison, costs(records, comparison, bool(models)), Console())


def _check_across(alone: Sequence[Path | None], runs: int) -> None:
    """Say which of several runs share nothing with the others; refuse where that is so of all."""
    if not alone:
        return
    names = " and ".join(map(str, alone)) if len(alone) == 2 else ", ".join(map(str, alone))
    asks = "attack them on the same images, under one threat, by one attack"
    if len(alone) == runs:
        raise InputError(f"no network of {names} can be compared with one of another run; {asks}")
    typer.echo(f"not compared across runs, since nothing is common to it and another: {names}; {asks}")


def _is_model(name: Path) -> bool:
    """Return whether what should be the folder of a record is a model's name or file."""
    if is_folder(name):
        return False
    carried = {row["name"] for row in listing()["models"]}
    return name.suffix.lower() in MODEL_SUFFIXES or ":" in name.name or str(name) in {*carried, *MODEL_FILES}


def _how_to_compare(first: str, others: Sequence[str]) -> str:
    """Say which commands compare two models that are not attacked yet."""
    second = others[0] if others else "MODEL"
    deployed = Path(second).suffix.lower() in DEPLOYED_SUFFIXES
    models = f"{second} --float {first} --data DATA --radius RADIUS" if deployed else f"{first} {second}"
    makes = f"`quantattack evaluate {models} --out runs/compared`"
    return f"{first} is a model; compare reads a run: {makes}, then `quantattack compare runs/compared`"


def report(run: Folder) -> None:
    """Write a record's page, one HTML file that needs nothing else."""
    from quantattack.record.store import Store

    Store.load(run).close()  # a folder that holds none is refused before what draws is imported
    from quantattack.report.page import write_page  # with matplotlib, which no other command needs

    typer.echo(f"report: {write_page(run)}")
