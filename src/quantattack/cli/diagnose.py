"""What `diagnose` does: it runs the checks on a network by name, prints them and keeps them."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import nn

from quantattack.attacks.threat import Threat, rounded_radius
from quantattack.cli import names
from quantattack.cli.deployed import FileOptions
from quantattack.data.sets import load_data
from quantattack.data.sources import source_of
from quantattack.diagnostics.case import percent
from quantattack.diagnostics.diagnose import Diagnosis
from quantattack.diagnostics.diagnose import diagnose as find_out
from quantattack.diagnostics.recording import record_diagnosis
from quantattack.errors import InputError
from quantattack.evaluation.pixels import levels_named, usual_threat
from quantattack.record.description import describe
from quantattack.types import Images, Labels

_NUMBERS = ("images", "clean", "pgd", "worst", "forwards", "backwards")
_STYLE = {"pass": "green", "fail": "bold red", "cannot tell": "yellow"}


@dataclass(frozen=True, eq=False)
class Asked:
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


def asked(
    model: str,
    data: str | None,
    images: int,
    threat: tuple[str, str | None, bool | None],
    budget: float,
    seed: int,
    options: FileOptions,
    float_model: str | None,
) -> Asked:
    """Return what is to be diagnosed, from the command's names.

    Arguments:
        model: Name of the model.
        data: Name of the data set; None for the one that the model was trained on.
        images: How many images.
        threat: The norm's name, the radius as text, and whether pixels have the 256 levels of bytes.
        budget: Passes per image.
        seed: Seed of the random numbers.
        options: How deployed files are opened.
        float_model: Name of the float network, or of another differentiable one.
    """
    norm, radius, pixels = threat
    options.check([model, *filter(None, [float_model])])
    name = names.data_for(data, [model])
    shown, labels = (tensor[:images] for tensor in load_data(name, options.root))
    return Asked(model, name, shown, labels, _threat(norm, radius, name, pixels), pixels, budget, seed, options)


def _threat(norm: str, radius: str | None, data: str, pixels: bool | None) -> Threat:
    threats = names.threat_named(norm, radius, data, levels_named(pixels))
    if len(threats) > 1:
        raise InputError("diagnose takes one radius; run it once for each")
    return threats[0]


def _on_grid(asked: Asked, network: nn.Module) -> Asked:
    """Return what is asked, with the grid that is usual for the network."""
    source = source_of(asked.images, asked.labels)
    return replace(asked, threat=usual_threat(network, source, asked.threat))


def diagnosed(asked: Asked, float_model: str | None, device: str, out: Path | None, as_json: bool = False) -> Diagnosis:
    """Diagnose, print and record; where the levels are free, on those that are usual for the network."""
    place = names.device_named(device)
    network = names.model_named(asked.model, place, asked.options)
    asked = _on_grid(asked, network) if asked.pixels is None else asked
    if line := rounded_radius(asked.threat):
        typer.echo(line, err=as_json)
    relative = None if float_model is None else names.relative_named(network, float_model, place, asked.options)
    diagnosis = _watched(asked, network, relative)
    if as_json:
        typer.echo(json.dumps(facts(asked, diagnosis), indent=2, allow_nan=False))
    else:
        show(diagnosis, Console(), asked.budget)
    if out is not None:
        subject = (network, asked.images, asked.labels, asked.threat)
        folder = record_diagnosis(diagnosis, out, *subject, names=(asked.model, asked.data), seed=asked.seed)
        typer.echo(f"record: {folder}", err=as_json)
    return diagnosis


def _watched(asked: Asked, network: nn.Module, relative: nn.Module | None) -> Diagnosis:
    """Diagnose while standard error says which check is done."""
    with Console(stderr=True).status("the first checks") as status:
        return find_out(
            network,
            asked.images,
            asked.labels,
            asked.threat,
            float_model=relative,
            budget=asked.budget,
            seed=asked.seed,
            pixels=asked.pixels,
            progress=lambda finding: status.update(f"{finding.check}: {finding.verdict}"),
        )


def facts(asked: Asked, diagnosis: Diagnosis) -> dict[str, Any]:
    """Return what `diagnose --json` prints: the numbers, the verdict, and every check."""
    numbers = {field: getattr(diagnosis, field) for field in _NUMBERS}
    verdict = {field: getattr(diagnosis, field) for field in ("trusted", "masked", "reasons")}
    about = {"model": asked.model, "data": asked.data, "threat": describe(diagnosis.threat), "budget": asked.budget}
    return {**about, **numbers, **verdict, "findings": [asdict(finding) for finding in diagnosis.findings]}


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
