"""The clean images of a task: the model's predictions on them, and whether it answers twice in the same way."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from quantattack.attacks.losses import margin
from quantattack.errors import guarded
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.checks import check_classes, check_logits
from quantattack.evaluation.company import TOGETHER, depends_on_company
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.pixels import check_clean
from quantattack.evaluation.rereads import digests
from quantattack.evaluation.task import Task
from quantattack.record.outcome import Outcome
from quantattack.types import Images, Labels, Logits, PerImage

Watch: TypeAlias = Callable[[int, int], None]  # called with a call's images, and its passes over rows so far


@dataclass(frozen=True, eq=False)
class Clean:
    """The model's predictions on n clean images.

    Arguments:
        position: Positions of the images in the task, with shape (n,).
        label: Their true classes, with shape (n,).
        prediction: The predicted classes, with shape (n,).
        margin: True logit minus the largest other, with shape (n,).
        random: Whether two forward passes of the same images differed.
        dependent: Whether an image's logits depended on the other images of its batch.
        seconds: Wall time of a forward pass, per image.
        changing: Whether the model's answers to the same batches changed between two looks.
        read: A digest of each image and label as they were read, with shape (n,); None where there is none.
    """

    position: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    margin: np.ndarray
    random: bool
    dependent: bool = False
    seconds: float = 0.0
    changing: bool = False
    read: np.ndarray | None = None

    @property
    def right(self) -> np.ndarray:
        """Which images are classified correctly, with shape (n,)."""
        return np.asarray(self.prediction == self.label)


def predict(
    task: Task,
    name: str,  # noqa: ARG001
    positions: Sequence[int],
    sizer: BatchSizer,
    watch: Watch | None = None,  # noqa: ARG001
) -> Iterator[Clean]:
    """Predict the clean images batch by batch; the first batch runs twice, to detect a random model.

    Arguments:
        task: The task.
        name: Unused; present so that `predict` and `attack` have the same signature.
        positions: Positions of the images to predict.
        sizer: Chooses the batch size.
        watch: Unused, like `name`.
    """
    return sizer.parts(positions, lambda chunk: _predicted(task, chunk))


def _predicted(task: Task, positions: Sequence[int]) -> Clean:
    where = where_of(task, positions)
    with guarded("the data set", where):
        images, labels = task.batch(positions)
    check_clean(task.threat, images, task.index[list(positions)].tolist())
    with guarded("the model", where):
        logits, margins = judged(task.model, images, labels)
        is_first, begun = positions[0] == 0, time.perf_counter()
        random = is_first and not torch.equal(logits, judged(task.model, images, labels)[0])
        seconds = (time.perf_counter() - begun) / len(positions) if is_first else 0.0  # once all is warm
        pixels = task.threat.low, task.threat.high
        first = is_first and not random
        dependent = depends_on_company(task.model, task.first(TOGETHER), *pixels) if first else False
    label, prediction, gap = (column.cpu().numpy() for column in (labels, logits.argmax(1), margins))
    found, read = (random, dependent is True, seconds, dependent is None), digests(images, labels)
    return Clean(np.asarray(positions), label, prediction, gap, *found, read)


def joined(batches: Sequence[Clean]) -> Clean:
    """Concatenate the predictions of several batches, sorted by position."""
    position, label, prediction, gap, read = (
        np.concatenate(columns)
        for columns in zip(*((b.position, b.label, b.prediction, b.margin, b.read) for b in batches), strict=True)
    )
    order = position.argsort(kind="stable")
    random, dependent, changing = (
        any(found) for found in zip(*((b.random, b.dependent, b.changing) for b in batches), strict=True)
    )
    found = random, dependent, max(batch.seconds for batch in batches), changing
    return Clean(position[order], label[order], prediction[order], gap[order], *found, read[order])


def judged(model: CountedModel, images: Images, labels: Labels) -> tuple[Logits, PerImage]:
    r"""Return the model's logits with shape (n, k) and margins :math:`z_y - \max_{j \ne y} z_j` with shape (n,).

    Raises:
        InputError: If the logits are not finite, or a label is not one of the k classes.
    """
    with torch.no_grad():
        logits = model(images)
    check_logits(logits, len(images))
    check_classes(labels, logits.shape[1])
    return logits, -margin(logits.double(), labels)


def already_wrong(task: Task, clean: Clean, at: int) -> Outcome:
    """Return the outcome of an image that the clean model misclassifies: no perturbation, no cost.

    Arguments:
        task: The task.
        clean: The model's predictions on all images of the task.
        at: Position of the image.
    """
    label, prediction = int(clean.label[at]), int(clean.prediction[at])
    image, gap = int(task.index[at]), float(clean.margin[at])
    return Outcome(image, label, prediction, prediction, gap, 0.0, 0, 0, 0.0, 0.0, 0.0, inside=True)


def where_of(task: Task, positions: Sequence[int]) -> str:
    """Return the range of images at some positions, by their indices in the data set."""
    index = task.index[list(positions)]
    first, last = int(index.min()), int(index.max())
    return f"image {first}" if first == last else f"images {first} to {last}"
