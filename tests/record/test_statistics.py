"""Intervals and tests: the published numbers, the closed forms, and the edges."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from quantattack.record.statistics import above, holm, mcnemar, paired_difference, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe, 1998, Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_score_interval_is_the_published_one(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_the_score_interval_of_nothing_is_everything():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("trials", [1, 40, 10_000])
def test_none_and_all_end_the_score_interval_exactly(trials):
    assert wilson(0, trials)[0] == 0.0
    assert wilson(trials, trials)[1] == 1.0


@given(st.integers(1, 100_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_score_interval_is_that_of_scipy(counts):
    successes, trials = counts
    confidence = 0.9500000018071153  # that of the normal quantile 1.959964
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_mcnemars_test_is_that_of_scipy(counts):
    successes, trials = counts
    assert mcnemar(successes, trials - successes) == pytest.approx(binomtest(successes, trials).pvalue, rel=1e-9)


def one_in_ten(successes, trials):
    """The probability of at least so many successes of a tenth each, in whole numbers."""
    term, total = math.comb(trials, successes) * 9 ** (trials - successes), 0
    for each in range(successes, trials + 1):
        total += term
        term = term * (trials - each) // (9 * (each + 1))
    return float(Fraction(total, 10**trials))


@given(st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
@example((318, 340))  # near 1e-285, where SciPy's own test is off
@example((325, 356))
def test_the_test_against_a_share_is_exact(counts):
    assert above(*counts, 0.1) == pytest.approx(one_in_ten(*counts), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (3, 9), (9, 3), (20, 21), (7, 7), (400, 500)])
def test_mcnemars_test_is_the_sum_over_all_splits_as_uneven_or_more(first, second):
    total = first + second
    share = [math.comb(total, k) / 2**total for k in range(total + 1)]
    expected = math.fsum(part for k, part in enumerate(share) if abs(2 * k - total) >= abs(first - second))
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


def test_holms_adjustment_is_the_largest_of_the_smaller_ones():
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_adjustment_keeps_the_order_and_makes_nothing_smaller(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    assert np.all(np.diff(np.array(adjusted)[np.argsort(p_values)]) >= 0)


@pytest.mark.parametrize("shares", [(0.3, 0.0, 0.1), (0.05, 0.05, 0.6), (0.2, 0.1, 0.3), (0.02, 0.0, 0.0)])
def test_the_paired_interval_covers_the_true_difference(shares: tuple[float, float, float]):
    drawn = np.random.default_rng(0).multinomial(120, [*shares, 1 - sum(shares)], size=400)
    covered = 0
    for first, second, both, _ in drawn.tolist():
        low, high = paired_difference(first, second, both, 120)
        assert low <= (first - second) / 120 <= high
        covered += low <= shares[0] - shares[1] <= high
    assert covered / 400 >= 0.92


def test_the_paired_interval_is_narrower_than_of_two_samples_and_turns_with_the_pair():
    low, high = paired_difference(30, 5, 40, 100)
    assert paired_difference(5, 30, 40, 100) == pytest.approx((-high, -low))
    unpaired = [wilson(count, 100) for count in (70, 45)]
    assert high - low < (unpaired[0][1] - unpaired[1][0]) - (unpaired[0][0] - unpaired[1][1])
    assert paired_difference(0, 0, 0, 0) == (-1.0, 1.0)


def test_no_better_than_guessing_is_told_by_the_binomial_tail():
    assert above(0, 10, 1 / 2) == 1.0
    assert above(10, 10, 1 / 2) == pytest.approx(2.0**-10)
    assert above(0, 0, 1 / 10) == 1.0
