"""The command `export-onnx`."""

from pathlib import Path
from typing import Annotated

import typer

from quantattack.cli.options import Architecture, Data, DataRoot, Layout, Mean, Network, One, Range, Std
from quantattack.errors import check_count


def export_onnx(
    model: Network,
    out: Annotated[Path, typer.Argument(help="The file to write, FILE.onnx.")],
    int8: Annotated[str | None, typer.Option(help="Quantize it to 8 bits: qdq or qoperator; else float.")] = None,
    activations: Annotated[str, typer.Option(help="8-bit type of the activations: u8 or s8.")] = "u8",
    weights: Annotated[str, typer.Option(help="8-bit type of the weights: s8 or u8.")] = "s8",
    per_channel: Annotated[bool, typer.Option("--per-channel", help="A scale for each output channel.")] = False,
    calibrate: Annotated[
        str | None, typer.Option(help="Images to calibrate on; else the training images of the model's data set.")
    ] = None,
    images: Annotated[int, typer.Option(help="How many images to calibrate on, from the first on.")] = 500,
    data: Data = None,
    data_root: DataRoot = None,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    one_logit: One = False,
) -> None:
    """Write a network to an ONNX file, in float or in 8 bits, and check the file against the network."""
    check_count("--images", images)
    from quantattack.cli.deployed import file_options
    from quantattack.cli.export_onnx import Calibration, form, write_onnx

    options = file_options(layout, range_, mean, std, one_logit=one_logit, architecture=architecture)
    how = form(int8, activations, weights, per_channel, calibrate)
    write_onnx(model, out, how, Calibration(calibrate, images), data, data_root, options)
