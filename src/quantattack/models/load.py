"""Open a model by whatever names it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from quantattack.deployed.load import Numbers, is_deployed_file, load, meaning_of
from quantattack.deployed.loaded import Meaning
from quantattack.deployed.pixels import Pixels
from quantattack.errors import InputError
from quantattack.models.hints import FOREIGN, no_model
from quantattack.models.hugging_face import PROCESSOR, hugging_face_model, is_hugging_face
from quantattack.models.pixels import WithPixels, combined
from quantattack.models.python import SOURCE, is_python, python_model
from quantattack.models.weights import is_weights, weights_model
from quantattack.nn import zoo
from quantattack.nn.pickles import refuse_pickle
from quantattack.reading import is_file
from quantattack.record.deployed import pixel_words


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model that was opened by its name.

    Arguments:
        model: The network.
        notes: Lines that state what of it was found in its files.
    """

    model: nn.Module
    notes: list[str] = field(default_factory=list)


def is_own(name: str) -> bool:
    """Return whether a model's name is one of Python code, a Hugging Face folder, or of weights without a network."""
    return not is_deployed_file(name) and (is_python(name) or is_hugging_face(name) or is_weights(name))


def open_model(name: str, meaning: Meaning | None = None, architecture: str | nn.Module | None = None) -> OpenedModel:
    """Return a network by its name; one of the zoo and a checkpoint take pixels in [0, 1], whatever is said.

    Arguments:
        name: A name of the zoo, a checkpoint, file.py:name, package.module:name, a Hugging Face folder, or weights.
        meaning: What the caller says that pixels mean to it.
        architecture: The architecture of weights without a network.

    Raises:
        InputError: If nothing has the name, or what has it cannot be used.
    """
    said = meaning or Meaning()
    if is_python(name):
        model = python_model(name)
        return OpenedModel(model if said == Meaning() else WithPixels(model, combined(said, Pixels())))
    if is_hugging_face(name):
        return _of_hugging_face(name, said)
    if is_weights(name):
        return _of_weights(name, said, architecture)
    if name in zoo.names() or _is_checkpoint(name):
        return OpenedModel(zoo.load_model(name))
    raise no_model(name)


def _is_checkpoint(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    return suffix == zoo.SUFFIX or (is_file(name) and suffix not in (SOURCE, *FOREIGN))


def _of_hugging_face(name: str, said: Meaning) -> OpenedModel:
    model, known, size = hugging_face_model(name)
    pixels = combined(said, known or Pixels())
    by = f" ({PROCESSOR})" if known == pixels else f"; it has no {PROCESSOR}" if known is None else ""
    sized = f"; its processor makes images of {size}, and yours are not resized" if size else ""
    return OpenedModel(WithPixels(model, pixels), [f"{name} takes pixels as {pixel_words(asdict(pixels))}{by}{sized}"])


def _of_weights(name: str, said: Meaning, architecture: str | nn.Module | None) -> OpenedModel:
    model, known = weights_model(name, architecture)
    pixels, text = combined(said, known), architecture if isinstance(architecture, str) else None
    notes = [] if pixels == Pixels() else [f"{name} takes pixels as {pixel_words(asdict(pixels))}"]
    return OpenedModel(WithPixels(model, pixels, text), notes)


def load_model(
    name: Path | str,
    *,
    architecture: str | nn.Module | None = None,
    layout: str | None = None,
    range: Numbers | None = None,  # noqa: A002
    mean: Numbers = (),
    std: Numbers = (),
    **of_files: Any,
) -> nn.Module:
    """Return a network by its name, file or folder; it takes images in [0, 1] with shape (n, c, h, w).

    A network of the zoo, weights and a Hugging Face folder come in eval mode; what Python code makes, as it made it.

    Arguments:
        name: A name of the zoo, a checkpoint, a deployed file such as "model.tflite", "file.py:name" or
            "package.module:name" of your own Python code, which is run, a folder of Hugging Face's transformers with
            config.json and model.safetensors, or a safetensors file of weights.
        architecture: What weights belong to: one of ours such as "lenet[width=0.5]", "timm:NAME", "file.py:Class", or
            the network itself.
        layout: How the network takes pixels, "nchw", "nhwc" or "flat"; by default what its file tells, else "nchw".
        range: What black and white are to it, such as (0, 255); by default what its file says, else (0, 1).
        mean: Mean of each channel in units of the range, where it takes normalized pixels.
        std: Standard deviation of each channel in units of the range.
        of_files: More keyword arguments of `deployed.load`, for a deployed file alone.

    Raises:
        InputError: If nothing has the name, its file cannot be read, or something is said that is not for it.
    """
    name = str(name)
    said = meaning_of(layout, range, mean, std)
    if is_deployed_file(name):
        if architecture is not None:
            raise InputError(f"{name} holds its own graph; leave the architecture out")
        return load(name, layout=layout, range=range, mean=mean, std=std, **of_files)
    if of_files:
        raise InputError(f"{', '.join(of_files)} are for deployed files; {name} is none")
    check_settings(name, said, architecture)
    return open_model(name, said, architecture).model


def check_settings(name: str, said: Meaning, architecture: str | nn.Module | None) -> None:
    """Raise InputError if something is said of a network that is not for it.

    Arguments:
        name: The network's name; not that of a deployed file.
        said: What the caller says that pixels mean to it.
        architecture: What the caller says that its architecture is.
    """
    if said != Meaning() and not is_own(name):
        raise InputError(f"{name} takes pixels in [0, 1] as it is; leave layout, range, mean and std out")
    if architecture is not None and not is_weights(name):
        refuse_pickle(name, architecture if isinstance(architecture, str) else None)
        raise InputError(f"the architecture is for a .safetensors file of weights alone; {name} is none")
