"""The command `evaluate`: what the record lacks is run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from torch import nn

from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.attacks import Context, attacks_named
from quantattack.cli.run_file import RunFile, ThreatEntry, read_run_file
from quantattack.data.streams import Stream, stream_data
from quantattack.errors import InputError, check_count, guarded
from quantattack.evaluation.evaluate import evaluate_tasks, run_identity
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.ray import Workers
from quantattack.evaluation.task import Task, TaskSettings, examine, prepare
from quantattack.record.description import digest_of
from quantattack.record.record import records_of
from quantattack.report.terminal import print_table

DEFAULT = "digits-mdtanhs"


def evaluate(
    model: Annotated[
        list[str] | None, typer.Argument(help=f"Names of the zoo, checkpoints, or package.module:function [{DEFAULT}].")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set, an .npz, or a folder of images; else what the model was trained on.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    norm: Annotated[str, typer.Option(help="linf, l2 or l1.")] = "linf",
    radius: Annotated[str | None, typer.Option(help="Radius, 8/255, or several, a,b,c; else the data set's.")] = None,
    attacks: Annotated[str, typer.Option(help="Attacks, a,b[steps=40]; see `quantattack list attacks`.")] = "standard",
    images: Annotated[int | None, typer.Option(help="How many test images, from the first on; else all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(help="Images attacked at once; else found. Changes no verdict.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    speed: Annotated[str, typer.Option(help="fold,channels_last,bfloat16,compile: how the search may differ.")] = "",
    part: Annotated[str, typer.Option(help="Do part 2/5 of the images; `quantattack merge` joins the parts.")] = "1/1",
    save_images: Annotated[bool, typer.Option("--save-images", help="Keep every attacked image.")] = False,
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
    how: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "device": device, "save_images": save_images}
    plan = read_run_file(config) if config else _plan(data, norm, radius, speed, **about, **how)
    tasks = list(tasks_of(plan, part_named(part)))
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


def _plan(data: str | None, norm: str, radius: str | None, speed: str, **settings: Any) -> RunFile:
    """Return what the command's options say, as a run file would say it."""
    threat = ThreatEntry(norm=norm, radius=None if radius is None else radius.split(","))
    options = [item for item in speed.split(",") if item.strip()]
    return RunFile(threats=[threat], speed=options, data=None if data is None else [data], **settings)


def part_named(text: str) -> tuple[int, int]:
    """Return which part of how many `2/5` is."""
    number, slash, of = text.partition("/")
    if not (slash and number.strip().isdigit() and of.strip().isdigit()):
        raise InputError(f"--part must be like 2/5, the second of five, not {text!r}")
    return int(number), int(of)


def tasks_of(plan: RunFile, part: tuple[int, int] = (1, 1)) -> Iterator[Task]:
    """Return what is to be done: every model on every data set under every threat.

    Raises:
        InputError: If a name, a number or a setting of the plan cannot be used.
    """
    wanted = plan.data or [names.data_for(None, plan.models)]
    sets = {data: stream_data(data, plan.data_root) for data in dict.fromkeys(map(names.data_named, wanted))}
    given = [entry for data in sets for entry in _threats(plan, data)]
    speed, place = FastSearch.named(plan.speed), names.device_named(plan.device)
    settings: TaskSettings = {"seed": plan.seed, "batch_size": plan.batch_size, "part": part, "speed": speed}
    settings["keep_images"] = plan.save_images
    models = {name: names.model_named(name, place) for name in dict.fromkeys(plan.models)}
    for name, model in models.items():
        settings["make"] = Named(name, plan.device)
        for data, threat in given:
            yield _task(model, sets[data], threat, plan, {**settings, "names": (name, data)})


def _threats(plan: RunFile, data: str) -> list[tuple[str, Threat]]:
    named = [
        threat
        for entry in plan.threats
        for threat in names.threat_named(entry.norm, ",".join(entry.radius) if entry.radius else None, data)
    ]
    return [(data, threat) for threat in dict.fromkeys(named)]


def _task(model: nn.Module, stream: Stream, threat: Threat, plan: RunFile, settings: TaskSettings) -> Task:
    images = stream.first(_count(plan.images, len(stream)))
    examine(model, images, None, threat)  # before anything is fitted on the model
    context = Context(model, threat, stream, settings["names"][1])
    with guarded("the model", "an attack is fitted on it"):
        attacks = attacks_named(",".join(plan.attacks), context)
    return prepare(model, images, None, attacks, threat, **settings)


@dataclass(frozen=True)
class Named:
    """Makes a model by its name, in whatever process it is called.

    Arguments:
        name: The model's name.
        device: Where it is put.
    """

    name: str
    device: str

    def __call__(self) -> nn.Module:
        return names.model_named(self.name, names.device_named(self.device))


def _count(asked: int | None, there: int) -> int:
    if asked is not None:
        check_count("--images", asked)
    return there if asked is None else min(asked, there)


def default_folder(tasks: Sequence[Task]) -> Path:
    """Return the folder of a run's record where none is given: its settings name it."""
    first = tasks[0].subject
    model = first.model if len(tasks) == 1 else f"{len(tasks)}-evaluations"
    return Path("runs") / f"{Path(model).stem}-{Path(first.data).stem}-{digest_of(run_identity(tasks).to_json())}"
