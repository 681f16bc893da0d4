"""The command `signal`: how far an error's signals come in a network, with and without scaling."""

from typing import Annotated

import typer

from quantattack.cli.options import Data, DataRoot, Device, Out, Quiet
from quantattack.errors import InputError, check_count

UNITS = ("normalized", "pixel")


def signal(
    model: Annotated[list[str], typer.Argument(help="Names of the zoo, checkpoints, or package.module:function.")],
    data: Data = None,
    data_root: DataRoot = None,
    images: Annotated[int, typer.Option(help="How many correctly classified test images, from the first on.")] = 200,
    clever: Annotated[int, typer.Option(help="On how many of them CLEVER is estimated as well.")] = 0,
    unit: Annotated[str, typer.Option(help="pixel (of 0 to 1), or normalized by the data set's deviation.")] = "pixel",
    device: Device = "cpu",
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Measure singular values, error signals and input gradients against temperature, and print them."""
    check_count("--images", images)
    check_count("--clever", clever, least=0)
    if unit not in UNITS:
        raise InputError(f"--unit must be pixel or normalized, not {unit!r}")
    from quantattack.cli.signal import print_signals, requested

    request = requested(model, data, data_root, images, clever, unit)
    print_signals(request, model, device, out, quiet)
