"""Attacks on one pair of classes at a time: the true one and a rival."""

from dataclasses import dataclass

import torch

from quantattack.attacks.losses import spread_of
from quantattack.errors import check_count
from quantattack.types import Images, Labels, Logits, Mask, Model


@dataclass(frozen=True)
class Rival:
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

    def __call__(self, model: Model, images: Images, labels: Labels) -> "Pair":
        with torch.no_grad():
            logits = model(images)
        return Pair(nth_rival(logits, labels, self.rank), self.ratio)


def nth_rival(logits: Logits, labels: Labels, rank: int) -> Labels:
    """Return the class that is rank-th behind the true one's place, the last one where there are fewer."""
    order = logits.scatter(1, labels.long()[:, None], torch.inf).argsort(dim=1, descending=True, stable=True)
    return order[:, min(rank, logits.shape[1] - 1)]


@dataclass(frozen=True, eq=False)
class Pair:
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
        return out.scatter(1, pair, kept / spread_of(logits)[:, None] if self.ratio else kept)

    def keep(self, mask: Mask | slice) -> "Pair":
        return Pair(self.rival[mask], self.ratio)
