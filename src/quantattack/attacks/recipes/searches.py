"""Recipes: one rival after the other, and random search."""

from dataclasses import replace

from quantattack.attacks.apgd import Apgd, Blocks
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.losses import margin
from quantattack.attacks.recipes.steps import repeated, walk_of
from quantattack.attacks.square import Square
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble
from quantattack.errors import check_count, unknown


def apgd_targeted(threat: Threat, *, rivals: int = 9, steps: int = 100, start: str = "farthest") -> Ensemble:
    """APGD on targeted DLR toward one rival after the other, each run on what the earlier ones left.

    Source: Croce and Hein, 2020, https://arxiv.org/abs/2003.01690.

    Arguments:
        threat: Where it may walk.
        rivals: How many rivals, from the nearest on.
        steps: Number of steps for each.
        start: A random point at the radius, or blocks of 4 x 4 pixels of random sign.

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
    """Climb the logit difference to one rival after the other, each run on what the earlier ones left.

    Source: Gowal et al., 2019, https://arxiv.org/abs/1910.09338; the Surrogate baseline of Liu et al., 2020.

    Arguments:
        threat: Where it may walk.
        rivals: How many rivals, from the nearest on.
        steps: Number of steps for each.
        step_size: Length of a step; by default as in `pgd`.
        restarts: Number of runs for each, merged image by image.
    """
    walks = {
        rank: walk_of(threat, steps, step_size, loss=margin, pair=ClassPair(rank)) for rank in range(1, rivals + 1)
    }
    return Ensemble({f"rival {rank}": repeated(walk, restarts) for rank, walk in walks.items()})


def square(threat: Threat, queries: int = 5000, patience: int | None = None) -> Square:
    """Square: random search over squares, which needs no gradient.

    Source: Andriushchenko et al., 2020, https://arxiv.org/abs/1912.00049.

    Arguments:
        threat: Where it may search; Linf or L2.
        queries: Forward passes an image, at most.
        patience: Queries in a row without a better proposal after which an image is given up; None for never.
    """
    return Square(threat=threat, queries=queries, patience=patience)
