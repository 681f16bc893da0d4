"""The command `diagnose`: can the robust accuracy be trusted? It exits with status 3 where it cannot."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from quantattack.cli.exits import UNTRUSTED
from quantattack.cli.options import (
    Architecture,
    AsJson,
    Data,
    DataRoot,
    Device,
    Float,
    Layout,
    Mean,
    Network,
    NormName,
    One,
    Pixels,
    Range,
    RuntimeName,
    Seed,
    Std,
)
from quantattack.diagnostics import BUDGET
from quantattack.errors import InputError, check_count

Radius: TypeAlias = Annotated[str | None, typer.Option(help="Radius, 8/255, per channel a:b:c; else the data set's.")]
Count: TypeAlias = Annotated[int, typer.Option(help="How many test images, from the first on.")]
Passes: TypeAlias = Annotated[
    float, typer.Option(help="Forward and backward passes per image; what does not fit is not run.")
]
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
    float_model: Float = None,
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
    as_json: AsJson = False,
) -> None:
    """Check whether a network's robust accuracy can be trusted; exit with status 3 where it cannot."""
    check_count("--images", images)
    if not budget > 0:
        raise InputError(f"--budget must be a positive number of passes, not {budget:g}")
    from quantattack.cli.deployed import file_options
    from quantattack.cli.diagnose import asked, diagnosed

    options = file_options(layout, range_, mean, std, runtime, data_root, one_logit, architecture)
    wanted = asked(model, data, images, (norm, radius, pixels), budget, seed, options, float_model)
    if not diagnosed(wanted, float_model, device, out, as_json).trusted:
        raise typer.Exit(UNTRUSTED)
