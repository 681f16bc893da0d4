"""What `evaluate` does: it makes the plan that its options say, and runs what the record lacks."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from quantattack.attacks.threat import rounded_radius
from quantattack.cli.options import FILES
from quantattack.cli.run_file import RunFile, ThreatEntry
from quantattack.cli.tasks import tasks_of
from quantattack.errors import InputError
from quantattack.evaluation.evaluate import evaluate_tasks, run_identity
from quantattack.evaluation.ray import Workers
from quantattack.evaluation.task import KeepImages, Task
from quantattack.record.description import digest_of
from quantattack.record.record import Record, records_of
from quantattack.report.terminal import print_table


def run_plan(plan: RunFile, part: str, progress: bool, ray: tuple[str | None, float]) -> list[Record]:
    """Run what the record of a plan lacks, print its numbers, and return the plan's evaluations.

    Arguments:
        plan: The models, data sets, threats and attacks; its folder is named by its settings where it names none.
        part: Which part of the images, such as 2/5.
        progress: Whether to show a progress bar.
        ray: Address of the Ray cluster to join, and the share of a GPU for each worker.
    """
    tasks = list(tasks_of(plan, part_named(part)))
    return run_tasks(tasks, plan.out, progress, Workers(plan.workers, *ray))


def run_tasks(tasks: Sequence[Task], out: Path | None, progress: bool, workers: Workers) -> list[Record]:
    """Run what a record lacks of some tasks, print its numbers, and return the tasks' evaluations.

    Arguments:
        tasks: The tasks.
        out: The record's folder; named by the tasks' settings where it is None.
        progress: Whether to show a progress bar.
        workers: The processes that share the work.
    """
    _say_radii(tasks)
    records = evaluate_tasks(tasks, out or default_folder(tasks), grow=True, progress=progress, workers=workers)
    store = records[0].store
    print_table(records_of(store), Console())
    typer.echo(f"record: {store.folder}")
    return records


def kept_images(how: str) -> KeepImages:
    """Return how the attacked images are kept: `--save-images` alone says `files`."""
    if how not in ("", FILES, "png"):
        raise InputError(f"--save-images takes {FILES} or png, not {how!r}; it says {FILES} where no word follows it")
    return "png" if how == "png" else how == FILES


def _say_radii(tasks: Sequence[Task]) -> None:
    """Print what each radius that is no multiple of a level comes to."""
    for line in dict.fromkeys(rounded_radius(task.threat) for task in tasks):
        if line is not None:
            typer.echo(line)


def plan_of(
    norm: str, radius: str | None, pixels: bool | None, data: str | None, speed: str, save_images: str, **settings: Any
) -> RunFile:
    """Return what the command's options say, as a run file would say it."""
    threat = ThreatEntry(norm=norm, radius=None if radius is None else radius.split(","), levels=pixels)
    options = [item for item in speed.split(",") if item.strip()]
    for name in ("range", "mean", "std"):
        settings[name] = settings[name].split(",") if settings.get(name) else None
    settings |= {"data": None if data is None else [data], "save_images": kept_images(save_images)}
    return RunFile(threats=[threat], speed=options, **settings)


def part_named(text: str) -> tuple[int, int]:
    """Return which part of how many `2/5` is."""
    number, slash, of = text.partition("/")
    if not (slash and _is_count(number) and _is_count(of)):
        raise InputError(f"--part must be like 2/5, the second of five, not {text!r}")
    return int(number), int(of)


def _is_count(text: str) -> bool:
    """Return whether a text is a whole number of few ASCII digits; `str.isdigit` takes superscripts too."""
    return bool(re.fullmatch(r"\s*[0-9]{1,9}\s*", text))


def default_folder(tasks: Sequence[Task]) -> Path:
    """Return the folder of a run's record where none is given: its settings name it."""
    first = tasks[0].subject
    model = first.model if len(tasks) == 1 else f"{len(tasks)}-evaluations"
    return Path("runs") / f"{Path(model).stem}-{Path(first.data).stem}-{digest_of(run_identity(tasks).to_json())}"
