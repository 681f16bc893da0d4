"""The command `evaluate`: what the record lacks is run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from torch import nn

from quantattack.attacks.deployed import ON_LOGITS, TRANSFERRED
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.attacks import DEPLOYED, STANDARD, attacks_named, is_deployed, split_list
from quantattack.cli.deployed import FileOptions, Float, Layout, Mean, Range, RuntimeName, Std, file_options
from quantattack.cli.run_file import RunFile, ThreatEntry, read_run_file
from quantattack.cli.temperatures import Context
from quantattack.data.streams import Stream, stream_data
from quantattack.deployed.base import DeployedModel
from quantattack.deployed.load import relate
from quantattack.errors import InputError, check_count
from quantattack.evaluation.checks import first_logits
from quantattack.evaluation.evaluate import evaluate_tasks, run_identity
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.ray import Workers
from quantattack.evaluation.task import Task, TaskSettings, examine, prepare
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
    radius: Annotated[str | None, typer.Option(help="Radius, 8/255, or several, a,b,c; else the data set's.")] = None,
    attacks: Annotated[
        str | None, typer.Option(help="Attacks, a,b[steps=40]; else standard, or deployed for deployed files.")
    ] = None,
    float_model: Float = None,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    runtime: RuntimeName = None,
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
    of_files: dict[str, Any] = {"float": float_model, "layout": layout, "range": range_, "mean": mean, "std": std}
    plan = read_run_file(config) if config else _plan(data, norm, radius, speed, runtime, **about, **how, **of_files)
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


def _plan(data: str | None, norm: str, radius: str | None, speed: str, runtime: str | None, **settings: Any) -> RunFile:
    """Return what the command's options say, as a run file would say it."""
    threat = ThreatEntry(norm=norm, radius=None if radius is None else radius.split(","))
    options = [item for item in speed.split(",") if item.strip()]
    for name in ("range", "mean", "std"):
        settings[name] = settings[name].split(",") if settings[name] else None
    return RunFile(threats=[threat], speed=options, data=None if data is None else [data], runtime=runtime, **settings)


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
    speed = FastSearch.named(plan.speed)
    settings: TaskSettings = {"seed": plan.seed, "batch_size": plan.batch_size, "part": part, "speed": speed}
    settings["keep_images"] = plan.save_images
    for model in _models(plan):
        settings["make"] = model.make
        for data, threat in given:
            yield _task(model, sets[data], threat, plan, {**settings, "names": (model.name, data)})


def _threats(plan: RunFile, data: str) -> list[tuple[str, Threat]]:
    named = [
        threat
        for entry in plan.threats
        for threat in names.threat_named(entry.norm, ",".join(entry.radius) if entry.radius else None, data)
    ]
    return [(data, threat) for threat in dict.fromkeys(named)]


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """A model of a run, with how another process makes it, and the float network that it was made of."""

    name: str
    model: nn.Module
    make: Callable[[], nn.Module]
    float_model: nn.Module | None = None


def _models(plan: RunFile) -> Iterator[_Evaluated]:
    """Yield the models of a plan, and after them the float network that deployed files were made of."""
    options, place = _file_options(plan), names.device_named(plan.device)
    options.check([*plan.models, *filter(None, [plan.float_model])])
    relative = None
    for name in dict.fromkeys(plan.models):
        model = names.model_named(name, place, options)
        if plan.float_model is not None:
            relative = relate(model, plan.float_model, options.meaning, options.root).to(place)
        yield _Evaluated(name, model, Named(name, plan.device, options, plan.float_model), relative)
    if relative is not None and plan.float_model not in plan.models:
        file = relative.file if isinstance(relative, DeployedModel) else None
        yield _Evaluated(str(plan.float_model), relative, file or Named(str(plan.float_model), plan.device))


def _file_options(plan: RunFile) -> FileOptions:
    return file_options(plan.layout, plan.range, plan.mean, plan.std, plan.runtime, plan.data_root)


def _task(evaluated: _Evaluated, stream: Stream, threat: Threat, plan: RunFile, settings: TaskSettings) -> Task:
    model, images = evaluated.model, stream.first(_count(plan.images, len(stream)))
    counted, _ = examine(model, images, None, threat)  # before anything is fitted on the model
    if evaluated.float_model is not None:
        _check_relative(counted, evaluated, images, threat)
    context = Context(model, threat, stream, settings["names"][1], evaluated.float_model)
    attacks = _attacks(plan, evaluated.name) or [DEPLOYED if is_deployed(context) else STANDARD]
    return prepare(model, images, None, attacks_named(",".join(attacks), context), threat, **settings)


def _attacks(plan: RunFile, name: str) -> list[str]:
    """Return the attacks that are named for a model; for the float network none that are of deployed files alone."""
    attacks = split_list(",".join(plan.attacks or []))
    return [each for each in attacks if name != plan.float_model or each not in (TRANSFERRED, ON_LOGITS)]


def _check_relative(model: CountedModel, evaluated: _Evaluated, images: Stream, threat: Threat) -> None:
    """Raise InputError unless the float network takes the same images and has the same classes."""
    relative, _ = examine(evaluated.float_model or model, images, None, threat)
    shown = images.take([0])[0]
    own, other = (first_logits(each, shown).shape[1] for each in (model, relative))
    if own != other:
        raise InputError(f"the network of --float has {other} classes and {evaluated.name} has {own}; name its own")


@dataclass(frozen=True)
class Named:
    """Makes a model by its name, in whatever process it is called.

    Arguments:
        name: The model's name.
        device: Where it is put.
        options: How a deployed file is opened.
        float_model: The float network that a deployed file was made of.
    """

    name: str
    device: str
    options: FileOptions = field(default_factory=FileOptions)
    float_model: str | None = None

    def __call__(self) -> nn.Module:
        model = names.model_named(self.name, names.device_named(self.device), self.options)
        if self.float_model is not None and isinstance(model, DeployedModel):
            relate(model, self.float_model, self.options.meaning, self.options.root)
        return model


def _count(asked: int | None, there: int) -> int:
    if asked is not None:
        check_count("--images", asked)
    return there if asked is None else min(asked, there)


def default_folder(tasks: Sequence[Task]) -> Path:
    """Return the folder of a run's record where none is given: its settings name it."""
    first = tasks[0].subject
    model = first.model if len(tasks) == 1 else f"{len(tasks)}-evaluations"
    return Path("runs") / f"{Path(model).stem}-{Path(first.data).stem}-{digest_of(run_identity(tasks).to_json())}"
