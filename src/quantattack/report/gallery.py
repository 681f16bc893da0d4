"""Sixteen clean images of an evaluation with their adversarial images, in the order of their fall."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from quantattack.record.outcome import Subject
from quantattack.record.record import Record
from quantattack.report.steps import fall_steps

SHOWN = 16
TENSORS = ("clean", "adversarial", "index", "label", "clean_prediction", "prediction")


@dataclass(frozen=True)
class Picture:
    """One image of the gallery; the three pictures are PNG data URIs.

    Arguments:
        index: Index of the image in its data set.
        label: True class.
        clean_prediction: Class predicted for the clean image.
        prediction: Class predicted for the attacked image.
        clean: The image as it is in the data set.
        perturbation: The change, magnified, on middle gray.
        adversarial: The attacked image.
        changed: Number of values that differ, of all pixels and channels.
        values: Number of values of the image.
        largest: Largest difference of a value, in pixels of [0, 1].
        fell: Step of the attack that broke the image; None where unknown.

    """

    index: int
    label: int
    clean_prediction: int
    prediction: int
    clean: str
    perturbation: str
    adversarial: str
    changed: int = 0
    values: int = 0
    largest: float = 0.0
    fell: int | None = None


@dataclass(frozen=True)
class Gallery:
    """The pictures of an evaluation, or the reason why there are none.

    Arguments:
        pictures: At most 16.
        attack: The attack that made the adversarial images.
        factor: Factor by which the perturbation was magnified; 0 where nothing changed.
        missing: Why there are no pictures; empty where there are.

    """

    pictures: tuple[Picture, ...] = ()
    attack: str = ""
    factor: float = 0.0
    missing: str = ""


def read_gallery(folder: Path, place: int, subject: Subject) -> Gallery:
    """Read the images that an evaluation saved next to its record.

    Arguments:
        folder: The run's folder.
        place: Position of the evaluation in the run, from 1: the file is `gallery-<place>.safetensors`.
        subject: The evaluation; a file with another model, data set or threat is rejected.

    """
    path = folder / f"gallery-{place}.safetensors"
    if not path.is_file():
        return Gallery(missing=f"The run left no images ({path.name} is not there).")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors, notes = {name: file.get_tensor(name) for name in TENSORS}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        return Gallery(missing=f"{path.name} cannot be read: {error}")
    threat = notes.get("threat", subject.threat)  # the oldest files do not say it
    if (notes.get("model"), notes.get("data"), threat) != (subject.model, subject.data, subject.threat):
        return Gallery(missing=f"{path.name} holds the images of another evaluation.")
    return _pictures(tensors, notes.get("attack", ""))


def _pictures(tensors: Mapping[str, NDArray[Any]], attack: str) -> Gallery:
    clean, adversarial = (_pixels(tensors[name][:SHOWN]) for name in ("clean", "adversarial"))
    if len({len(tensor) for tensor in tensors.values()}) > 1:
        return Gallery(missing="The gallery's tensors are of different lengths.")
    if not len(clean):
        return Gallery(missing=f"No image was broken by {attack}: there is none to show.")
    if clean.ndim != 4 or clean.shape != adversarial.shape:
        return Gallery(missing=f"Images of shape {clean.shape[1:]} cannot be shown.")
    change = adversarial - clean
    largest = float(np.abs(change).max(initial=0.0))
    factor = 0.5 / largest if largest > 0 else 0.0
    facts = zip(*(tensors[name][:SHOWN].tolist() for name in TENSORS[2:]), strict=True)
    images = zip(clean, 0.5 + factor * change, adversarial, strict=True)
    rows = zip(facts, images, map(_difference, change), strict=True)
    pictures = tuple(_picture(fields, three, far) for fields, three, far in rows)
    return Gallery(pictures, attack, factor)


def _picture(
    fields: Sequence[int], images: Sequence[NDArray[np.float64]], difference: tuple[int, int, float]
) -> Picture:
    index, label, before, after = fields
    clean, perturbation, adversarial = map(png, images)
    changed, values, largest = difference
    return Picture(index, label, before, after, clean, perturbation, adversarial, changed, values, largest)


def _difference(change: NDArray[np.float64]) -> tuple[int, int, float]:
    """Return how many values of an image changed, of how many, and by how much at most."""
    return int(np.count_nonzero(change)), change.size, float(np.abs(change).max(initial=0.0))


def by_fall(gallery: Gallery, record: Record) -> Gallery:
    """Return a gallery with its pictures in the order in which the images fell; where it is not known, last.

    Arguments:
        gallery: The pictures of an evaluation.
        record: The evaluation, for the steps.

    """
    if gallery.attack not in record.attacks:
        return gallery
    steps = fall_steps(record, gallery.attack)
    at = dict(zip(record.column(gallery.attack, "image").astype(int).tolist(), steps.tolist(), strict=True))
    timed = [replace(picture, fell=_whole(at.get(picture.index, nan))) for picture in gallery.pictures]
    ordered = sorted(timed, key=lambda picture: (picture.fell is None, picture.fell or 0, picture.index))
    return replace(gallery, pictures=tuple(ordered))


def _whole(step: float) -> int | None:
    return None if isnan(step) else int(step)


def _pixels(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return pixels from 0 to 1."""
    return images.astype(np.float64) / (255.0 if images.dtype == np.uint8 else 1.0)


def png(image: NDArray[np.float64]) -> str:
    """Return an image as a PNG data URI.

    Arguments:
        image: Channels first, pixels in [0, 1]; of anything but three channels the first is shown in gray.

    """
    colors = image if image.shape[0] == 3 else np.repeat(image[:1], 3, axis=0)
    levels = np.rint(255 * np.clip(colors, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    buffer = io.BytesIO()
    imsave(buffer, levels, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
