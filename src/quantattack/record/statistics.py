"""Confidence interval of a proportion, and tests of whether two proportions differ.

SciPy is imported inside the functions, since most commands do not need it.
"""

from collections.abc import Sequence

CONFIDENCE = 0.9500000018071153  # that of the normal quantile z = 1.959964, rounded as tables print it


def wilson(successes: int, trials: int) -> tuple[float, float]:
    r"""Return the 95 % Wilson score interval of a proportion, as (low, high) within [0, 1].

    .. math:: \frac{\hat p + z^2 / 2n \pm z \sqrt{\hat p (1 - \hat p) / n + z^2 / 4n^2}}{1 + z^2 / n},\ z = 1.959964

    Source: Wilson, 1927, https://doi.org/10.2307/2276774.

    Arguments:
        successes: Number of successes.
        trials: Number of trials; for 0, the interval is (0, 1).
    """
    from scipy.stats import binomtest

    if trials == 0:
        return 0.0, 1.0
    low, high = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)


def above(successes: int, trials: int, chance: float) -> float:
    r"""Return the one-sided p-value of the exact binomial test that a proportion is above chance.

    .. math:: p = P(X \ge s), \quad X \sim \mathrm{Binomial}(n, c)

    Arguments:
        successes: Number s of successes.
        trials: Number n of trials; for 0 it is 1.
        chance: Probability c of a success by chance.
    """
    from scipy.stats import binomtest

    return float(binomtest(successes, trials, chance, alternative="greater").pvalue) if trials else 1.0


def mcnemar(first_only: int, second_only: int) -> float:
    r"""Return the two-sided p-value of the exact McNemar test.

    .. math:: p = \min(1,\ 2\, P(X \le \min(b, c))), \quad X \sim \mathrm{Binomial}(b + c, 1/2)

    Source: McNemar, 1947, https://doi.org/10.1007/BF02295996.

    Arguments:
        first_only: Number b of images on which only the first succeeds.
        second_only: Number c of images on which only the second succeeds.
    """
    from scipy.stats import binomtest

    discordant = first_only + second_only
    return float(binomtest(first_only, discordant).pvalue) if discordant else 1.0


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
