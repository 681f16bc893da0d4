"""Static quantization to 8 bits by onnxruntime's own tool, with the levels that the network itself has."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quantattack.deployed.export.graph import INPUT, Proto, onnx_packages
from quantattack.deployed.export.levels import Grid, Steps, activation_grids, weight_grids
from quantattack.errors import InputError, one_line, unknown
from quantattack.types import Images

FORMATS = ("qdq", "qoperator")
TYPES = ("u8", "s8")
_BATCH = 32


@dataclass(frozen=True)
class Int8:
    """How a network is quantized to 8 bits.

    Arguments:
        format: ``qdq``, pairs of QuantizeLinear and DequantizeLinear, or ``qoperator``, quantized operators.
        activations: Type of the activations: ``u8`` or ``s8``.
        weights: Type of the weights: ``s8`` or ``u8``.
        per_channel: Whether each output channel has a scale of its own; where a network's own levels differ by channel,
            it has in any case.

    Raises:
        InputError: If there is no such format or type.
    """

    format: str = "qdq"
    activations: str = "u8"
    weights: str = "s8"
    per_channel: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise unknown("int8 format", self.format, FORMATS)
        for kind in (self.activations, self.weights):
            if kind not in TYPES:
                raise unknown("8-bit type", kind, TYPES)

    @property
    def text(self) -> str:
        """The settings in a few letters: ``qdq u8s8 per channel``."""
        return f"{self.format} {self.activations}{self.weights}{' per channel' if self.per_channel else ''}"


def quantized(proto: Proto, calibration: Images, how: Int8) -> Proto:
    """Return the 8-bit form of a float graph: ranges from the smallest and largest values on calibration images.

    Weights and activations that lie on a grid of 8 bits already keep their levels.

    Arguments:
        proto: The float graph, with its shapes.
        calibration: Images in [0, 1] with shape (n, ...).
        how: The settings.

    Raises:
        InputError: If onnxruntime's tool cannot quantize the graph so.
    """
    onnx, _ = onnx_packages()
    from onnxruntime.quantization import QuantFormat, quantize_static

    grids, steps = weight_grids(proto.graph), activation_grids(proto.graph)
    by_channel = how.per_channel or not all(grid.shared for grid in grids.values())
    overrides = _of_weights(grids, how, by_channel) | _of_activations(steps, how)
    settings: dict[str, Any] = {"quant_format": QuantFormat.QDQ if how.format == "qdq" else QuantFormat.QOperator}
    settings.update(activation_type=_type(how.activations), weight_type=_type(how.weights), per_channel=by_channel)
    settings.update(nodes_to_exclude=[name for grid in steps.values() for name in grid.makers])
    settings.update(extra_options={"TensorQuantOverrides": overrides} if overrides else {})
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(proto.SerializeToString(deterministic=True))
        try:
            quantize_static(source, target, Batches(calibration), **settings)
        except Exception as error:  # the tool raises many kinds
            reason = one_line(error)[:200]
            raise InputError(f"onnxruntime cannot quantize this network to {how.text}: {reason}") from None
        return onnx.load_from_string(target.read_bytes())


class Batches:
    """Calibration images as onnxruntime's tool reads them.

    Arguments:
        images: Images in [0, 1] with shape (n, ...).
    """

    def __init__(self, images: Images) -> None:
        self._left: Iterator[Any] = iter(torch.split(images.float().cpu(), _BATCH))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._left, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch.numpy())}

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> dict[str, Any]:
        batch = self.get_next()
        if batch is None:
            raise StopIteration
        return batch


def _type(kind: str) -> Any:
    from onnxruntime.quantization import QuantType

    return QuantType.QUInt8 if kind == "u8" else QuantType.QInt8


def _setting(step: float, zero: int, kind: str) -> dict[str, Any]:
    zero_point = np.array(zero, np.uint8 if kind == "u8" else np.int8)
    return {"scale": np.array(step, np.float32), "zero_point": zero_point, "quant_type": _type(kind)}


def _of_weights(grids: Mapping[str, Grid], how: Int8, by_channel: bool) -> dict[str, Any]:
    """Scales of the weights that have levels, as onnxruntime's tool takes them."""
    zero = 128 if how.weights == "u8" else 0
    if not by_channel:
        return {name: [_setting(grid.steps[0], zero, how.weights)] for name, grid in grids.items()}
    return {
        name: [{"axis": 0, **_setting(step, zero, how.weights)} for step in grid.steps] for name, grid in grids.items()
    }


def _of_activations(grids: Mapping[str, Steps], how: Int8) -> dict[str, Any]:
    """Scales of the activations that have levels: signs around the middle of the type, others from its lowest on."""
    lowest = 0 if how.activations == "u8" else -128
    return {name: [_setting(grid.step, lowest + 128 * grid.signed, how.activations)] for name, grid in grids.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tool's advice on the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
