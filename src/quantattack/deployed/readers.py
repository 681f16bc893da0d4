"""The reader of each format of deployed files, by suffix, and the runtimes that each file can be judged by."""

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TypeAlias

from quantattack.deployed.loaded import LoadedFile
from quantattack.deployed.pixels import INTEGERS, Quantized
from quantattack.errors import InputError, unknown

Reader: TypeAlias = Callable[[Path, str | None], LoadedFile]  # reads a file for a runtime; None for the format's own


def setting_of(runtime: str | None, name: str, settings: tuple[str, ...]) -> str:
    """Return the setting of a runtime's text, `litert:reference`; the first of the settings where it has none.

    Arguments:
        runtime: The text, or None for the runtime as it is by default.
        name: The runtime's name.
        settings: What it may be set to, the default first.

    Raises:
        InputError: If it is another runtime, or it has no such setting.
    """
    if runtime is None:
        return settings[0]
    own, _, setting = runtime.partition(":")
    if own != name:
        raise InputError(f"this file is run by {name}, not by {own!r}; write {name} or leave it out")
    if setting and setting not in settings:
        raise unknown(f"setting of {name}", setting, settings)
    return setting or settings[0]


def _onnx(path: Path, runtime: str | None) -> LoadedFile:
    """Read an ONNX file; its variants are the levels to which onnxruntime rewrites the graph."""
    from quantattack.deployed.onnx.load import load_onnx

    levels = ("extended", "all", "basic", "off")
    elsewhere = _openvino(path, runtime) if (runtime or "").startswith("openvino") else None
    level = levels[0] if elsewhere else setting_of(runtime, "onnxruntime", levels)
    loaded = load_onnx(path, level=level)
    grid, stated = loaded.levels, loaded.metadata
    known = grid is not None and grid.kind in INTEGERS
    return LoadedFile(
        twin=loaded.twin,
        runtime=elsewhere.runtime if elsewhere else loaded.runtime,
        softmax=loaded.softmax,
        takes=loaded.input_shape[1:],
        layout=loaded.layout or stated.get("quantattack.layout", "nchw"),
        quantized=Quantized(grid.kind, grid.scale, int(grid.zero)) if grid is not None and known else None,
        range=_stated_range(stated.get("quantattack.range", "")),
        float_file=not loaded.quantized,
        variants=("onnxruntime:off",) if level != "off" else ("onnxruntime:extended",),
    )


def _stated_range(text: str) -> tuple[float, float] | None:
    """Return what black and white are, as a maker wrote it into a file: two numbers, as `export_onnx` does."""
    low, comma, high = text.partition(",")
    try:
        return (float(low), float(high)) if comma else None
    except ValueError:
        return None


def _tflite(path: Path, runtime: str | None) -> LoadedFile:
    """Read a TFLite file; its variant is the interpreter's other kernels."""
    from quantattack.deployed.tflite.load import load_tflite

    kernels = setting_of(runtime, "litert", ("xnnpack", "reference"))
    loaded = load_tflite(path, kernels=kernels)
    kind = loaded.input_type
    return LoadedFile(
        twin=loaded.twin,
        runtime=loaded.runtime,
        softmax=loaded.softmax,
        takes=loaded.input_shape,
        layout=loaded.layout,
        quantized=Quantized(kind, loaded.input_scale, loaded.input_zero) if kind in INTEGERS else None,
        range=loaded.pixel_range,
        float_file=loaded.float_file,
        variants=("litert:reference",) if kernels == "xnnpack" else ("litert:xnnpack",),
    )


def _program(path: Path, runtime: str | None) -> LoadedFile:
    """Read a program of `torch.export`, which torch runs as it is."""
    from quantattack.deployed.torch_programs.load import load_pt2

    setting_of(runtime, "torch", ("",))
    loaded = load_pt2(path)
    takes, grid = loaded.input_shape[1:], loaded.input_grid
    quantized = Quantized(*grid) if grid is not None and grid[0] in INTEGERS else None
    return LoadedFile(loaded.twin, loaded.runtime, loaded.softmax, takes, "nchw", quantized)


def _pte(path: Path, runtime: str | None) -> LoadedFile:
    """Read a file of ExecuTorch, which has no twin of its own."""
    from quantattack.deployed.judges.executorch import open_pte

    setting_of(runtime, "executorch", ("",))
    judge = open_pte(path)
    return LoadedFile(None, judge, False, judge.takes, "nchw")


def _openvino(path: Path, runtime: str | None) -> LoadedFile:
    """Read a file of OpenVINO, which has no twin of its own; its variant is the other precision."""
    from quantattack.deployed.judges.openvino import open_openvino

    precision = setting_of(runtime, "openvino", _PRECISIONS)
    judge, other = open_openvino(path, precision), next(each for each in _PRECISIONS if each != precision)
    return LoadedFile(None, judge, False, judge.takes, "nchw", variants=(f"openvino:{other}",))


_PRECISIONS = ("f32", "bf16")  # of what is not quantized

READERS: MutableMapping[str, Reader] = {
    ".onnx": _onnx,
    ".tflite": _tflite,
    ".pt2": _program,
    ".pte": _pte,
    ".xml": _openvino,
}
