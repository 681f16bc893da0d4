"""Confidence interval of a proportion, and tests of whether two proportions differ.

SciPy is imported where it is used, and of it the special functions alone: the import takes as long as a command.
"""

from collections.abc import Sequence

Z = 1.959964  # the normal quantile of 97.5 %, rounded as tables print it


def wilson(successes: int, trials: int) -> tuple[float, float]:
    r"""Return the 95 % Wilson score interval of a proportion, as (low, high) within [0, 1].

    .. math:: \frac{\hat p + z^2 / 2n \pm z \sqrt{\hat p (1 - \hat p) / n + z^2 / 4n^2}}{1 + z^2 / n},\ z = 1.959964

    Source: Wilson, 1927, https://doi.org/10.2307/2276774.

    Arguments:
        successes: Number of successes.
        trials: Number of trials; for 0, the interval is (0, 1).
    """
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, Z * Z / trials
    spread = Z * (share * (1 - share) / trials + square / (4 * trials)) ** 0.5
    low, high = ((share + square / 2 + end) / (1 + square) for end in (-spread, spread))
    return 0.0 if successes == 0 else low, 1.0 if successes == trials else high  # but for rounding


def above(successes: int, trials: int, chance: float) -> float:
    r"""Return the one-sided p-value of the exact binomial test that a proportion is above chance.

    .. math:: p = P(X \ge s), \quad X \sim \mathrm{Binomial}(n, c)

    Arguments:
        successes: Number s of successes.
        trials: Number n of trials; for 0 it is 1.
        chance: Probability c of a success by chance.
    """
    from scipy.special import bdtrc

    return float(bdtrc(successes - 1, trials, chance)) if successes > 0 else 1.0


def mcnemar(first_only: int, second_only: int) -> float:
    r"""Return the two-sided p-value of the exact McNemar test.

    .. math:: p = \min(1,\ 2\, P(X \le \min(b, c))), \quad X \sim \mathrm{Binomial}(b + c, 1/2)

    Source: McNemar, 1947, https://doi.org/10.1007/BF02295996.

    Arguments:
        first_only: Number b of images on which only the first succeeds.
        second_only: Number c of images on which only the second succeeds.
    """
    trials = first_only + second_only
    ways = coefficient = 1  # exact, in whole numbers; an import of SciPy takes longer than the sum
    for count in range(min(first_only, second_only)):
        coefficient = coefficient * (trials - count) // (count + 1)
        ways += coefficient
    probability: float = 2 * ways / 2**trials
    return min(1.0, probability)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Return the Holm-adjusted p-values for multiple tests, in the order given.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1,\ (m - j + 1)\, p_{(j)})

    Source: Holm, 1979, https://www.jstor.org/stable/4615733.

    Arguments:
        p_values: The p-values of m tests.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = min(1.0, max(largest, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def paired_difference(first_only: int, second_only: int, both: int, trials: int) -> tuple[float, float]:
    r"""Return the 95 % interval of the difference of two proportions of the same images, within [-1, 1].

    With the Wilson intervals (l, u) of the two proportions p and :math:`\varphi` the correlation of the pairs, which is
    corrected for continuity where it is positive,

    .. math:: d - \sqrt{(p_1 - l_1)^2 - 2 \varphi (p_1 - l_1)(u_2 - p_2) + (u_2 - p_2)^2}

    and likewise upward.  Source: Newcombe, 1998, method 10,
    https://doi.org/10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C.

    Arguments:
        first_only: Number of images on which only the first succeeds.
        second_only: Number of images on which only the second succeeds.
        both: Number of images on which both succeed.
        trials: Number of images; for 0, the interval is (-1, 1).
    """
    if trials == 0:
        return -1.0, 1.0
    counts = both + first_only, both + second_only
    (p, q), ((low_p, high_p), (low_q, high_q)) = (n / trials for n in counts), (wilson(n, trials) for n in counts)
    neither = trials - first_only - second_only - both
    spread = (counts[0] * (trials - counts[0]) * counts[1] * (trials - counts[1])) ** 0.5
    excess = both * neither - first_only * second_only
    phi = (max(excess - trials / 2, 0) if excess > 0 else excess) / spread if spread else 0.0
    down = ((p - low_p) ** 2 - 2 * phi * (p - low_p) * (high_q - q) + (high_q - q) ** 2) ** 0.5
    up = ((high_p - p) ** 2 - 2 * phi * (high_p - p) * (q - low_q) + (q - low_q) ** 2) ** 0.5
    return p - q - down, p - q + up
