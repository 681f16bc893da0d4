"""Load a deployed file as a model: what searches it, what judges it, and what pixels mean to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from quantattack.data.model_files import MODEL_FILES, is_model_file, path_of_file
from quantattack.deployed.base import DeployedModel, OfImages
from quantattack.deployed.loaded import LoadedFile, Meaning, pixels_of
from quantattack.deployed.pixels import Pixels
from quantattack.deployed.readers import READERS
from quantattack.deployed.torch_programs.load import adopted
from quantattack.errors import InputError
from quantattack.nn import zoo

Numbers: TypeAlias = Sequence[int | float]


def is_deployed_file(name: str | Path) -> bool:
    """Return whether a model's name is that of a deployed file, by its suffix or among the published ones."""
    return is_model_file(str(name)) or Path(name).suffix.lower() in READERS


def located(name: str, root: Path | str | None = None) -> str:
    """Return the path of a deployed file: that of a published one where the name is one's, else the name itself.

    Arguments:
        name: The path, or a published model's name.
        root: Folder of the data sets, where fetched files lie; None takes it from the variable QUANTATTACK_DATA.

    Raises:
        InputError: If the published model was not fetched yet.
    """
    return str(path_of_file(name, root)) if is_model_file(name) else name


@dataclass(frozen=True)
class DeployedFile:
    """A deployed file and how it is opened; calling it opens it, in whatever process.

    Arguments:
        path: The file, or the name of a published one that was fetched.
        runtime: What runs it, such as "litert:reference" or "onnxruntime:basic"; None for the format's own.
        meaning: What the caller says that pixels mean to it.
        otherwise: What pixels mean to a relative of the file, which holds where neither the file nor the caller says.
        root: Folder of the data sets, where fetched files lie; None takes it from the variable QUANTATTACK_DATA.
    """

    path: str
    runtime: str | None = None
    meaning: Meaning = field(default_factory=Meaning)
    otherwise: Pixels | None = None
    root: Path | str | None = None

    def __call__(self) -> DeployedModel:
        """Open the file.

        Raises:
            InputError: If it cannot be read or run, or nobody says what pixels mean to it.
        """
        read = self._read()
        pixels = pixels_of(read, self.meaning, self.otherwise)
        about: dict[str, Any] = {"takes": read.takes, "quantized": read.quantized, "file": self}
        about.update(is_float=read.float_file, variants=read.variants)
        return DeployedModel(read.twin, read.runtime, pixels, read.softmax, **about)

    def under(self, runtime: str) -> "DeployedFile":
        """Return the same file under another runtime."""
        return replace(self, runtime=runtime)

    def _read(self) -> LoadedFile:
        path = Path(located(self.path, self.root))
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise InputError(f"{path} is no deployed model: its name must end in {', '.join(sorted(READERS))}")
        if path.is_dir():
            raise InputError(f"{path} is a folder; name the file in it")
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        read = reader(path, self.runtime)
        published = MODEL_FILES[self.path].range if is_model_file(self.path) else None
        return replace(read, range=read.range or published)


def load(
    path: Path | str,
    *,
    runtime: str | None = None,
    float_model: nn.Module | Path | str | None = None,
    twin: nn.Module | None = None,
    layout: str | None = None,
    range: Numbers | None = None,  # noqa: A002
    mean: Numbers = (),
    std: Numbers = (),
) -> DeployedModel:
    """Return a deployed file as a model that is attacked through its twin and judged by its runtime.

    Arguments:
        path: The file: .onnx, .tflite, .pt2, .pte or .xml; or a published one's name, such as
            "mlperf-tiny/resnet8-int8".
        runtime: What runs it: "onnxruntime" with an optimization level ("onnxruntime:basic"), "litert" with its kernels
            ("litert:reference"), or "openvino"; the format's own by default.
        float_model: The float network that the file was made of, or its name or file: attacks are transferred from it,
            and it gives the gradient where the format has only a judge.
        twin: Another relative that gives the gradient in place of the file's own twin; maps images in [0, 1] to logits.
        layout: "nchw", "nhwc" or "flat"; by default what the input's shape tells.
        range: What black and white are to the file, such as (0, 255); by default what the file says.
        mean: Mean of each channel in units of the range, where the file takes normalized pixels.
        std: Standard deviation of each channel in units of the range.

    Raises:
        InputError: If the file cannot be read or run, or nobody says what pixels mean to it.
    """
    model = DeployedFile(str(path), runtime, meaning_of(layout, range, mean, std))()
    if twin is not None:
        model.twin = OfImages(adopted(twin), model.softmax).eval()
    if isinstance(float_model, nn.Module):
        model.relate(float_model)
    elif float_model is not None:
        relate(model, str(float_model), model.file.meaning)
    return model


def relate(model: nn.Module, name: str, meaning: Meaning | None = None, root: Path | str | None = None) -> nn.Module:
    """Return the float network of a model by its name or file, and give it to the model where that is deployed.

    What its file does not say of pixels is as in the model's file.

    Arguments:
        model: The deployed model, or any other.
        name: A name of the zoo, a checkpoint, or a deployed file.
        meaning: What the caller says that pixels mean to the files.
        root: Folder of the data sets, where fetched files lie; None takes it from the variable QUANTATTACK_DATA.
    """
    otherwise = model.pixels if isinstance(model, DeployedModel) else None
    relative = DeployedFile(name, None, meaning or Meaning(), otherwise, root)() if is_deployed_file(name) else None
    related = zoo.load_model(name) if relative is None else relative
    if isinstance(model, DeployedModel):
        model.relate(related, name)
    return related


def meaning_of(
    layout: str | None,
    span: Numbers | None,
    mean: Numbers = (),
    std: Numbers = (),
) -> Meaning:
    """Return what the caller says that pixels mean, after checking it.

    Raises:
        InputError: If there is no such layout, the range is empty, or mean and std do not fit each other.
    """
    if span is not None and len(span) != 2:
        raise InputError(f"the range must be two numbers, what black and white are, such as 0,255; not {len(span)}")
    low, high = (0.0, 1.0) if span is None else (float(value) for value in span)
    checked = Pixels(layout or "nchw", low, high, tuple(map(float, mean)), tuple(map(float, std)))
    return Meaning(layout, None if span is None else (checked.low, checked.high), checked.mean, checked.std)
