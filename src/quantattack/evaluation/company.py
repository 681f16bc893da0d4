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


def depends_on_company(model: CountedModel, images: Images, low: float, high: float) -> bool:
    """Return whether a few images' logits change when other images, or only copies of itself, share the batch.

    Every batch here has the same count of rows, so that no other kernel is chosen.

    Arguments:
        model: The model, which gives the same logits for the same batch.
        images: Images with shape (n, ...), n at least 1.
        low: Lower end of the pixel range.
        high: Upper end of the pixel range.
    """
    first = images[:TOGETHER]
    together = _logits(model, torch.cat([first, first]))[: len(first)]
    others = _logits(model, torch.cat([first, low + high - first]))[: len(first)]
    tolerance = max(NOISY, 16 * torch.finfo(together.dtype).eps)
    if relative_difference(together, others) > tolerance:
        return True
    copies = (image.expand(2 * len(first), *image.shape) for image in first[:_ALONE])
    alone = torch.cat([_logits(model, images)[:1] for images in copies])
    return relative_difference(together[: len(alone)], alone) > tolerance


def _logits(model: CountedModel, images: Images) -> Logits:
    with torch.no_grad():
        logits: Logits = model(images)
    return logits
