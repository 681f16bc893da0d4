"""What `export-onnx` does: it writes a network to a file and checks the file against the network."""

from dataclasses import dataclass
from pathlib import Path

import torch
import typer

from quantattack.cli import names
from quantattack.cli.deployed import FileOptions
from quantattack.data.sets import is_path
from quantattack.data.streams import stream_data
from quantattack.deployed.export.int8 import Int8
from quantattack.deployed.export.onnx import Exported
from quantattack.deployed.export.onnx import export_onnx as export
from quantattack.errors import InputError
from quantattack.gradients import is_twinned
from quantattack.types import Images

_CHECKED = 200


@dataclass(frozen=True)
class Calibration:
    """On what images an 8-bit file is calibrated.

    Arguments:
        images: Their data set; None for the training images of the network's own.
        count: How many of them, from the first on.
    """

    images: str | None
    count: int


def write_onnx(
    model: str,
    out: Path,
    how: Int8 | None,
    calibration: Calibration,
    data: str | None,
    root: str | None,
    options: FileOptions,
) -> None:
    """Write a network by name to an ONNX file, check the file against the network, and print what was found.

    The file takes pixels in [0, 1], whatever the network takes: its first layer is in the file.
    """
    options.check([model])
    network = names.model_named(model, torch.device("cpu"), options)
    if is_twinned(network):
        raise InputError(f"{model} is a deployed file already; export the network that it was made of")
    name = names.data_for(data, [model])
    own = calibration.images is None
    seen = _first(calibration.images or name, root, calibration.count, own) if how else None
    about = {"network": model, "data": name} | ({} if seen is None else {"calibration": f"{len(seen)} images"})
    checked = _first(name, root, _CHECKED, train=False)
    typer.echo("\n".join(_lines(export(network, out, checked, int8=how, calibration=seen, about=about), how)))


def form(int8: str | None, activations: str, weights: str, per_channel: bool, calibrate: str | None) -> Int8 | None:
    """The 8-bit form that is asked for; None for a float file, which takes none of its settings."""
    if int8:
        return Int8(int8, activations, weights, per_channel)
    if per_channel or calibrate or (activations, weights) != ("u8", "s8"):
        raise InputError("--activations, --weights, --per-channel and --calibrate go with --int8 qdq or qoperator")
    return None


def _first(data: str, root: str | None, count: int, train: bool) -> Images:
    """Return the first images of a data set: its training images, or its test images."""
    split = "train" if train and not is_path(data) else "test"
    try:
        stream = stream_data(data, root, split)
    except InputError as error:
        if split == "test":
            raise
        raise InputError(f"{error}; or calibrate on other images: --calibrate FILE.npz") from None
    return stream.take(range(min(count, len(stream))))[0]


def _lines(found: Exported, how: Int8 | None) -> list[str]:
    """What was exported, and how near it is to the network."""
    near = f"on {found.images} test images the float graph's logits differ by at most {found.difference:.2g}"
    lines = [f"{near}, its predictions on {100 * (1 - found.same):.1f}%"]
    if how is not None and found.int8_same is not None and found.exact_weights is not None:
        lines += [
            f"{how.text}: predicts what the network does on {100 * found.int8_same:.1f}%",
            f"{100 * found.exact_weights:.1f}% of the 8-bit weights are exactly the network's",
        ]
    return [*lines, f"{found.path}: {found.bytes:,} bytes, SHA-256 {found.sha256}"]
