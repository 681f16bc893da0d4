"""How commands open models: what pixels mean to deployed files, what runs them, and one logit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from quantattack.deployed.load import DeployedFile, is_deployed_file, meaning_of
from quantattack.deployed.loaded import Meaning
from quantattack.errors import InputError
from quantattack.record.deployed import deployed_note, has_one_logit
from quantattack.record.record import Record


@dataclass(frozen=True)
class FileOptions:
    """How deployed files are opened, as the command says it.

    Arguments:
        meaning: What pixels mean to them.
        runtime: What runs them; None for each format's own.
        root: Folder of the data sets, where fetched files lie; None for the variable QUANTATTACK_DATA.
        one_logit: Whether networks that are no deployed files have one logit for two classes.
    """

    meaning: Meaning = field(default_factory=Meaning)
    runtime: str | None = None
    root: str | None = field(default=None, compare=False)
    one_logit: bool = field(default=False, compare=False)

    def file(self, path: str) -> DeployedFile:
        """Return the file at a path, to be opened so."""
        return DeployedFile(path, self.runtime, self.meaning, root=self.root)

    def check(self, models: Sequence[str]) -> None:
        """Raise InputError if something is said of deployed files and none of the models is one."""
        if self != FileOptions() and not any(map(is_deployed_file, models)):
            says = "--layout, --range, --mean, --std and --runtime are for deployed files"
            raise InputError(f"{says}; {', '.join(models)} is none")
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
) -> FileOptions:
    """Return how deployed files are opened, from the texts of the command or of a run file.

    Raises:
        InputError: If a text is no list of numbers, or what it says cannot be meant.
    """
    span = _numbers("range", range_) if range_ else None
    meaning = meaning_of(layout, span, _numbers("mean", mean), _numbers("std", std))
    return FileOptions(meaning, runtime, root, one_logit)


def _numbers(name: str, text: str | Sequence[str] | None) -> tuple[float, ...]:
    parts = [] if text is None else text.split(",") if isinstance(text, str) else text
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        raise InputError(f"--{name} must be numbers like 0,255, not {','.join(parts)!r}") from None


def noted_options(record: Record, root: str | None = None) -> FileOptions:
    """Return how the deployed file of a record was opened when it was attacked.

    Arguments:
        record: The record of one model, data set and threat.
        root: Folder of the data sets, where fetched files lie; None for the variable QUANTATTACK_DATA.
    """
    about, one = deployed_note(record.store, record.subject.model), has_one_logit(record.store, record.subject.model)
    if about is None:
        return FileOptions(root=root, one_logit=one)
    pixels, file = about["file"]["pixels"], about["file"]
    span = pixels["low"], pixels["high"]
    meaning = meaning_of(pixels["layout"], span, pixels["mean"], pixels["std"])
    return FileOptions(meaning, file["opened"], root, one)
