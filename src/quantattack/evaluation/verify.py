"""A record held against the model, the data and the saved images: every verdict is computed once more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source, digest
from quantattack.errors import InputError
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.judge import SLACK
from quantattack.evaluation.models import CountedModel, model_checksum
from quantattack.evaluation.saved_images import checksum, load_shard
from quantattack.gradients import placement
from quantattack.record.identity import Identity
from quantattack.record.outcome import Outcome, Shard
from quantattack.record.record import Record
from quantattack.types import Images, Indices, Model

_AT_ONCE = 64


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what does not agree.

    Arguments:
        clean: Images whose clean prediction was computed once more.
        attacked: Outcomes that were computed once more from saved images.
        unsaved: Outcomes of attacked images that were not saved, so that only their clean prediction was checked.
        files: Files whose checksum was computed once more.
        wrong: What does not agree, a line each.
    """

    clean: int
    attacked: int
    unsaved: int
    files: int
    wrong: tuple[str, ...]


def verify(record: Record, model: Model, source: Source, threat: Threat) -> Verified:
    """Compute the verdicts of a record once more, from its saved images and the model.

    Arguments:
        record: The record of one model, data set and threat.
        model: The model as given.
        source: The clean images by their index in the data set.
        threat: The threat of the record.

    Raises:
        InputError: If the record lies in no folder, or the data set is too small for it.
    """
    if record.store.folder is None:
        raise InputError("only a record in a folder can be verified")
    counted = CountedModel(model)
    wrong = [*_identities(record, model, source)]
    clean, lines = _clean(record, counted, source)
    wrong += lines
    attacked, unsaved, files = 0, 0, 0
    for name, cell in record.cells.items():
        known = {outcome.image: outcome for outcome in record.outcomes(name)}
        right = sum(outcome.clean_prediction == outcome.label for outcome in known.values())
        seen = 0
        for shard in record.store.shards(cell):
            count, lines = _shard(record.store.folder, shard, known, counted, source, threat)
            wrong += [f"{name}: {line}" for line in lines]
            seen, files = seen + count, files + 1
        attacked, unsaved = attacked + seen, unsaved + right - seen
    return Verified(clean, attacked, unsaved, files, tuple(wrong))


def _identities(record: Record, model: Model, source: Source) -> Iterator[str]:
    """Compare the checksums that the run was started with."""
    for subject in Identity.from_json(record.store.identity).subjects or ():
        if subject.model == record.subject.model and subject.model_checksum != model_checksum(model):
            yield f"the model {record.subject.model} has another checksum than when it was evaluated"
        whole = subject.count == len(source)
        whole = whole and subject.index_digest == digest({"index": torch.arange(subject.count)})
        if subject.data == record.subject.data and whole and subject.data_checksum != source.checksum():
            yield f"the data set {record.subject.data} has another checksum than when it was attacked"


def _clean(record: Record, counted: CountedModel, source: Source) -> tuple[int, list[str]]:
    name = max(record.attacks, key=lambda attack: len(record.column(attack, "image")))
    index, label, before = (
        record.column(name, column).astype(int) for column in ("image", "label", "clean_prediction")
    )
    if not len(index):
        return 0, []
    _reach(index, source)

    def differing(rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = source.take(index[list(rows)].tolist())
        return labels.numpy() != label[list(rows)], _classes(counted, images) != before[list(rows)]

    batches = list(BatchSizer(_AT_ONCE, fixed=True).parts(range(len(index)), differing))
    labels, predictions = (np.concatenate(columns) for columns in zip(*batches, strict=True))
    lines = [f"image {at} has another label in the data set" for at in index[labels]]
    return len(index), lines + [f"image {at} clean is predicted otherwise" for at in index[predictions]]


def _reach(index: np.ndarray, source: Source) -> None:
    if len(index) and index.max() >= len(source):
        raise InputError(f"the record is of image {index.max()}, the data set has {len(source)}; name the same data")


def _classes(counted: CountedModel, images: Images) -> np.ndarray:
    device, dtype = placement(counted)
    with torch.no_grad():
        return np.asarray(counted(images.to(device, dtype)).argmax(1).cpu())


def _shard(
    folder: Path, shard: Shard, known: dict[int, Outcome], counted: CountedModel, source: Source, threat: Threat
) -> tuple[int, list[str]]:
    path = folder / shard.file
    if not path.is_file():
        return 0, [f"{shard.file} is missing"]
    if checksum(path) != shard.sha256:
        return 0, [f"{shard.file} has another checksum than when it was written"]
    index, images = load_shard(path)
    lines = [f"{shard.file} holds {len(index)} images, not {shard.images}"] if len(index) != shard.images else []
    for rows in torch.split(torch.arange(len(index)), _AT_ONCE):
        lines += _compared(index[rows], images[rows], known, counted, source, threat)
    return len(index), lines


def _compared(
    index: Indices, images: Images, known: dict[int, Outcome], counted: CountedModel, source: Source, threat: Threat
) -> Iterator[str]:
    """Compare what is seen now with what the record says: the class, and whether the image is inside the threat."""
    _, dtype = placement(counted)
    clean = source.take(index.tolist())[0].to(dtype)
    shown = images.to(dtype)
    inside = threat.contains(shown, clean, SLACK)
    for image, prediction, within in zip(index.tolist(), _classes(counted, shown), inside.tolist(), strict=True):
        outcome = known.get(image)
        if outcome is None:
            yield f"image {image} was saved and has no outcome"
        elif outcome.prediction != prediction:
            yield f"image {image} is predicted as {prediction}, the record says {outcome.prediction}"
        elif outcome.inside != within:
            yield f"image {image} is {'inside' if within else 'outside'} the threat, the record says otherwise"
