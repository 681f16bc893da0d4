"""The command `evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from quantattack.cli.gate import Gate, share_of
from quantattack.cli.options import (
    MODELS,
    Architecture,
    Badge,
    Data,
    DataRoot,
    Device,
    Float,
    GateOn,
    Images,
    Junit,
    Layout,
    Mean,
    MinRobust,
    NoPadding,
    NormName,
    One,
    Out,
    Part,
    Pixels,
    Quiet,
    Range,
    RuntimeName,
    SaveImages,
    Seed,
    Std,
    SummaryFile,
    WorkerCount,
)
from quantattack.errors import InputError

DEFAULT = "digits-mdtanhs"


def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Argument(help=f"{MODELS}; several [{DEFAULT}]."),
    ] = None,
    data: Data = None,
    data_root: DataRoot = None,
    norm: NormName = "linf",
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
    architecture: Architecture = None,
    runtime: RuntimeName = None,
    one_logit: One = False,
    no_padding: NoPadding = False,
    images: Images = None,
    seed: Seed = 0,
    batch_size: Annotated[
        int | None, typer.Option(help="Images attacked at once; else found. Changes no verdict.")
    ] = None,
    device: Device = "cpu",
    speed: Annotated[str, typer.Option(help="fold,channels_last,bfloat16,compile: how the search may differ.")] = "",
    part: Part = "1/1",
    save_images: SaveImages = "",
    pixels: Pixels = None,
    workers: WorkerCount = None,
    ray_address: Annotated[str | None, typer.Option(help="A Ray cluster to join; else one is started.")] = None,
    gpus_per_worker: Annotated[float, typer.Option(help="Share of a GPU that each worker asks for.")] = 0.0,
    config: Annotated[Path | None, typer.Option(help="A run file, in place of the options of what is run.")] = None,
    out: Out = None,
    min_robust: MinRobust = None,
    gate_on: GateOn = "number",
    junit: Junit = None,
    summary: SummaryFile = None,
    badge: Badge = None,
    quiet: Quiet = False,
) -> None:
    """Attack test images of a data set and print what withstood."""
    if config is not None and model:
        raise InputError("a run file names its models; leave them out of the command")
    gate = Gate(share_of(min_robust), junit, summary, badge, gate_on)
    gate.check_part(part)
    from quantattack.cli.evaluate import plan_of, run_plan
    from quantattack.cli.holding import hold
    from quantattack.cli.run_file import read_run_file

    about: dict[str, Any] = {"models": model or [DEFAULT], "data_root": data_root, "attacks": attacks, "images": images}
    how: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "device": device, "runtime": runtime}
    how |= {"one_logit": one_logit, "padding": not no_padding, "architecture": architecture}
    of_files: dict[str, Any] = {"float": float_model, "layout": layout, "range": range_, "mean": mean, "std": std}
    settings = about | how | of_files
    told = read_run_file(config) if config else plan_of(norm, radius, pixels, data, speed, save_images, **settings)
    plan = told.model_copy(update={"out": out or told.out, "workers": workers or told.workers})
    records = run_plan(plan, part, not quiet, (ray_address, gpus_per_worker))
    hold(records, gate)
