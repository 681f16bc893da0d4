"""The command `evaluate`: what the record lacks is run."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from quantattack.attacks.threat import rounded_radius
from quantattack.cli.deployed import Float, Layout, Mean, One, Range, RuntimeName, Std
from quantattack.cli.options import FILES, NoPadding, Pixels
from quantattack.cli.run_file import RunFile, ThreatEntry, read_run_file
from quantattack.cli.tasks import tasks_of
from quantattack.errors import InputError, unknown
from quantattack.evaluation.evaluate import evaluate_tasks, run_identity
from quantattack.evaluation.ray import Workers
from quantattack.evaluation.task import KeepImages, Task
from quantattack.record.description import digest_of
from quantattack.record.record import records_of
from quantattack.report.terminal import print_table

DEFAULT = "digits-mdtanhs"


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Argument(help=f"Names of the zoo, checkpoints, deployed files, package.module:function [{DEFAULT}]."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set, an .npz, or a folder of images; else what the model was trained on.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    norm: Annotated[str, typer.Option(help="linf, l2 or l1.")] = "linf",
    radius: Annotated[
        str | None, typer.Option(help="Radius, 8/255, or several, a,b; per channel a:b:c; else the data's.")
    ] = None,
    attacks: Annotated[
        str | None, typer.Option(help="Attacks, a,b[steps=40]; else standard, or deployed for deployed files.")
    ] = None,
    float_model: Float = None,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    runtime: RuntimeName = None,
    one_logit: One = False,
    no_padding: NoPadding = False,
    images: Annotated[int | None, typer.Option(help="How many test images, from the first on; else all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(help="Images attacked at once; else found. Changes no verdict.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    speed: Annotated[str, typer.Option(help="fold,channels_last,bfloat16,compile: how the search may differ.")] = "",
    part: Annotated[str, typer.Option(help="Do part 2/5 of the images; `quantattack merge` joins the parts.")] = "1/1",
    save_images: Annotated[str, typer.Option(help="Keep every attacked image; png: as PNG files too.")] = "",
    pixels: Pixels = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the work, through Ray.")] = None,
    ray_address: Annotated[str | None, typer.Option(help="A Ray cluster to join; else one is started.")] = None,
    gpus_per_worker: Annotated[float, typer.Option(help="Share of a GPU that each worker asks for.")] = 0.0,
    config: Annotated[Path | None, typer.Option(help="A run file, in place of all options but --out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Attack test images of a data set and print what withstood."""
    if config is not None and model:
        raise InputError("a run file names its models; leave them out of the command")
    about: dict[str, Any] = {"models": model or [DEFAULT], "data_root": data_root, "attacks": attacks, "images": images}
    how: dict[str, Any] = {
        "seed": seed,
        "batch_size": batch_size,
        "device": device,
        "save_images": kept_images(save_images),
    }
    how |= {"one_logit": one_logit, "padding": not no_padding}
    of_files: dict[str, Any] = {"float": float_model, "layout": layout, "range": range_, "mean": mean, "std": std}
    threat = ThreatEntry(norm=norm, radius=None if radius is None else radius.split(","), levels=pixels)
    plan = read_run_file(config) if config else _plan(data, threat, speed, runtime, **about, **how, **of_files)
    tasks = list(tasks_of(plan, part_named(part)))
    _say_radii(tasks)
    records = evaluate_tasks(
        tasks,
        out or plan.out or default_folder(tasks),
        grow=config is not None,
        progress=not quiet,
        workers=Workers(workers or plan.workers, ray_address, gpus_per_worker),
    )
    store = records[0].store
    print_table(records_of(store), Console())
    typer.echo(f"record: {store.folder}")


def kept_images(how: str) -> KeepImages:
    """Return how the attacked images are kept: `--save-images` alone says `files`."""
    if how not in ("", FILES, "png"):
        raise unknown("kind of saved image", how, (FILES, "png"))
    return "png" if how == "png" else how == FILES


def _say_radii(tasks: Sequence[Task]) -> None:
    """Print what each radius that is no multiple of a level comes to."""
    for line in dict.fromkeys(rounded_radius(task.threat) for task in tasks):
        if line is not None:
            typer.echo(line)


def _plan(data: str | None, threat: ThreatEntry, speed: str, runtime: str | None, **settings: Any) -> RunFile:
    """Return what the command's options say, as a run file would say it."""
    options = [item for item in speed.split(",") if item.strip()]
    for name in ("range", "mean", "std"):
        settings[name] = settings[name].split(",") if settings[name] else None
    return RunFile(threats=[threat], speed=options, data=None if data is None else [data], runtime=runtime, **settings)


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
