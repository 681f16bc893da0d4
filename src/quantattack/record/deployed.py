"""What a record notes of models: of deployed ones the file, what runs it, and how far its twin tells the truth.

The facts are notes of the run under "deployed", by the model's name; they are read without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantattack.record.outcome import Subject
from quantattack.record.record_file import RecordFile

NOTE = "deployed"  # the facts' name among a record's notes
ONE_LOGIT = "one_logit"  # the name of the networks with one logit
OPENED = "opened"  # the name of how networks that are no deployed files were opened: pixels and architecture


@dataclass(frozen=True)
class Agreement:
    """How far a twin and its runtime agree on some images.

    Arguments:
        images: Number of images.
        differing: Share of the outputs that differ; of a float output, by more than rounding explains.
        step: Largest difference in steps of the file's quantized output; None where the output is float.
        largest: Largest difference.
        argmax: Share of the images with the same predicted class.
    """

    images: int
    differing: float
    step: int | None
    largest: float
    argmax: float

    @property
    def exact(self) -> bool:
        """Whether no output differs."""
        return self.differing == 0

    @property
    def words(self) -> str:
        """The numbers in words."""
        same = f"{100 * self.argmax:.1f}% predicted the same"
        if self.exact:
            return f"no output of {self.images} images differs"
        size = f"{self.largest:.2g}" if self.step is None else f"{self.step} step{'s' * (self.step != 1)}"
        return f"{_percent(self.differing)} of the outputs of {self.images} images differ, by {size} at most, {same}"


def _percent(share: float) -> str:
    """Return a share in percent, with as many digits as keep it above 0."""
    return f"{100 * share:.1f}%" if share >= 0.0005 else f"{100 * share:.1g}%"


def deployed_note(store: RecordFile, model: str) -> dict[str, Any] | None:
    """Return what a record notes of a deployed model; None of any other.

    Arguments:
        store: The record.
        model: The model's name in the record.
    """
    noted: dict[str, Any] | None = store.notes.get(NOTE, {}).get(model)
    return noted


def has_one_logit(store: RecordFile, model: str) -> bool:
    """Return whether a record notes that a model has one logit for two classes.

    Arguments:
        store: The record.
        model: The model's name in the record.
    """
    return model in store.notes.get(ONE_LOGIT, [])


def opened_note(store: RecordFile, model: str) -> dict[str, Any] | None:
    """Return how a record notes that a network was opened, its pixels and architecture; None where nothing was said.

    Arguments:
        store: The record.
        model: The model's name in the record.
    """
    noted: dict[str, Any] | None = store.notes.get(OPENED, {}).get(model)
    return noted


def agreements(about: Mapping[str, Any], subject: Subject) -> dict[str, Agreement]:
    """Return how far twin and runtime agree, by the kind of image: clean, noise, attacked.

    Arguments:
        about: What a record notes of the model.
        subject: The names of model, data set and threat.
    """
    on = about["on"].get(subject.data, {"clean": None, "noise": None, "attacked": {}})
    noted = {"clean": on["clean"], "noise": on["noise"], "attacked": on["attacked"].get(subject.threat)}
    return {name: Agreement(**numbers) for name, numbers in noted.items() if numbers is not None}


def pixel_words(pixels: Mapping[str, Any]) -> str:
    """Return in words what pixels mean to a model.

    Arguments:
        pixels: Layout, low, high, mean and std, as `Pixels` has them.
    """
    words = f"{pixels['layout']}, black is {pixels['low']:g} and white {pixels['high']:g}"
    if not pixels["mean"]:
        return words
    mean, std = (", ".join(f"{value:.4g}" for value in pixels[name]) for name in ("mean", "std"))
    return f"{words}, less the mean {mean}, over the deviation {std}"
