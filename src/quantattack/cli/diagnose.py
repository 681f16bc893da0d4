"""The command `diagnose`: can the robust accuracy be trusted? It exits with status 3 where it cannot."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import nn

from quantattack.attacks.threat import Threat, rounded_radius
from quantattack.cli import names
from quantattack.cli.deployed import Architecture, FileOptions, Layout, Mean, One, Range, RuntimeName, Std, file_options
from quantattack.cli.options import Data, DataRoot, Device, Network, NormName, Pixels, Seed
from quantattack.data.sets import load_data
from quantattack.data.sources import source_of
from quantattack.diagnostics.case import percent
from quantattack.diagnostics.diagnose import BUDGET, Diagnosis
from quantattack.diagnostics.diagnose import diagnose as find_out
from quantattack.diagnostics.recording import record_diagnosis
from quantattack.errors import InputError, check_count
from quantattack.evaluation.pixels import levels_named, usual_threat
from quantattack.types import Images, Labels

UNTRUSTED = 3  # exit status
_STYLE = {"pass": "green", "fail": "bold red", "cannot tell": "yellow"}

Radius: TypeAlias = Annotated[str | None, typer.Option(help="Radius, 8/255, per channel a:b:c; else the data set's.")]
Count: TypeAlias = Annotated[int, typer.Option(help="How many test images, from the first on.")]
Passes: TypeAlias = Annotated[
    float, typer.Option(help="Forward and backward passes per image; what does not fit is not run.")
]
Twin: TypeAlias = Annotated[str | None, typer.Option(help="A differentiable relative, such as the float network.")]
Out: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of a record to add the diagnosis to, or of a new one.")
]


def diagnose(
    model: Network,
    data: Data = None,
    data_root: DataRoot = None,
    norm: NormName = "linf",
    radius: Radius = None,
    images: Count = 100,
    budget: Passes = BUDGET,
    twin: Twin = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Out = None,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    runtime: RuntimeName = None,
    one_logit: One = False,
    pixels: Pixels = None,
) -> None:
    """Check whether a network's robust accuracy can be trusted; exit with status 3 where it cannot."""
    check_count("--images", images)
    if not budget > 0:
        raise InputError(f"--budget must be a positive number of passes, not {budget:g}")
    options = file_options(layout, range_, mean, std, runtime, data_root, one_logit, architecture)
    options.check([model, *filter(None, [twin])])
    data = names.data_for(data, [model])
    shown, labels = (tensor[:images] for tensor in load_data(data, data_root))
    asked = _Asked(model, data, shown, labels, _threat(norm, radius, data, pixels), pixels, budget, seed, options)
    diagnosis = _diagnosed(asked, twin, device, out)
    if not diagnosis.trusted:
        raise typer.Exit(UNTRUSTED)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is to be diagnosed."""

    model: str
    data: str
    images: Images
    labels: Labels
    threat: Threat
    pixels: bool | None
    budget: float
    seed: int
    options: FileOptions


def _threat(norm: str, radius: str | None, data: str, pixels: bool | None) -> Threat:
    threats = names.threat_named(norm, radius, data, levels_named(pixels))
    if len(threats) > 1:
        raise InputError("diagnose takes one radius; run it once for each")
    return threats[0]


def _on_grid(asked: _Asked, network: nn.Module) -> _Asked:
    """Return what is asked, with the grid that is usual for the network."""
    source = source_of(asked.images, asked.labels)
    return replace(asked, threat=usual_threat(network, source, asked.threat))


def _diagnosed(asked: _Asked, twin: str | None, device: str, out: Path | None) -> Diagnosis:
    """Diagnose, print and record; where the levels are free, on those that are usual for the network."""
    place = names.device_named(device)
    network = names.model_named(asked.model, place, asked.options)
    asked = _on_grid(asked, network) if asked.pixels is None else asked
    if line := rounded_radius(asked.threat):
        typer.echo(line)
    relative = None if twin is None else names.relative_named(network, twin, place, asked.options)
    diagnosis = _watched(asked, network, relative)
    show(diagnosis, Console(), asked.budget)
    if out is not None:
        subject = (network, asked.images, asked.labels, asked.threat)
        folder = record_diagnosis(diagnosis, out, *subject, names=(asked.model, asked.data), seed=asked.seed)
        typer.echo(f"record: {folder}")
    return diagnosis


def _watched(asked: _Asked, network: nn.Module, twin: nn.Module | None) -> Diagnosis:
    """Diagnose while standard error says which check is done."""
    with Console(stderr=True).status("the first checks") as status:
        return find_out(
            network,
            asked.images,
            asked.labels,
            asked.threat,
            twin=twin,
            budget=asked.budget,
            seed=asked.seed,
            pixels=asked.pixels,
            progress=lambda finding: status.update(f"{finding.check}: {finding.verdict}"),
        )


def show(diagnosis: Diagnosis, console: Console, budget: int | float) -> None:
    """Print each check, the numbers, what they cost, and what to do."""
    table = Table("check", "verdict", "passes", "evidence", box=None, padding=(0, 2, 0, 0))
    for finding in diagnosis.findings:
        verdict = Text(finding.verdict, style=_STYLE[finding.verdict])
        reason = f"{finding.code}: " if finding.code else ""
        table.add_row(finding.check, verdict, f"{finding.passes:.0f}", Text(reason + finding.evidence))
    console.print(table)
    for line in summary(diagnosis, budget):
        console.print(line, markup=False, highlight=False)


def summary(diagnosis: Diagnosis, budget: int | float) -> list[str]:
    """Return the numbers, the cost, the verdict and the advice, one line each."""
    spent = diagnosis.forwards + diagnosis.backwards
    lines = [
        f"of {diagnosis.images} images: {percent(diagnosis.clean)} right, {percent(diagnosis.pgd)} left by PGD, "
        f"{percent(diagnosis.worst)} left by everything tried here",
        f"cost per image: {diagnosis.forwards:.0f} forward and {diagnosis.backwards:.0f} backward passes, "
        f"{spent:.0f} of {budget:g}",
    ]
    unknown = sum(finding.verdict == "cannot tell" for finding in diagnosis.findings)
    lines += [f"{unknown} of {len(diagnosis.findings)} checks cannot tell"] if unknown else []
    if diagnosis.trusted:
        return [*lines, "no check speaks against PGD's number"]
    advice = dict.fromkeys(finding.advice for finding in diagnosis.failures if finding.advice)
    why = "the network misleads it" if diagnosis.masked else "it is too weak for this network, which masks nothing"
    verdict = f"PGD's number cannot be trusted, {why}: {', '.join(diagnosis.reasons)}"
    return [*lines, verdict, *(f"- {line}" for line in advice)]
