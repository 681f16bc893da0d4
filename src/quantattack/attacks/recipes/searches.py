"""Recipes: attacks on one target class after the other, and random search."""

from dataclasses import replace

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.losses import margin
from quantattack.attacks.recipes.steps import repeated, walk_of
from quantattack.attacks.square import Square
from quantattack.attacks.starts import Blocks
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble
from quantattack.errors import check_count, unknown


def apgd_targeted(threat: Threat, *, rivals: int = 9, steps: int = 100, start: str = "farthest") -> Ensemble:
    """APGD on targeted DLR, one target class after the other, each on the images not yet fooled.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        threat: Set of admissible images.
        rivals: Number of target classes, in order of decreasing logits.
        steps: Number of steps for each target class.
        start: "farthest" for a random point at distance radius, or "blocks" for 4 x 4 pixel blocks of random sign.

    Raises:
        InputError: If there is no such start.
    """
    if start not in ("farthest", "blocks"):
        raise unknown("start", start, ("farthest", "blocks"))
    check_count("rivals", rivals)
    walk = Apgd(threat=threat, steps=steps, loss=margin, start=Blocks(4) if start == "blocks" else None)
    walks = {rank: replace(walk, pair=ClassPair(rank, ratio=True)) for rank in range(1, rivals + 1)}
    return Ensemble({f"rival {rank}": walk for rank, walk in walks.items()})


def multi_targeted(
    threat: Threat, *, rivals: int = 9, steps: int = 20, step_size: int | float | None = None, restarts: int = 1
) -> Ensemble:
    """PGD on the logit difference to one target class after the other, each on the images not yet fooled.

    Source: Gowal et al., 2019, https://arxiv.org/abs/1910.09338; the Surrogate baseline of Liu et al., 2020.

    Arguments:
        threat: Set of admissible images.
        rivals: Number of target classes, in order of decreasing logits.
        steps: Number of steps for each target class.
        step_size: Size of a step; by default as in `pgd`.
        restarts: Number of runs for each target class, merged image by image.
    """
    walks = {
        rank: walk_of(threat, steps, step_size, loss=margin, pair=ClassPair(rank)) for rank in range(1, rivals + 1)
    }
    return Ensemble({f"rival {rank}": repeated(walk, restarts) for rank, walk in walks.items()})


def square(threat: Threat, queries: int = 5000, patience: int | None = None) -> Square:
    """Square Attack: random search over square windows, without gradients.

    Source: Andriushchenko et al., 2020, https://arxiv.org/abs/1912.00049.

    Arguments:
        threat: Set of admissible images.
        queries: Largest number of forward passes per image.
        patience: Number of successive queries without improvement after which to give an image up; None for no limit.
    """
    return Square(threat=threat, queries=queries, patience=patience)
