"""The command `signal`: how far an error's signals come in a network, with and without scaling."""

from typing import Annotated

import typer

from quantattack.cli.options import (
    MODELS,
    Architecture,
    Data,
    DataRoot,
    Device,
    Layout,
    Mean,
    One,
    Out,
    Quiet,
    Range,
    Std,
)
from quantattack.errors import InputError, check_count

UNITS = ("normalized", "pixel")


def signal(
    model: Annotated[list[str], typer.Argument(help=f"{MODELS}; several.")],
    data: Data = None,
    data_root: DataRoot = None,
    images: Annotated[int, typer.Option(help="How many correctly classified test images, from the first on.")] = 200,
    clever: Annotated[int, typer.Option(help="On how many of them CLEVER is estimated as well.")] = 0,
    unit: Annotated[str, typer.Option(help="pixel (of 0 to 1), or normalized by the data set's deviation.")] = "pixel",
    device: Device = "cpu",
    out: Out = None,
    quiet: Quiet = False,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    one_logit: One = False,
) -> None:
    """Measure singular values, error signals and input gradients against temperature, and print them."""
    check_count("--images", images)
    check_count("--clever", clever, least=0)
    if unit not in UNITS:
        raise InputError(f"--unit must be pixel or normalized, not {unit!r}")
    from quantattack.cli.deployed import file_options
    from quantattack.cli.signal import print_signals, requested

    options = file_options(layout, range_, mean, std, one_logit=one_logit, architecture=architecture)
    options.check(model)
    request = requested(model, data, data_root, images, clever, unit)
    print_signals(request, model, options, device, out, quiet)
