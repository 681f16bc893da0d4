"""Export a network to an ONNX file, in float or in 8 bits, and check the file against torch on real images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from quantattack.deployed.export.graph import INPUT, initializers, onnx_packages, simplified, stamped, traced
from quantattack.deployed.export.int8 import Int8, quantized
from quantattack.deployed.export.plain import plain_network
from quantattack.errors import InputError, one_line
from quantattack.gradients import logits_in_parts
from quantattack.types import Images, Logits

_BATCH = 64
_ULPS = 1e-6  # of a weight's largest entry
_SAME = 0.95  # share of images on which a float file must predict what the network does


@dataclass(frozen=True)
class Exported:
    """What was exported, and how near the file is to the network on the images that it was checked on.

    Arguments:
        path: The file.
        sha256: Its SHA-256 in hexadecimal.
        bytes: Its size.
        images: How many images it was checked on.
        difference: Largest difference of a logit between the network and its float graph under onnxruntime.
        same: Share of the images on which the two predict the same class.
        int8_same: Share on which the 8-bit file predicts what the network does; None for a float file.
        exact_weights: Share of the 8-bit weights whose value is that of the float graph, but for the rounding of
            float32; None for a float file.
    """

    path: Path
    sha256: str
    bytes: int
    images: int
    difference: float
    same: float
    int8_same: float | None = None
    exact_weights: float | None = None


def export_onnx(
    model: nn.Module,
    path: Path | str,
    images: Images,
    *,
    int8: Int8 | str | None = None,
    calibration: Images | None = None,
    about: Mapping[str, str] | None = None,
) -> Exported:
    """Write a network to an ONNX file that takes images with pixels in [0, 1], in batches of any size.

    The network is frozen first: quantized weights have their final values, activation quantizers are standard
    operators, BatchNorms are folded where they can be.  The same network and images give the same bytes.  In 8 bits,
    onnxruntime's own tool quantizes it; binary, ternary and other weights of few levels keep exactly these.

    Arguments:
        model: The network; it maps images in [0, 1] to logits.
        path: Where the file goes; its name ends in ``.onnx``.
        images: Real images with shape (n, c, h, w), on which the file is checked against the network.
        int8: The 8-bit form, or its format, ``qdq`` or ``qoperator``; None for a float file.
        calibration: Images on which the ranges of activations are measured; ``images`` by default.
        about: What else to note in the file, such as the data set's name.

    Raises:
        InputError: If torch or onnxruntime cannot export it, or the float graph does not compute the network.
    """
    target, how = _checked(Path(path), images, calibration), Int8(int8) if isinstance(int8, str) else int8
    images = images.float().cpu()
    network = plain_network(model)
    graph = simplified(traced(network, images))
    wanted = logits_in_parts(network, images, _BATCH)
    notes = {f"quantattack.{key}": value for key, value in _notes(how, about or {}).items()}
    data = stamped(graph, notes)
    near = _nearness(outputs_of(data, images), wanted)
    if how is not None:
        calibrated = quantized(graph, images if calibration is None else calibration, how)
        data = stamped(calibrated, notes)
        near["int8_same"] = _same(outputs_of(data, images), wanted)
        near["exact_weights"] = exact_weights(graph, calibrated)
    _write(target, data)
    return Exported(target, hashlib.sha256(data).hexdigest(), len(data), **near)


def _checked(target: Path, images: Images, calibration: Images | None) -> Path:
    if target.suffix.lower() != ".onnx":
        raise InputError(f"the file's name must end in .onnx, not {target.name!r}")
    if len(images) == 0 or (calibration is not None and len(calibration) == 0):
        raise InputError("there must be at least one image, to check and to calibrate the file")
    return target


def _nearness(found: Logits, wanted: Logits) -> dict[str, Any]:
    """How near a float graph is to its network.

    Raises:
        InputError: If it is another function.
    """
    same = _same(found, wanted)
    if not same >= _SAME:
        raise InputError(
            f"the exported graph predicts what the network does on {100 * same:.0f}% of the images alone; "
            "its forward pass must hold nothing that depends on the images' values but tensor operations"
        )
    return {"images": len(wanted), "difference": float((found - wanted).abs().max()), "same": same}


def outputs_of(data: bytes, images: Images) -> Logits:
    """Return the outputs of an ONNX file under onnxruntime as it is by default.

    Raises:
        InputError: If onnxruntime cannot run it.
    """
    _, onnxruntime = onnx_packages()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # fatal: what fails is raised
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        parts = [session.run(None, {INPUT: part.numpy()})[0] for part in torch.split(images, _BATCH)]
    except Exception as error:  # onnxruntime raises kinds of its own
        raise InputError(f"onnxruntime cannot run the exported file: {one_line(error)[:200]}") from None
    return torch.cat([torch.from_numpy(part) for part in parts])


def exact_weights(graph: Any, calibrated: Any) -> float:
    """Return the share of the 8-bit weights whose value is that of the float graph, but for float32's rounding."""
    floats, integers = initializers(graph.graph), initializers(calibrated.graph)
    exact = total = 0
    for name, weight in dequantized(integers).items():
        if name in floats and floats[name].ndim > 1:
            exact += int((np.abs(weight - floats[name]) <= _ULPS * np.abs(floats[name]).max()).sum())
            total += weight.size
    return exact / total if total else 1.0


def dequantized(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the 8-bit weights among a graph's initializers, by the names of the float ones."""
    values = {}
    for name in [name.removesuffix("_quantized") for name in arrays if name.endswith("_quantized")]:
        whole, scale, zero = (arrays.get(f"{name}_{part}") for part in ("quantized", "scale", "zero_point"))
        if whole is not None and scale is not None and zero is not None and whole.dtype.itemsize == 1:
            shape = (-1, *[1] * (whole.ndim - 1)) if scale.ndim and whole.ndim else ()
            values[name] = (whole.astype("f4") - zero.reshape(shape).astype("f4")) * scale.reshape(shape)
    return values


def _notes(how: Int8 | None, about: Mapping[str, str]) -> dict[str, str]:
    """What the file says of itself: what pixels mean to it, how it was quantized, and what the caller adds."""
    return {"layout": "nchw", "range": "0,1", "quantization": how.text if how else "float", **about}


def _same(logits: Logits, wanted: Logits) -> float:
    return float((logits.argmax(1) == wanted.argmax(1)).double().mean())


def _write(path: Path, data: bytes) -> None:
    """Write a file whole and then rename it, so that a kill leaves the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}; give another place") from None
