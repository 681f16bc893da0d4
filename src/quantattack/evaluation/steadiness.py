"""Whether a model answers the same images in the same way: twice in a row, and at the end as at the beginning."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from quantattack.errors import guarded
from quantattack.evaluation.company import differ
from quantattack.evaluation.models import CountedModel
from quantattack.types import Images, Logits

HANDFUL = 8  # images that are asked of again
_AGAIN = 8  # times at the end: a model that answers otherwise at times is seen


def repeats(model: CountedModel, images: Images) -> bool:
    """Return whether two forward passes of the same images agree bit for bit.

    Arguments:
        model: The model.
        images: A few images with shape (n, ...).
    """
    with _numbers_left():
        return torch.equal(answers(model, images), answers(model, images))


def answers(model: CountedModel, images: Images) -> Logits:
    """Return a model's logits on a few images, without a gradient."""
    with torch.no_grad(), guarded("the model", f"{len(images)} images that it is asked of again"):
        logits: Logits = model(images)
    return logits


def stays(model: CountedModel, images: Images, first: Logits) -> bool:
    """Return whether a model still answers a few images as it did at first, each of several times.

    Arguments:
        model: The model.
        images: The images with shape (n, ...).
        first: Its logits at first, on these images in the same batch.
    """
    with _numbers_left():
        return not any(differ(first, answers(model, images)) for _ in range(_AGAIN))


@contextmanager
def _numbers_left() -> Iterator[None]:
    """Let torch draw the numbers afterwards that it would have drawn, should the model draw some of them meanwhile."""
    with torch.random.fork_rng():
        yield
