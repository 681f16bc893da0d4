"""Recomputes the verdicts of a record from the model, the data and the saved images, and lists each mismatch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source, digest
from quantattack.errors import InputError
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.checks import counted_model
from quantattack.evaluation.clean import judged
from quantattack.evaluation.contradictions import contradictions
from quantattack.evaluation.judge import SLACK
from quantattack.evaluation.models import CountedModel, model_checksum
from quantattack.evaluation.proofs import verify_proofs
from quantattack.evaluation.saved_images import load_shard
from quantattack.gradients import placement
from quantattack.record.bounds import PROVED
from quantattack.record.checksums import DTYPE
from quantattack.record.identity import Identity, begins
from quantattack.record.outcome import Outcome, Shard
from quantattack.record.record import Record
from quantattack.record.shards import checksum, path_of
from quantattack.types import Images, Indices, Labels, Model

_BATCH = 64  # images
_FIRST = 16  # images on which it is found out what batches the model takes
_MARGIN, _SIZE = 1e-3, 1e-5  # relative, for other kernels on another machine; absolute below 1


@dataclass(frozen=True)
class Verified:
    """The result of a verification.

    Arguments:
        clean: Number of images whose clean prediction was recomputed.
        attacked: Number of outcomes that were recomputed from saved images.
        unsaved: Number of outcomes without a saved image, of which only the clean prediction was checked.
        files: Number of image files whose checksum was recomputed.
        proofs: Number of proofs that were computed again: those by intervals and CROWN.
        unproved: Number of proofs by a solver, which were not searched again.
        wrong: One line per mismatch; empty if the record is confirmed.
    """

    clean: int
    attacked: int
    unsaved: int
    files: int
    wrong: tuple[str, ...]
    proofs: int = 0
    unproved: int = 0


def verify(record: Record, model: Model, source: Source, threat: Threat, padding: bool = True) -> Verified:
    """Recompute the verdicts of a record from its saved images and the model.

    Arguments:
        record: The record of one model, data set and threat.
        model: The model that was evaluated.
        source: The whole data set; positions in it are the record's image indices.
        threat: The threat of the record.
        padding: Whether batches may be padded, as `evaluate` says.

    Raises:
        InputError: If the record is in memory only, or has an index beyond the data set.
    """
    if record.store.folder is None:
        raise InputError("only a record in a folder can be verified")
    counted = _counted(record, model, source, padding)
    mismatches = [*_checksum_mismatches(record, model, source), *contradictions(record)]
    clean, lines = _verify_clean(record, counted, source)
    mismatches += lines
    attacked, unsaved, files = 0, 0, 0
    for name, cell in record.cells.items():
        outcomes = {outcome.image: outcome for outcome in record.outcomes(name)}
        right = sum(outcome.clean_prediction == outcome.label for outcome in outcomes.values())
        saved = 0
        for shard in record.store.shards(cell):
            count, lines = _verify_shard(record.store.folder, shard, outcomes, counted, source, threat)
            mismatches += [f"{name}: {line}" for line in lines]
            saved, files = saved + count, files + 1
        attacked, unsaved = attacked + saved, unsaved + right - saved
    proofs, lines = verify_proofs(record, model, source, threat)
    solved = sum(bound.verdict == PROVED for bound in record.bounds.values()) - proofs
    return Verified(clean, attacked, unsaved, files, (*mismatches, *lines), proofs, solved)


def _counted(record: Record, model: Model, source: Source, padding: bool) -> CountedModel:
    """Return the model as evaluations call it: with the row count of a model that takes no other."""
    device, dtype = placement(model)
    first = source.take(range(min(_FIRST, len(source))))[0]
    return counted_model(model, first.to(device, dtype), record.store.notes.get("batch_size"), padding)[0]


def _checksum_mismatches(record: Record, model: Model, source: Source) -> Iterator[str]:
    """Yield a line for each checksum of the model and the data set that differs from the one recorded at the start.

    A record's data checksum covers its own images, so it is compared only if these are the whole data set.
    """
    for subject in Identity.from_json(record.store.identity).subjects or ():
        if subject.model == record.subject.model and subject.model_checksum != model_checksum(model):
            yield f"the model {record.subject.model} has another checksum than when it was evaluated"
        every = digest({"index": torch.arange(subject.count)})
        is_whole = subject.count == len(source) and subject.index_digest == every
        if subject.data == record.subject.data and is_whole and not begins(subject.data_checksum, source.checksum()):
            yield f"the data set {record.subject.data} has another checksum than when it was attacked"


def _verify_clean(record: Record, counted: CountedModel, source: Source) -> tuple[int, list[str]]:
    """Recompute the clean predictions; return how many, and a line for each label or prediction that differs."""
    tables = [cell.outcomes for cell in record.by_attack.values()]
    every = np.concatenate(tables) if tables else np.zeros(0, DTYPE)
    index, rows = np.unique(every["image"], return_index=True)
    if not len(index):
        return 0, []
    _check_range(index, source)
    right, known = every[rows], (every["clean_prediction"] != every["label"]) & ~np.isnan(every["margin"])
    unattacked = dict(zip(every["image"][known].tolist(), every["margin"][known].tolist(), strict=True))

    def differing(positions: Sequence[int]) -> list[str]:
        expected = right[list(positions)]
        images, labels = source.take(expected["image"].tolist())
        prediction, margins = _judged(counted, images, labels)
        facts = zip(expected, labels.tolist(), prediction, margins, strict=True)
        return [line for row, *found in facts for line in _clean_lines(row, unattacked, *found)]

    return len(index), sum(BatchSizer(_BATCH, fixed=True).parts(range(len(index)), differing), list[str]())


def _clean_lines(
    row: np.void, unattacked: dict[int, float], label: int, prediction: int, margin: float
) -> Iterator[str]:
    """Yield a line for each column of a clean image that differs from what was computed again."""
    image = int(row["image"])
    if label != row["label"]:
        yield f"image {image} has another label in the data set"
    elif prediction != row["clean_prediction"]:
        yield f"clean image {image} has another prediction"
    elif image in unattacked and not _close(margin, unattacked[image], _MARGIN):
        yield f"clean image {image} has the margin {margin:.4g}, the record says {unattacked[image]:.4g}"


def _close(computed: float, recorded: float, tolerance: float) -> bool:
    return computed == recorded or abs(computed - recorded) <= tolerance * max(1.0, abs(recorded))


def _check_range(index: np.ndarray, source: Source) -> None:
    if len(index) and index.min() < 0:
        raise InputError(f"the record is of image {index.min()}, which no data set has; it is damaged")
    if len(index) and index.max() >= len(source):
        raise InputError(f"the record is of image {index.max()}, the data set has {len(source)}; name the same data")


def _judged(counted: CountedModel, images: Images, labels: Labels) -> tuple[list[int], list[float]]:
    """Return each image's predicted class and margin."""
    device, dtype = placement(counted)
    logits, margins = judged(counted, images.to(device, dtype), labels.to(device))
    return logits.argmax(1).tolist(), margins.tolist()


def _verify_shard(
    folder: Path, shard: Shard, outcomes: dict[int, Outcome], counted: CountedModel, source: Source, threat: Threat
) -> tuple[int, list[str]]:
    """Verify the images of one file; return how many it holds, and a line for each mismatch."""
    path = path_of(folder, shard.file)
    if not path.is_file():
        return 0, [f"{shard.file} is missing"]
    if checksum(path) != shard.sha256:
        return 0, [f"{shard.file} has another checksum than when it was written"]
    index, images = load_shard(path)
    lines = [f"{shard.file} holds {len(index)} images, not {shard.images}"] if len(index) != shard.images else []
    for rows in torch.split(torch.arange(len(index)), _BATCH):
        lines += _mismatches(index[rows], images[rows], outcomes, counted, source, threat)
    return len(index), lines


def _mismatches(
    index: Indices, images: Images, outcomes: dict[int, Outcome], counted: CountedModel, source: Source, threat: Threat
) -> Iterator[str]:
    """Yield a line for each image whose prediction, or whether it is inside the threat, differs from its outcome."""
    _, dtype = placement(counted)
    _check_range(index.numpy(), source)
    clean, labels = source.take(index.tolist())
    clean, attacked = clean.to(dtype), images.to(dtype)
    size = threat.norm.size(attacked.double() - clean.double())
    columns = (index, threat.contains(attacked, clean, SLACK), size)
    facts = zip(*(column.tolist() for column in columns), *_judged(counted, attacked, labels), strict=True)
    for image, within, norm, prediction, margin in facts:
        outcome = outcomes.get(image)
        if outcome is None:
            yield f"image {image} was saved and has no outcome"
        elif outcome.prediction != prediction:
            yield f"image {image} is predicted as {prediction}, the record says {outcome.prediction}"
        elif outcome.inside != within:
            yield f"image {image} is {'inside' if within else 'outside'} the threat, the record says otherwise"
        elif outcome.margin is not None and not _close(margin, outcome.margin, _MARGIN):
            yield f"image {image} has the margin {margin:.4g}, the record says {outcome.margin:.4g}"
        elif not _close(norm, outcome.size, _SIZE):
            yield f"image {image} has a perturbation of {norm:.4g}, the record says {outcome.size:.4g}"
