"""How sure a share is, and whether two shares differ."""

import numpy as np


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson, 1927, https://doi.org/10.2307/2276774)."""
    if trials == 0:
        return 0.0, 1.0
    share, weight = successes / trials, z * z / trials
    middle, half = share + weight / 2, z * np.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low, high = float((middle - half) / (1 + weight)), float((middle + half) / (1 + weight))
    return (low if successes else 0.0), (high if successes < trials else 1.0)


def mcnemar(first_only: int, second_only: int) -> float:
    """Return McNemar's exact two-sided p of two attacks (McNemar, 1947, https://doi.org/10.1007/BF02295996).

    Arguments:
        first_only: Images that only the first attack broke.
        second_only: Images that only the second attack broke.
    """
    from scipy.stats import binomtest  # it takes long to load

    count = first_only + second_only
    return float(binomtest(first_only, count).pvalue) if count else 1.0
