"""Verdicts: what counts for a claim, what against it, and what is too little to tell."""

from pathlib import Path

import numpy as np
import pytest

from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.claims import CLAIMS, judged
from quantattack.reproduction.judges_alike import Alike, NoStronger, Trained
from quantattack.reproduction.judges_cost import Cheap
from quantattack.reproduction.judges_measured import Larger, Limit, Nearer, Wider
from quantattack.reproduction.judges_paired import GainLarger, Mostly, Point, Stronger
from quantattack.reproduction.numbers import Number, Pair
from quantattack.reproduction.paper import Column
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Every, Evidence, Verdict, combine_votes, corrected

from .conftest import plan_of

EVIDENCE = (Evidence("", 0),)
VERDICTS = {"holds": (0.0, 1.0), "does not hold": (1.0, 0.0), "cannot be told": (1.0, 1.0)}


def pair(first, second, images=200):
    return Pair(np.array([1.0] * first + [-1.0] * second + [0.0] * (images - first - second)))


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


class Told(Reader):
    """A reader that says what a test wants it to."""

    def __init__(self, plan, pairs=None, numbers=None, robust=0.5, rows=None):
        super().__init__(plan)
        told = {"pairs": pairs or {}, "numbers": numbers or {}, "rate": robust, "rows": rows or {}}
        for name, value in told.items():
            object.__setattr__(self, name, value)

    def records(self, part):
        return type("Found", (), {"stores": (part,)})()

    def pair(self, part, first, second, step=None):
        return self.pairs.get((first.name, second.name, step if first.radius is None else first.radius))

    def network_pair(self, first, second, name):
        return self.pairs.get((first.kind, second.kind))

    def side(self, part, side):
        record = type("R", (), {"robust": lambda _, name: self.rate})()
        return [(record, side.name)]

    def number(self, part, column):
        return self.numbers.get(column.name)

    def values(self, part, column):
        return self.rows.get(column.name)


@pytest.fixture
def gupta(tmp_path):
    return plan_of("gupta2022", tmp_path)


@pytest.fixture
def liu(tmp_path):
    return plan_of("liu2020", tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "kind"), [(30, 2, "holds"), (2, 30, "does not hold"), (4, 1, "cannot be told")]
)
def test_stronger_needs_a_paired_test(gupta, first, second, kind):
    reader = Told(gupta, {("pgd_plus_njs", "pgd", None): pair(first, second)})
    verdict = Stronger("table2", "pgd_plus_njs", "pgd", ("BNN-WQ",))(reader)
    assert verdict.kind == kind
    assert len(verdict.evidence) == 11  # the ten of the paper, and one trained on its logits as they are
    assert f"of 200 images, {first} fall more often to PGD++ NJS and {second} to PGD, p" in verdict.evidence[0].words
    assert "PGD++ NJS" in verdict.evidence[0].words


def test_nothing_is_stronger_than_an_attack_that_leaves_nothing(gupta):
    reader = Told(gupta, {("pgd_plus_njs", "pgd", None): pair(0, 0)}, robust=0.0)
    verdict = Stronger("table2", "pgd_plus_njs", "pgd")(reader)
    assert verdict.kind == "cannot be told"
    assert all("PGD breaks every image" in one.words for one in verdict.evidence)


@pytest.mark.parametrize(
    ("first", "second", "kind"), [(1, 1, "holds"), (40, 0, "does not hold"), (12, 4, "cannot be told")]
)
def test_alike_is_within_a_quarter_of_the_claimed_effect(gupta, first, second, kind):
    reader = Told(gupta, {("a", "b", None): pair(first, second)})
    verdict = Alike("table1", "a", "b", effect=0.2)(reader)
    assert verdict.kind == kind
    assert "the margin is 5 points, a quarter of the 20 that the paper claims" in verdict.evidence[0].words
    assert Alike("table1", "a", "b", effect=0.0062)(reader).kind != "holds"  # 200 images are too few for that margin


def test_no_stronger_is_one_sided(liu):
    weaker = Told(liu, {("a", "b", None): pair(0, 40)})
    assert NoStronger("section45", "a", "b", effect=0.02)(weaker).kind == "holds"
    assert Alike("section45", "a", "b", effect=0.02)(weaker).kind == "does not hold"
    stronger = Told(liu, {("a", "b", None): pair(40, 0)})
    assert NoStronger("section45", "a", "b", effect=0.02)(stronger).kind == "does not hold"


def test_one_attack_at_two_radii_is_compared_image_by_image(gupta):
    claim = Stronger("figure1", "pgd", "pgd", ("BNN-WQ",), times=4.0, other_times=1.0)
    verdict = claim(Told(gupta, {("pgd", "pgd", None): pair(40, 3)}))
    assert verdict.kind == "holds"
    assert (
        "fall more often to PGD at 4 times the radius and 3 to PGD at 1 times the radius" in verdict.evidence[0].words
    )
    assert claim(Told(gupta, {("pgd", "pgd", None): pair(4, 4)})).kind == "cannot be told"


def test_words_name_the_attack_that_is_stronger(gupta):
    reader = Told(gupta, {("pgd_plus_njs", "pgd", None): pair(2, 30)})
    words = Stronger("table2", "pgd_plus_njs", "pgd")(reader).evidence[0].words
    assert "14.0 points lower under PGD than under PGD++ NJS (" in words
    assert "-" not in words.partition("(")[2].partition(")")[0]


def test_most_comparisons_are_counted(gupta):
    pairs = {("a", "b", None): pair(9, 2), ("c", "d", None): pair(5, 1)}
    claim = Mostly("table2", (("a", "b"), ("c", "d")), ("table3",))
    assert claim(Told(gupta, pairs)).kind == "holds"
    assert "more images in 38 of 38 comparisons and fewer in 0" in claim(Told(gupta, pairs)).evidence[0].words
    mixed = {**pairs, ("c", "d", None): pair(1, 5)}
    assert claim(Told(gupta, mixed)).kind == "cannot be told"


@pytest.mark.parametrize(("value", "kind"), [(0.9, "holds"), (3.0, "does not hold")])
def test_nearer_to_a_value(gupta, value, kind):
    reader = Told(gupta, numbers={"unit": of(2.5), "njs": of(value)})
    columns = Column("with", "njs", "signal", field="x.y"), Column("without", "unit", "signal", field="x.y")
    verdict = Nearer("table12", *columns, to=1.0)(reader)
    assert (verdict.kind, verdict.tested) == (kind, False)


@pytest.mark.parametrize(("passes", "kind"), [(1.0, "holds"), (1.5, "does not hold")])
def test_passes_are_compared_without_a_test(gupta, monkeypatch, passes, kind):
    spent = {"pgd_plus_hns": 100 * passes, "pgd": 100}
    monkeypatch.setattr(Cheap, "_cost", lambda self, cell: spent[cell[1]])
    verdict = Cheap("table4", "pgd_plus_hns", "pgd", "passes")(Told(gupta))
    assert (verdict.kind, verdict.tested) == (kind, False)
    assert f"takes {passes:.2f} times the passes of PGD" in verdict.evidence[0].words


def test_seconds_are_tested_run_by_run():
    claim = Cheap("table2", "a", "b", "seconds a pass")
    says, p = claim.vote([1.0, 1.01, 0.99])
    assert says == 1
    assert p < 0.01
    assert claim.vote([1.4, 1.0, 1.2])[1] > 0.05
    assert claim.vote([1.0]) == (0, 1.0)


def of(value, interval=None):
    return Number(value, interval, Path("somewhere"), "cell-1", 200)


@pytest.mark.parametrize(
    ("interval", "under", "kind"),
    [
        ((0.0, 0.02), True, "holds"),
        ((0.1, 0.2), True, "does not hold"),
        ((0.01, 0.1), True, "cannot be told"),
        ((0.1, 0.2), False, "holds"),
        ((0.0, 0.02), False, "does not hold"),
    ],
)
def test_a_limit_is_judged_by_the_interval(gupta, interval, under, kind):
    value = {(0.0, 0.02): 0.0, (0.1, 0.2): 0.15, (0.01, 0.1): 0.04}[interval]
    reader = Told(gupta, numbers={"pgd": of(value, interval)})
    assert Limit("table1", Column("", "pgd"), 0.05, under)(reader).kind == kind


def test_a_gain_is_larger_where_its_change_is_above_zero(liu):
    many, none = pair(60, 0), pair(1, 1)
    claim = GainLarger("figure5", "pqgd 1000", "pgd", Point(10), Point(40))
    assert claim(Told(liu, {("pqgd 1000", "pgd", 10): many, ("pqgd 1000", "pgd", 40): none})).kind == "holds"
    assert claim(Told(liu, {("pqgd 1000", "pgd", 10): none, ("pqgd 1000", "pgd", 40): many})).kind == "does not hold"
    assert claim(Told(liu, {("pqgd 1000", "pgd", 10): none, ("pqgd 1000", "pgd", 40): none})).kind == "cannot be told"
    radii = GainLarger("figure3", "pqgd 1000", "pgd", Point(100, radius=0.2), Point(100, radius=0.1))
    verdict = radii(Told(liu, {("pqgd 1000", "pgd", 0.2): many, ("pqgd 1000", "pgd", 0.1): none}))
    assert verdict.kind == "holds"
    assert "gains 30.0 points at radius 0.2 and 0.0 at radius 0.1" in verdict.evidence[0].words


@pytest.mark.parametrize(
    ("first", "second", "no", "kind"),
    [
        (1, 2, "better", "holds"),
        (40, 0, "better", "does not hold"),
        (0, 40, "better", "holds"),
        (0, 40, "worse", "does not hold"),
        (14, 4, "better", "does not hold"),
        (12, 6, "better", "cannot be told"),
    ],
)
def test_training_with_another_attack_is_no_better_or_no_worse(liu, first, second, no, kind):
    kinds = [row.role.kind for row in liu.paper.items["training"].rows[:2]]
    reader = Told(liu, {(kinds[0], kinds[1]): pair(first, second)})
    assert Trained("training", "pgd run 1", kinds[1], kinds[0], 0.2, no)(reader).kind == kind


def test_a_network_that_gains_a_little_is_not_said_to_gain_nothing(liu):
    kinds = [row.role.kind for row in liu.paper.items["training"].rows[:2]]
    reader = Told(liu, {(kinds[0], kinds[1]): pair(18, 7, 500)})  # 2.2 points, p = 0.04
    verdict = Trained("training", "pgd run 1", kinds[1], kinds[0], effect=0.0195)(reader)
    assert verdict.evidence[0].says == -1
    assert corrected([verdict] * 20)[0] > 0.05


@pytest.mark.parametrize(
    ("scale", "times", "kind"),
    [(1.0, 2.0, "holds"), (1.0, 40.0, "does not hold"), (1 / 24, 2.0, "cannot be told"), (1 / 24, 1.0, "holds")],
)
def test_a_comparison_of_networks_must_not_turn_on_the_scale_of_a_training(gupta, scale, times, kind):
    """The Jacobian grows with the logits: 33 in place of 1.1 is a choice of the scale alone at 1/24."""

    class Scaled(Told):
        def number(self, part, column):
            return of(33.0) if part.kind == "BNN-WQ" else of(1.1)

        def logit_scale(self, part):
            return scale if part.kind == "BNN-WQ" else 1.0

    claim = Wider("table12", Column("mean", "unit", "signal", field="x.y"), "BNN-WQ", "REF", times)
    verdict = claim(Scaled(gupta))
    assert verdict.kind == kind
    assert ("for the logits that their trainings saw 1.38 in BNN-WQ" in verdict.evidence[0].words) == (scale != 1)


def test_a_network_that_loses_is_said_to_be_less_robust(liu):
    kinds = [row.role.kind for row in liu.paper.items["training"].rows[:2]]
    words = [
        Trained("training", "x", kinds[1], kinds[0], 0.2)(Told(liu, {(kinds[0], kinds[1]): found})).evidence[0].words
        for found in (pair(30, 10), pair(10, 30))
    ]
    assert "10.0 points more robust" in words[0]
    assert "10.0 points less robust" in words[1]


def test_larger_compares_image_by_image_where_it_can(gupta):
    reader = Told(gupta, numbers={"unit": of(2.0), "njs": of(1.0)})
    columns = Column("without", "unit", "signal", field="x.y"), Column("with", "njs", "signal", field="x.y")
    assert Larger("table10", *columns)(reader).kind == "holds"
    assert Larger("table10", *columns, times=3.0)(reader).kind == "does not hold"
    rows = {"unit": np.array([1.0, 3.0, 2.0, 0.0]), "njs": np.array([1.1, 2.8, 2.1, 0.0])}
    assert Larger("table10", *columns)(Told(gupta, numbers=reader.numbers, rows=rows)).kind == "cannot be told"


def test_scores_at_their_cap_are_counted_by_which_is_larger(gupta):
    columns = Column("without", "unit", "signal", field="x.y"), Column("with", "njs", "signal", field="x.y")
    numbers = {name: Number(4.0, None, Path("x"), "a", 20) for name in ("unit", "njs")}

    def verdict(without, scaled):
        rows = {"unit": np.array(without), "njs": np.array(scaled)}
        return Larger("table10", *columns, cap=5.0)(Told(gupta, numbers=numbers, rows=rows))

    both = verdict([5.0] * 18 + [4.0, 5.0], [5.0] * 18 + [0.1, 0.1])  # a mean would call 2 images of 20 certain
    assert both.kind == "cannot be told"
    assert "larger on 2, smaller on 0, both at the cap of 5 on 18, p = 0.5" in both.evidence[0].words
    one = verdict([5.0] * 20, [5.0] * 5 + [1.0] * 15)  # what is at the cap is over what is below it
    assert one.kind == "holds"


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
    for part in ("ImageNet", "Adversarial training with PGD++", "gain most at few steps and a large radius"):
        assert part in words
