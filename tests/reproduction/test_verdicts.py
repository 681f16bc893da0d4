"""Verdicts: what counts for a claim, what against it, and what is too little to tell."""

import numpy as np
import pytest

from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.claims import CLAIMS, judged
from quantattack.reproduction.numbers import Pair
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Every, Evidence, Verdict, combine_votes, corrected

from .conftest import pair

EVIDENCE = (Evidence("", 0),)
VERDICTS = {"holds": (0.0, 1.0), "does not hold": (1.0, 0.0), "cannot be told": (1.0, 1.0)}


def test_mcnemars_probability_is_the_binomials():
    assert pair(0, 0).p == 1
    assert pair(5, 0).p == pytest.approx(2 / 32)
    assert pair(8, 2).p == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert pair(2, 8).p == pair(8, 2).p
    assert pair(30, 10).difference == pytest.approx(0.1)
    low, high = pair(30, 10).interval
    assert low < 0.1 < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt((40 / 200 - 0.01) / 200), rel=0.06)


def test_several_runs_have_the_larger_of_two_p_values():
    """Six images that each fall once more often in three runs: the mean's interval contains 0, so it is no proof."""
    differences = np.array([1 / 3] * 6 + [0.0] * 494)
    several = Pair(differences, runs=3)
    assert Pair(np.sign(differences)).p == pytest.approx(2 / 64)
    assert several.interval[0] < 0 < several.interval[1]
    assert several.p > 0.05
    clear = Pair(np.array([1.0] * 40 + [0.0] * 460), runs=3)
    assert clear.interval[0] > 0
    assert clear.p < 1e-4


def test_the_one_sided_p_value_agrees_with_the_interval():
    found = pair(30, 10)
    low, high = found.interval
    assert found.p_over(low) == pytest.approx(0.025, abs=1e-6)
    assert found.p_over(high) == pytest.approx(0.975, abs=1e-6)


def test_no_difference_is_no_proof_of_less_than_what_so_few_images_would_hide():
    """Of 200 images none differs: were the difference 0.02278, that would happen in 0.98 %; p is not below that."""
    margin = 0.02278
    for images in (100, 200, 500):
        same = Pair(np.zeros(images))
        assert 1 - same.p_over(margin) >= (1 - margin) ** images
        assert same.interval[1] > 3.8415 / (images + 3.8415)  # Wilson's of none
        assert same.interval[0] == pytest.approx(-same.interval[1])


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 1), (12, 4), (40, 25)])
@pytest.mark.parametrize("bound", [0.02, 0.05, 0.1])
def test_the_score_test_rejects_a_true_bound_no_more_often_than_it_says(gained, lost, bound):
    """Drawn at the bound, with the share of losses that is most likely there: p under 0.025 in 2.5 % of draws."""
    losing = (lost + 0.5) / 200
    draw = np.random.default_rng(gained).multinomial(200, [losing + bound, losing, 1 - 2 * losing - bound], 4000)
    found = [1 - pair(first, second, 200).p_over(bound) for first, second, _ in draw]
    assert np.mean(np.array(found) < 0.025) < 0.03


def test_differences_of_a_fifth_of_an_image_are_worth_less_than_whole_ones():
    fifths = Pair(np.array([0.2] * 50 + [0.0] * 450), runs=5)
    whole = Pair(np.array([1.0] * 10 + [0.0] * 490))
    assert fifths.difference == pytest.approx(whole.difference)
    assert whole.interval[0] < fifths.interval[0] < 0.02 < fifths.interval[1] < whole.interval[1]


def test_one_network_against_a_claim_is_enough_and_all_must_be_for_it():
    def kind(*says):
        return combine_votes([Evidence("", one) for one in says]).kind

    assert kind(1, 1) == "holds"
    assert kind(1, 0) == "cannot be told"
    assert kind(1, 0, -1) == "does not hold"
    assert kind() == "cannot be told"
    assert kind(1, None) == "holds"
    assert kind(None) == "cannot be told"


def test_a_claim_has_the_largest_p_value_for_it_and_the_smallest_times_the_networks_against_it():
    verdict = combine_votes([Evidence("", 1, 0.001), Evidence("", 1, 0.04), Evidence("", None)])
    assert (verdict.supports, verdict.opposes, verdict.kind) == (0.04, 1.0, "holds")
    verdict = combine_votes([Evidence("", 1, 0.001), Evidence("", -1, 0.01), Evidence("", -1, 0.9)])
    assert (verdict.supports, verdict.opposes, verdict.kind) == (1.0, pytest.approx(0.03), "does not hold")
    assert combine_votes([Evidence("", -1, 0.03), Evidence("", 1, 0.5)]).kind == "cannot be told"


def test_p_values_are_corrected_for_the_claims_that_a_test_decides():
    def one(p, says=1):
        return combine_votes([Evidence("", says, p)])

    counted, nothing = one(None), combine_votes([])
    verdicts = [one(0.01), counted, one(0.04), nothing, one(0.2)]
    assert corrected(verdicts) == pytest.approx([0.03, 0.0, 0.08, 1.0, 0.2])
    kinds = [verdict.kind_at(p) for verdict, p in zip(verdicts, corrected(verdicts), strict=True)]
    assert kinds == ["holds", "holds", "cannot be told", "cannot be told", "cannot be told"]
    assert verdicts[2].kind == "holds"  # alone it would


@pytest.mark.parametrize(
    ("says", "lean", "votes"),
    [
        ((1, 1, 0), "to the claim", "of 3 comparisons 2 for it (1 with p under 0.05), 1 undecided"),
        ((-1, None), "against it", "of 1 comparison 1 against it (1 with p under 0.05)"),
        ((1, -1), "both ways", "of 2 comparisons 1 for it (1 with p under 0.05), 1 against it (0 with p under 0.05)"),
        ((0,), "neither way", "of 1 comparison 1 undecided"),
        ((None,), None, ""),
    ],
)
def test_the_votes_of_what_cannot_be_told_are_counted(says, lean, votes):
    evidence = [Evidence("", say, 0.3 if place else 0.01) for place, say in enumerate(says)]
    verdict = combine_votes(evidence)
    assert (verdict.lean, verdict.votes) == (lean, votes)


def test_votes_without_a_test_are_counted_without_p_values():
    verdict = combine_votes([Evidence("", 1), Evidence("", -1), Evidence("", -1)])
    assert verdict.votes == "of 3 comparisons 1 for it, 2 against it"


def test_every_judge_must_agree(gupta):
    def says(kind, evidence=EVIDENCE):
        evidence = evidence and (Evidence("", {"holds": 1, "does not hold": -1}.get(kind, 0), 0.0),)
        return lambda reader: Verdict(*VERDICTS[kind], evidence)

    assert Every((says("holds"), says("holds")))(Reader(gupta)).kind == "holds"
    assert Every((says("holds"), says("cannot be told", ())))(Reader(gupta)).kind == "holds"
    assert Every((says("holds"), says("cannot be told")))(Reader(gupta)).kind == "cannot be told"
    assert Every((says("does not hold"), says("cannot be told")))(Reader(gupta)).kind == "does not hold"


def test_every_claim_is_judged_from_records(filled):
    assert len(CLAIMS) >= 50
    readers = {key: Reader(plan) for key, plan in filled.items()}
    for paper in ("gupta2022", "liu2020"):
        for claim, verdict, p in judged([claim for claim in CLAIMS if claim.paper == paper], readers[paper]):
            assert claim.item in PAPERS[paper].items
            assert verdict.p <= p <= 1
            # attacks from elsewhere, and walks that are too short here
            if claim.item not in ("table4", "table9", "section45", "figure3", "figure4", "figure5"):
                assert verdict.evidence, claim.words
    for reader in readers.values():
        reader.close()


def test_each_claim_has_a_name_of_its_own_in_the_summary():
    shorts = [claim.short for claim in CLAIMS]
    assert len(set(shorts)) == len(shorts)
    assert not [short for short in shorts if short.endswith(".") or len(short) > 90]


def test_the_claims_that_must_be_among_them_are():
    words = " ".join(claim.words for claim in CLAIMS)
    for part in (
        "ImageNet",
        "adversarial training of a float network with PGD++",
        "gain most at few steps and a large radius",
    ):
        assert part in words
