"""Commands that read records: show, export, merge, verify, compare."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from quantattack.attacks.norms import norm_named
from quantattack.attacks.pixel_radii import PixelRadii
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.deployed import FileOptions, Layout, Mean, Range, RuntimeName, Std, file_options, noted_options
from quantattack.cli.options import NoPadding
from quantattack.data.streams import stream_data
from quantattack.errors import InputError
from quantattack.evaluation.verify import verify as compute_again
from quantattack.record.export import export as write_export
from quantattack.record.export import unfinished_attacks
from quantattack.record.merge import merge as put_together
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons
from quantattack.report.tables import threat_words
from quantattack.report.terminal import print_comparison, print_table

WRONG = 4  # exit code
Folder = Annotated[Path, typer.Argument(help="Folder of a record.")]


def show(run: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print a record's numbers and flags."""
    records = Store.load(run).records()
    if not records:
        raise InputError(f"{run} holds no evaluation; `quantattack report {run}` shows what it holds")
    if not as_json:
        print_table(records, Console())
        return
    rows = [record.summary() for record in records]
    typer.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))


def export(
    run: Folder,
    out: Annotated[Path, typer.Option(help="The table: a file that ends in .csv or .parquet.")],
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Also the rows of unfinished attacks.")] = False,
) -> None:
    """Write every outcome into a table, a row for each image and attack; without those of unfinished attacks."""
    typer.echo(f"{out}: {write_export(run, out, unfinished)} outcomes")
    for line in unfinished_attacks(run):
        typer.echo(f"- {line}{'' if unfinished else ', and left out'}: its rows are no sample of the images", err=True)


def merge(
    run: Annotated[list[Path], typer.Argument(help="Folders of the parts' records.")],
    out: Annotated[Path, typer.Option(help="Folder of the record that they are put into.")],
) -> None:
    """Put together the records of a run that was done in parts."""
    print_table(put_together(run, out).records(), Console())
    typer.echo(f"record: {out}")


def verify(
    run: Folder,
    data: Annotated[str | None, typer.Option(help="The record's images, where they lie elsewhere now.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    runtime: RuntimeName = None,
    no_padding: NoPadding = False,
) -> None:
    """Compute every verdict once more, from the model, the data and the saved images; exit with 4 where one differs."""
    said, records = file_options(layout, range_, mean, std, runtime, data_root), Store.load(run).records()
    said.check([record.subject.model for record in records] or [str(run)])
    agreeing = [_agrees(record, data, data_root, device, said, padding=not no_padding) for record in records]
    if not agreeing:
        raise InputError(f"{run} holds no evaluation to verify")
    if not all(agreeing):
        raise typer.Exit(WRONG)


def compare(
    run: Folder,
    model: Annotated[list[str] | None, typer.Argument(help="Networks of the record; else all.")] = None,
    attack: Annotated[str | None, typer.Option(help="Compare under one attack; else under all in common.")] = None,
) -> None:
    """Put networks side by side on the same images, with paired tests."""
    compared = comparisons(Store.load(run).records(), model or (), attack)
    if not compared:
        raise InputError(f"{run} holds no two networks on the same data set under the same threat")
    for comparison in compared:
        print_comparison(comparison, Console())


def _agrees(
    record: Record, data: str | None, data_root: str | None, device: str, said: FileOptions, padding: bool
) -> bool:
    """Verify one evaluation, print what disagrees, and return whether nothing does."""
    subject, options = record.subject, noted_options(record, data_root) if said == FileOptions() else said
    images = stream_data(names.data_named(data or subject.data), data_root)
    model = names.model_named(subject.model, names.device_named(device), options)
    verified = compute_again(record, model, images, threat_of(record), padding)
    typer.echo(f"{subject.model} on {subject.data}, {threat_words(record.threat)}:")
    for line in verified.wrong:
        typer.echo(f"- {line}")
    typer.echo(
        f"  {verified.clean} clean predictions and {verified.attacked} attacked images computed again, "
        f"{verified.files} checksums; {len(verified.wrong)} disagree; {verified.unsaved} attacked images were not saved"
    )
    if verified.proofs or verified.unproved:
        typer.echo(
            f"  {verified.proofs} proofs computed again; {verified.unproved} by a solver were not searched again"
        )
    return not verified.wrong


def threat_of(record: Record) -> Threat:
    """Return the threat that a record describes."""
    about: dict[str, Any] = dict(record.threat)
    norm = about.pop("norm", "")
    about.pop("part", None)
    try:
        if "each" in about:
            about["each"] = _each_of(about["each"])
        return Threat(norm_named(str(norm["part"] if isinstance(norm, dict) else norm)), **about)
    except (TypeError, KeyError, ValueError):
        raise InputError(f"no threat can be made of {record.subject.threat[:200]}; verify it in Python") from None


def _each_of(about: dict[str, Any]) -> PixelRadii:
    """Return the pixels' own radii that a record describes; those that it holds a digest of cannot be known."""
    return PixelRadii(np.reshape(about["numbers"], about["shape"]))
