"""How commands open models: what pixels mean to them, what runs them, their architecture, and one logit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantattack.deployed.load import DeployedFile, is_deployed_file, meaning_of
from quantattack.deployed.loaded import Meaning
from quantattack.errors import InputError
from quantattack.models.load import is_own
from quantattack.models.weights import is_weights
from quantattack.nn.pickles import refuse_pickle
from quantattack.record.deployed import deployed_note, has_one_logit, opened_note
from quantattack.record.record import Record


@dataclass(frozen=True)
class FileOptions:
    """How models are opened, as the command says it.

    Arguments:
        meaning: What pixels mean to them.
        runtime: What runs them; None for each format's own.
        root: Folder of the data sets, where fetched files lie; None for the variable QUANTATTACK_DATA.
        one_logit: Whether networks that are no deployed files have one logit for two classes.
        architecture: What weights alone belong to; None for files that tell.
    """

    meaning: Meaning = field(default_factory=Meaning)
    runtime: str | None = None
    root: str | None = field(default=None, compare=False)
    one_logit: bool = field(default=False, compare=False)
    architecture: str | None = None

    def file(self, path: str) -> DeployedFile:
        """Return the file at a path, to be opened so."""
        return DeployedFile(path, self.runtime, self.meaning, root=self.root)

    def check(self, models: Sequence[str]) -> None:
        """Raise InputError if something is said that is for none of the models."""
        if self.runtime is not None and not any(map(is_deployed_file, models)):
            raise InputError(f"--runtime is for deployed files; {', '.join(models)} is none")
        if self.meaning != Meaning() and not any(is_deployed_file(model) or is_own(model) for model in models):
            says = "--layout, --range, --mean and --std are for deployed files and models of your own"
            raise InputError(f"{says}; {', '.join(models)} takes pixels in [0, 1] as it is")
        if self.architecture is not None and not any(map(is_weights, models)):
            for model in models:
                refuse_pickle(model, self.architecture)
            raise InputError(f"--architecture is for .safetensors files of weights alone; {', '.join(models)} is none")
        if self.one_logit and any(map(is_deployed_file, models)):
            raise InputError("--one-logit is for networks of layers; load a deployed file in Python: OneLogit(model)")


def file_options(
    layout: str | None = None,
    range_: str | Sequence[str] | None = None,
    mean: str | Sequence[str] | None = None,
    std: str | Sequence[str] | None = None,
    runtime: str | None = None,
    root: str | None = None,
    one_logit: bool = False,
    architecture: str | None = None,
) -> FileOptions:
    """Return how models are opened, from the texts of the command or of a run file.

    Raises:
        InputError: If a text is no list of numbers, or what it says cannot be meant.
    """
    span = _numbers("range", range_) if range_ else None
    meaning = meaning_of(layout, span, _numbers("mean", mean), _numbers("std", std))
    return FileOptions(meaning, runtime, root, one_logit, architecture)


def _numbers(name: str, text: str | Sequence[str] | None) -> tuple[float, ...]:
    parts = [] if text is None else text.split(",") if isinstance(text, str) else text
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        raise InputError(f"--{name} must be numbers like 0,255, not {','.join(parts)!r}") from None


def noted_options(record: Record, root: str | None = None) -> FileOptions:
    """Return how the model of a record was opened when it was attacked.

    Arguments:
        record: The record of one model, data set and threat.
        root: Folder of the data sets, where fetched files lie; None for the variable QUANTATTACK_DATA.
    """
    about, one = deployed_note(record.store, record.subject.model), has_one_logit(record.store, record.subject.model)
    if about is not None:
        return FileOptions(_meaning_in(about["file"]["pixels"]), about["file"]["opened"], root, one)
    opened = opened_note(record.store, record.subject.model)
    if opened is None:
        return FileOptions(root=root, one_logit=one)
    return FileOptions(_meaning_in(opened["pixels"]), None, root, one, opened["architecture"])


def _meaning_in(pixels: Mapping[str, Any]) -> Meaning:
    """Return what a record notes that pixels mean to a model."""
    return meaning_of(pixels["layout"], (pixels["low"], pixels["high"]), pixels["mean"], pixels["std"])
