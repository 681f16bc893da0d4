"""Logits restricted to the true class and one rival class, for multi-targeted attacks."""

from dataclasses import dataclass, field

import torch

from quantattack.attacks.base import Batch
from quantattack.attacks.losses import logit_spread
from quantattack.attacks.scaling.base import Rescale, Temperature, fit_in_batches, unit
from quantattack.errors import InputError, check_count
from quantattack.gradients import climbed_logits
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Mask, Model


@tagged("Rival")
@dataclass(frozen=True)
class ClassPair:
    """Mask all logits but those of the true class and one rival: the rank-th best wrong class at the start point.

    The margin of the masked logits is the rival's logit minus the true one, the loss of a multi-targeted attack (Gowal
    et al., 2019, https://arxiv.org/abs/1910.09338).  Success is judged on all logits: any wrong class counts.

    Arguments:
        rank: 1 for the wrong class with the largest logit; clipped to the number of wrong classes.
        ratio: Whether to divide both logits by :math:`a_{(1)} - (a_{(3)} + a_{(4)}) / 2`, differentiably: their margin
            is then the targeted DLR loss (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690).
        by: "reached" to rank the classes by how near earlier attacks of a suite brought each to the true one; where
            there were none, and by default, by the logits at the start point.

    Raises:
        InputError: If the rank is below 1.
    """

    rank: int
    ratio: bool = False
    by: str | None = field(default=None, metadata={"recorded_as": "by"})

    def __post_init__(self) -> None:
        check_count("rank", self.rank)
        if self.by not in (None, "reached"):
            raise InputError(f"rivals are ranked by='reached' or by the logits, by=None, not by={self.by!r}")

    def __call__(self, model: Model, images: Images, labels: Labels) -> "PairedLogits":
        return PairedLogits(nth_rival(climbed_logits(model, images), labels, self.rank), self.ratio)

    def passes(self, classes: int) -> int:  # noqa: ARG002
        """Return 1: one forward pass at the start point, to choose the rival."""
        return 1


def fitted(part: ClassPair | Temperature, model: Model, shown: Images, batch: Batch) -> Rescale:
    """Return the rescaling of an attack's logits: fitted at the start points, or to what earlier attacks reached."""
    if isinstance(part, ClassPair) and part.by == "reached" and batch.reached is not None:
        return PairedLogits(nth_rival(-batch.reached.gaps, batch.labels, part.rank), part.ratio)
    return fit_in_batches(part, model, shown, batch.labels, batch.at_once)


def check_pair(pair: ClassPair | None, temperature: Temperature) -> None:
    """Raise InputError if both a pair and a temperature are given: they use the same slot."""
    if pair is not None and temperature is not unit:
        raise InputError(f"pair takes the temperature's place: leave out temperature={temperature!r}, or the pair")


def nth_rival(logits: Logits, labels: Labels, rank: int) -> Labels:
    """Return the wrong class with the rank-th largest logit of each image, or with the smallest if there are fewer."""
    order = logits.scatter(1, labels.long()[:, None], torch.inf).argsort(dim=1, descending=True, stable=True)
    return order[:, min(rank, logits.shape[1] - 1)]


@dataclass(frozen=True, eq=False)
class PairedLogits:
    """Logits with every class set to minus infinity but the true one and the rival.

    Arguments:
        rival: Rival class of each image, with shape (n,).
        ratio: Whether to divide the two logits by the denominator of targeted DLR.
    """

    rival: Labels
    ratio: bool = False

    def __call__(self, logits: Logits, labels: Labels) -> Logits:
        pair = torch.stack([labels.long(), self.rival], 1)
        masked, kept = torch.full_like(logits, -torch.inf), logits.gather(1, pair)
        return masked.scatter(1, pair, kept / logit_spread(logits)[:, None] if self.ratio else kept)

    def keep(self, rows: Mask | slice) -> "PairedLogits":
        return PairedLogits(self.rival[rows], self.ratio)
