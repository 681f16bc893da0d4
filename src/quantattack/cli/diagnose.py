"""The command `diagnose`: can the robust accuracy be trusted?  It leaves with 3 where it cannot."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.cli import names
from quantattack.data.sets import load_data
from quantattack.diagnostics.case import percent
from quantattack.diagnostics.diagnose import BUDGET, Diagnosis
from quantattack.diagnostics.diagnose import diagnose as look
from quantattack.diagnostics.recording import record_diagnosis
from quantattack.errors import InputError, check_count

UNTRUSTED = 3  # exit code
_STYLE = {"pass": "green", "fail": "bold red", "cannot tell": "yellow"}


def diagnose(
    model: Annotated[str, typer.Argument(help="Name of the zoo, checkpoint, or package.module:function.")],
    data: Annotated[
        str | None, typer.Option(help="Data set, an .npz, or a folder of images; else what the model was trained on.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    norm: Annotated[str, typer.Option(help="linf, l2 or l1.")] = "linf",
    radius: Annotated[str | None, typer.Option(help="Radius, 8/255; else the data set's.")] = None,
    images: Annotated[int, typer.Option(help="How many test images, from the first on.")] = 100,
    budget: Annotated[
        float, typer.Option(help="Forward and backward passes an image; what does not fit is not run.")
    ] = BUDGET,
    twin: Annotated[str | None, typer.Option(help="A differentiable relative, such as the float network.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    out: Annotated[
        Path | None, typer.Option(help="Folder of a record to add the diagnosis to, or of a new one.")
    ] = None,
) -> None:
    """Check whether a network's robust accuracy can be trusted; exit with 3 where it cannot."""
    check_count("--images", images)
    if not budget > 0:
        raise InputError(f"--budget must be a positive number of passes, not {budget:g}")
    data = names.data_for(data, [model])
    shown, labels = (part[:images] for part in load_data(data, data_root))
    threats = names.threat_named(norm, radius, data)
    if len(threats) > 1:
        raise InputError("diagnose takes one radius; run it once for each")
    place = names.device_named(device)
    net, relative = (None if name is None else names.model_named(name, place) for name in (model, twin))
    assert net is not None
    with Console(stderr=True).status("the first checks") as status:
        told = lambda finding: status.update(f"{finding.check}: {finding.verdict}")  # noqa: E731
        found = look(net, shown, labels, threats[0], twin=relative, budget=budget, seed=seed, progress=told)
    show(found, Console(), budget)
    if out is not None:
        typer.echo(
            f"record: {record_diagnosis(found, out, net, shown, labels, threats[0], names=(model, data), seed=seed)}"
        )
    if not found.trusted:
        raise typer.Exit(UNTRUSTED)


def show(found: Diagnosis, console: Console, budget: int | float) -> None:
    """Print each check, the numbers, what they cost, and what to do."""
    table = Table("check", "verdict", "passes", "evidence", box=None, padding=(0, 2, 0, 0))
    for finding in found.findings:
        verdict = Text(finding.verdict, style=_STYLE[finding.verdict])
        reason = f"{finding.code}: " if finding.code else ""
        table.add_row(finding.check, verdict, f"{finding.passes:.0f}", Text(reason + finding.evidence))
    console.print(table)
    for line in summary(found, budget):
        console.print(line, markup=False, highlight=False)


def summary(found: Diagnosis, budget: int | float) -> list[str]:
    """Return the numbers, the cost, the verdict and the advice, a line each."""
    spent = found.forwards + found.backwards
    lines = [
        f"of {found.images} images: {percent(found.clean)} right, {percent(found.pgd)} left by PGD, "
        f"{percent(found.worst)} left by everything tried here",
        f"cost an image: {found.forwards:.0f} forward and {found.backwards:.0f} backward passes, "
        f"{spent:.0f} of {budget:g}",
    ]
    unknown = sum(finding.verdict == "cannot tell" for finding in found.findings)
    lines += [f"{unknown} of {len(found.findings)} checks cannot tell"] if unknown else []
    if found.trusted:
        return [*lines, "no check speaks against PGD's number"]
    advice = dict.fromkeys(finding.advice for finding in found.failures if finding.advice)
    why = "the network misleads it" if found.masked else "it is too weak for this network, which masks nothing"
    verdict = f"PGD's number cannot be trusted, {why}: {', '.join(found.reasons)}"
    return [*lines, verdict, *(f"- {line}" for line in advice)]
