"""Attacks on one pair of classes at a time: the true one and a rival."""

from dataclasses import dataclass

import torch

from quantattack.attacks.losses import logit_spread
from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.errors import InputError, check_count
from quantattack.record.description import tagged
from quantattack.types import Images, Labels, Logits, Mask, Model


@tagged("Rival")
@dataclass(frozen=True)
class ClassPair:
    """Leave each image its true class and one rival: the class that is rank-th behind at the start point.

    The margin of what is left is that rival's logit minus the true one, the loss of a multi-targeted attack (Gowal et
    al., 2019, https://arxiv.org/abs/1910.09338); success is still any wrong class, on all logits.

    Arguments:
        rank: 1 for the nearest rival; a rank beyond the last rival stands for the last.
        ratio: Divide by :math:`a_{(1)} - (a_{(3)} + a_{(4)}) / 2`, derivative included: the margin is then targeted DLR
            (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690).

    Raises:
        InputError: If the rank is less than 1.
    """

    rank: int
    ratio: bool = False

    def __post_init__(self) -> None:
        check_count("rank", self.rank)

    def __call__(self, model: Model, images: Images, labels: Labels) -> "PairedLogits":
        with torch.no_grad():
            logits = model(images)
        return PairedLogits(nth_rival(logits, labels, self.rank), self.ratio)

    def passes(self, classes: int) -> int:  # noqa: ARG002
        """Return one forward pass: the look at the start point."""
        return 1


def check_pair(pair: ClassPair | None, temperature: Temperature) -> None:
    """Refuse a pair beside a temperature: the pair takes its place."""
    if pair is not None and temperature is not unit:
        raise InputError(f"pair takes the temperature's place: leave out temperature={temperature!r}, or the pair")


def nth_rival(logits: Logits, labels: Labels, rank: int) -> Labels:
    """Return the class that is rank-th behind the true one's place, the last one where there are fewer."""
    order = logits.scatter(1, labels.long()[:, None], torch.inf).argsort(dim=1, descending=True, stable=True)
    return order[:, min(rank, logits.shape[1] - 1)]


@dataclass(frozen=True, eq=False)
class PairedLogits:
    """Logits with every class but the true one and the rival out of reach.

    Arguments:
        rival: The rival of each image, with shape (n,).
        ratio: Whether to divide as targeted DLR does.
    """

    rival: Labels
    ratio: bool = False

    def __call__(self, logits: Logits, labels: Labels) -> Logits:
        pair = torch.stack([labels.long(), self.rival], 1)
        out, kept = torch.full_like(logits, -torch.inf), logits.gather(1, pair)
        return out.scatter(1, pair, kept / logit_spread(logits)[:, None] if self.ratio else kept)

    def keep(self, rows: Mask | slice) -> "PairedLogits":
        return PairedLogits(self.rival[rows], self.ratio)
