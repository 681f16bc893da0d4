"""The command `evaluate`: what the record lacks is run."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from torch import nn

from quantattack.cli import names
from quantattack.cli.attacks import Context, attacks_named
from quantattack.cli.run_file import RunFile, ThreatEntry, read_run_file
from quantattack.data.streams import Stream, stream_data
from quantattack.errors import InputError, check_count
from quantattack.evaluation.cluster import Workers, pool
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.run import run
from quantattack.evaluation.spread import spread
from quantattack.evaluation.task import Task, examine, prepare
from quantattack.progress import Advance, bar
from quantattack.record.description import digest_of
from quantattack.record.store import Store
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
    if config is not None:
        if model:
            raise InputError("a run file names its models; leave them out of the command")
        plan = read_run_file(config)
    else:
        threat = ThreatEntry(norm=norm, radius=None if radius is None else radius.split(","))
        options = [item for item in speed.split(",") if item.strip()]
        plan = RunFile(
            models=model or [DEFAULT],
            data=None if data is None else [data],
            data_root=data_root,
            threats=[threat],
            attacks=[attacks],
            images=images,
            seed=seed,
            batch_size=batch_size,
            device=device,
            speed=options,
            save_images=save_images,
        )
    settings = Workers(workers or plan.workers, ray_address, gpus_per_worker)
    jobs = list(jobs_of(plan, part_named(part)))
    store = open_store(jobs, plan.seed, out or plan.out, grow=config is not None)
    _work(jobs, store, settings, quiet)
    print_table(store.records(), Console())
    typer.echo(f"record: {store.folder}")


def _work(jobs: Sequence[Task], store: Store, settings: Workers, quiet: bool) -> None:
    """Run the jobs here, one after the other, or on workers."""
    with store.writing(), ExitStack() as stack:
        alone = settings.address is None and settings.count in (None, 1)
        workers = None if alone else stack.enter_context(pool(settings))
        advance = stack.enter_context(bar(not quiet))
        advances = [told(job, len(jobs), advance) for job in jobs]
        if workers is not None:
            spread(jobs, store, workers, advances)
            return
        for job, tell in zip(jobs, advances, strict=True):
            run(job, store, tell)


def part_named(text: str) -> tuple[int, int]:
    """Return which part of how many `2/5` is."""
    number, slash, of = text.partition("/")
    if not (slash and number.strip().isdigit() and of.strip().isdigit()):
        raise InputError(f"--part must be like 2/5, the second of five, not {text!r}")
    return int(number), int(of)


def jobs_of(plan: RunFile, part: tuple[int, int] = (1, 1)) -> Iterator[Task]:
    """Return what is to be done: every model on every data set under every threat.

    Raises:
        InputError: If a name, a number or a setting of the plan cannot be used.
    """
    wanted = plan.data or [names.data_for(None, plan.models)]
    sets = {data: stream_data(data, plan.data_root) for data in dict.fromkeys(map(names.data_named, wanted))}
    given = [entry for data in sets for entry in _threats(plan, data)]
    speed, place = FastSearch.named(plan.speed), names.device_named(plan.device)
    loaded = {name: names.model_named(name, place) for name in dict.fromkeys(plan.models)}
    for name, net in loaded.items():
        for data, threat in given:
            yield _job((name, data), net, sets[data], threat, plan, part, speed)


def _threats(plan: RunFile, data: str) -> list[tuple[str, Any]]:
    named = [
        threat
        for entry in plan.threats
        for threat in names.threat_named(entry.norm, ",".join(entry.radius) if entry.radius else None, data)
    ]
    return [(data, threat) for threat in dict.fromkeys(named)]


def _job(
    subject: tuple[str, str],
    net: nn.Module,
    stream: Stream,
    threat: Any,
    plan: RunFile,
    part: tuple[int, int],
    speed: FastSearch,
) -> Task:
    images = stream.first(_count(plan.images, len(stream)))
    examine(net, images, None, threat)  # before anything is fitted on the model
    context = Context(net, threat, stream, subject[1])
    found = attacks_named(",".join(plan.attacks), context)
    return prepare(
        net,
        images,
        None,
        found,
        threat,
        seed=plan.seed,
        batch_size=plan.batch_size,
        names=subject,
        part=part,
        keep_images=plan.save_images,
        speed=speed,
        make=Named(subject[0], plan.device),
    )


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


def open_store(jobs: Sequence[Task], seed: int, out: Path | None, grow: bool = False) -> Store:
    """Open the record of a run, in a folder that its settings name where none is given; a run file's may have grown."""
    identity = {"subjects": [job.identity for job in jobs], "seed": seed}
    first = jobs[0].subject
    model = first.model if len(jobs) == 1 else f"{len(jobs)}-evaluations"
    folder = out or Path("runs") / f"{Path(model).stem}-{Path(first.data).stem}-{digest_of(identity)}"
    return Store.open(folder, identity, grow)


def told(job: Task, jobs: int, advance: Advance) -> Advance:
    """Return what tells how far a job is, one of several."""
    about = "" if jobs == 1 else f"{job.subject.model} {job.threat.radius:.4g} "
    return lambda name, done, total: advance(about + name, done, total)
