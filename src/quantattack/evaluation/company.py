"""Whether an image's logits depend on the images beside it in a batch."""

import torch

from quantattack.evaluation.models import CountedModel
from quantattack.types import Images, Logits

NOISY = 1e-4  # of the logits' range: differences by rounding stay below it
TOGETHER, _ALONE = 8, 2  # images compared in one batch, and alone


def relative_difference(logits: Logits, again: Logits) -> float:
    """Return the largest difference of two sets of logits, relative to the range of the first."""
    largest_range = float((logits.amax(1) - logits.amin(1)).max())
    return float((logits - again).abs().max()) / max(largest_range, 1e-30)


def differ(logits: Logits, again: Logits) -> bool:
    """Return whether two sets of logits of the same images differ by more than rounding."""
    if logits.shape != again.shape:
        return True
    return relative_difference(logits, again) > max(NOISY, 16 * torch.finfo(logits.dtype).eps)


def depends_on_company(model: CountedModel, images: Images, low: float, high: float) -> bool | None:
    """Return whether a few images' logits change when other images, or only copies of itself, share the batch.

    Every batch here has the same count of rows, so that no other kernel is chosen.  What differs is
    looked at twice: it is None where the same batches get other answers then, because the model itself changed.

    Arguments:
        model: The model, which gives the same logits for the same batch.
        images: Images with shape (n, ...), n at least 1.
        low: Lower end of the pixel range.
        high: Upper end of the pixel range.
    """
    first = images[:TOGETHER]
    copies = [image.expand(2 * len(first), *image.shape) for image in first[:_ALONE]]
    batches = [torch.cat([first, first]), torch.cat([first, low + high - first]), *copies]
    seen = [_logits(model, batch) for batch in batches]
    together, others, *alone = (logits[: len(first)] for logits in seen)
    if not differ(together, others) and not differ(together[: len(alone)], torch.cat([each[:1] for each in alone])):
        return False
    same = [not differ(logits, _logits(model, batch)) for logits, batch in zip(seen, batches, strict=True)]
    return True if all(same) else None


def _logits(model: CountedModel, images: Images) -> Logits:
    with torch.no_grad():
        logits: Logits = model(images)
    return logits
