"""What a reader makes of a file, and what pixels mean to it as far as the file says so."""

from dataclasses import dataclass

from torch import nn

from quantattack.deployed.base import Runtime
from quantattack.deployed.pixels import Pixels, Quantized
from quantattack.errors import InputError

CHANNELS = (1, 3)
RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-128.0, 127.0))  # what is usual
_NEAR, _CLIPPED = 0.01, 0.15  # of a usual range: how far a quantized input's may lie off it, and end before its white


@dataclass(frozen=True, eq=False)
class LoadedFile:
    """What a reader makes of a deployed file.

    Arguments:
        twin: The differentiable twin; None where the format has only a judge.
        runtime: What runs the file, and judges.
        softmax: Whether the file ends in a softmax.
        takes: Shape of one input without the batch, None where a size is free.
        layout: The format's usual layout, which decides where the shape allows two.
        quantized: How the file quantizes its input, where it does so first; None for a float input.
        range: What black and white are, where the file says so in words of its own.
        float_file: Whether nothing in the file is quantized.
        variants: Other runtimes of the same file, as `load` takes them, such as "litert:reference".
    """

    twin: nn.Module | None
    runtime: Runtime
    softmax: bool
    takes: tuple[int | None, ...]
    layout: str
    quantized: Quantized | None = None
    range: tuple[float, float] | None = None
    float_file: bool = False
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meaning:
    """What the caller says that pixels mean to a file; None or empty for what the file says itself.

    Arguments:
        layout: "nchw", "nhwc" or "flat".
        range: What black and white are before the normalization.
        mean: Mean of each channel, in units of the range.
        std: Standard deviation of each channel, in units of the range.
    """

    layout: str | None = None
    range: tuple[float, float] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def pixels_of(file: LoadedFile, meaning: Meaning, otherwise: Pixels | None = None) -> Pixels:
    """Return what pixels mean to a file: what the caller says, else the file, else its relative.

    Arguments:
        file: The file.
        meaning: What the caller says.
        otherwise: What pixels mean to a relative of the file, which holds where neither says it.

    Raises:
        InputError: If nobody says it.
    """
    layout = meaning.layout or _layout(file)
    span = meaning.range or file.range or _range(file)
    if span is None and meaning.mean:
        span = RANGES[0]  # mean and std are usually stated for pixels from 0 to 1
    if span is None and otherwise is not None:
        return Pixels(layout, otherwise.low, otherwise.high, otherwise.mean, otherwise.std)
    if span is None:
        raise InputError(
            f"{file.runtime.artifact.name} does not say what pixels mean to it; state what black and white are with "
            "--range 0,1 or 0,255 or -1,1, and --mean and --std if it takes normalized pixels"
        )
    return Pixels(layout, *span, meaning.mean, meaning.std)


def _layout(file: LoadedFile) -> str:
    """Return the layout that an input's shape tells; the format's usual one where it allows two.

    Raises:
        InputError: If the input is no image.
    """
    takes = file.takes
    if len(takes) == 1:
        return "flat"
    if len(takes) != 3:
        shape = " x ".join("any" if size is None else str(size) for size in takes)
        raise InputError(f"{file.runtime.artifact.name} takes inputs of {shape or 'no size'}, which are no images")
    first, last = takes[0] in CHANNELS, takes[2] in CHANNELS
    if first != last:
        return "nchw" if first else "nhwc"
    return file.layout


def _range(file: LoadedFile) -> tuple[float, float] | None:
    """Return the usual range that a quantized input covers; None where it tells nothing."""
    quantized = file.quantized
    if quantized is None:
        return None
    if quantized.type == "int8" and quantized.zero_point == 0 and file.runtime.artifact.format == "onnx":
        return None  # symmetric by rule, whatever the pixels are
    return next((span for span in RANGES if _covers(quantized.range, span)), None)


def _covers(covered: tuple[float, float], span: tuple[float, float]) -> bool:
    """Return whether an input covers a range, but for what calibration left out of its bright end."""
    (low, high), (black, white) = covered, span
    width = white - black
    missing = (white - high) / width
    return abs(low - black) <= _NEAR * width and -_NEAR <= missing <= (_CLIPPED if black == 0 else _NEAR)
