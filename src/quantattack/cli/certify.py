"""The command `certify`: attacks, proofs, and complete search where neither decides."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from quantattack.certification.exact import MISSING
from quantattack.certification.extra import has_solvers
from quantattack.cli.evaluate import default_folder, kept_images, part_named
from quantattack.cli.names import number
from quantattack.cli.options import Data, DataRoot, Pixels, Seed
from quantattack.cli.run_file import RunFile, ThreatEntry
from quantattack.cli.tasks import tasks_of
from quantattack.evaluation.certify import with_exact
from quantattack.evaluation.evaluate import evaluate_tasks
from quantattack.evaluation.ray import Workers
from quantattack.record.record import records_of
from quantattack.report.terminal import print_table


def certify(
    model: Annotated[list[str], typer.Argument(help="Names of the zoo, checkpoints, or package.module:function.")],
    data: Data = None,
    data_root: DataRoot = None,
    norm: Annotated[str, typer.Option(help="linf; under l2 and l1 there are bounds, and no complete search.")] = "linf",
    radius: Annotated[str | None, typer.Option(help="Radius, 8/255, or several, a,b; else the data's.")] = None,
    attacks: Annotated[str, typer.Option(help="Attacks before, a,b[steps=40].")] = "standard",
    seconds_per_image: Annotated[str, typer.Option(help="Time for the complete search of an image.")] = "10",
    images: Annotated[int | None, typer.Option(help="How many test images, from the first on; else all.")] = None,
    pixels: Pixels = None,
    seed: Seed = 0,
    part: Annotated[str, typer.Option(help="Do part 2/5 of the images; `quantattack merge` joins the parts.")] = "1/1",
    save_images: Annotated[str, typer.Option(help="Keep every attacked image; png: as PNG files too.")] = "",
    workers: Annotated[int | None, typer.Option(help="Processes that share the work, through Ray.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Find robust accuracy from both sides: what attacks break, and what is proved that nothing can break."""
    entry = ThreatEntry(norm=norm, radius=None if radius is None else radius.split(","), levels=pixels)
    plan = RunFile(
        models=model,
        data=None if data is None else [data],
        data_root=data_root,
        threats=[entry],
        attacks=[attacks],
        images=images,
        seed=seed,
        save_images=kept_images(save_images),
    )
    seconds = number(seconds_per_image, "--seconds-per-image")
    tasks = [with_exact(task, seconds) for task in tasks_of(plan, part_named(part))]
    shared = Workers(workers)
    records = evaluate_tasks(tasks, out or default_folder(tasks), progress=not quiet, workers=shared)
    print_table(records_of(records[0].store), Console())
    if not has_solvers():
        typer.echo(MISSING)
    typer.echo(f"record: {records[0].store.folder}")
