"""Verdicts: what counts for a claim, what against it, and what is too little to tell."""

from pathlib import Path

import numpy as np
import pytest

from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.claims import CLAIMS
from quantattack.reproduction.judges_measured import Larger, Limit
from quantattack.reproduction.judges_paired import Alike, GainFalls, Stronger, Trained
from quantattack.reproduction.numbers import Number, Pair
from quantattack.reproduction.paper import Column
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import Every, Evidence, Verdict, combine_votes

from .conftest import plan_of

EVIDENCE = (Evidence("", 0),)


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


def test_one_network_against_a_claim_is_enough_and_all_must_be_for_it():
    def kind(*says):
        return combine_votes([Evidence("", one) for one in says]).kind

    assert kind(1, 1) == "holds"
    assert kind(1, 0) == "cannot be told"
    assert kind(1, 0, -1) == "does not hold"
    assert kind() == "cannot be told"
    assert kind(1, None) == "holds"
    assert kind(None) == "cannot be told"


class Told(Reader):
    """A reader that says what a test wants it to."""

    def __init__(self, plan, pairs=None, numbers=None, robust=0.5, rows=None):
        super().__init__(plan)
        told = {"pairs": pairs or {}, "numbers": numbers or {}, "rate": robust, "rows": rows or {}}
        for name, value in told.items():
            object.__setattr__(self, name, value)

    def records(self, part):
        return type("Found", (), {"stores": (part,)})()

    def pair(self, part, first, second, times=1.0, step=None):
        return self.pairs.get((first, second, step))

    def network_pair(self, first, second, name):
        return self.pairs.get((first.kind, second.kind))

    def side(self, part, name, times=1.0):
        record = type("R", (), {"robust": lambda _, name: self.rate})()
        return [(record, name)]

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
    assert len(verdict.evidence) == 10
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
def test_alike_is_within_some_points(gupta, first, second, kind):
    reader = Told(gupta, {("a", "b", None): pair(first, second)})
    assert Alike("table1", "a", "b")(reader).kind == kind


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
    reader = Told(gupta, numbers={"pgd": of(0.01, interval)})
    assert Limit("table1", Column("", "pgd"), 0.05, under)(reader).kind == kind


def test_a_gain_falls_where_the_change_is_above_zero(liu):
    many, none = pair(60, 0), pair(1, 1)
    claim = GainFalls("figure5", "pqgd 1000", "pgd", 10, 40)
    assert claim(Told(liu, {("pqgd 1000", "pgd", 10): many, ("pqgd 1000", "pgd", 40): none})).kind == "holds"
    assert claim(Told(liu, {("pqgd 1000", "pgd", 10): none, ("pqgd 1000", "pgd", 40): many})).kind == "does not hold"
    assert claim(Told(liu, {("pqgd 1000", "pgd", 10): none, ("pqgd 1000", "pgd", 40): none})).kind == "cannot be told"


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
    assert Trained("training", "pgd run 1", kinds[1], kinds[0], no)(reader).kind == kind


def test_larger_compares_image_by_image_where_it_can(gupta):
    reader = Told(gupta, numbers={"unit": of(2.0), "njs": of(1.0)})
    columns = Column("without", "unit", "signal", field="x.y"), Column("with", "njs", "signal", field="x.y")
    assert Larger("table10", *columns)(reader).kind == "holds"
    assert Larger("table10", *columns, times=3.0)(reader).kind == "does not hold"
    rows = {"unit": np.array([1.0, 3.0, 2.0, 0.0]), "njs": np.array([1.1, 2.8, 2.1, 0.0])}
    assert Larger("table10", *columns)(Told(gupta, numbers=reader.numbers, rows=rows)).kind == "cannot be told"


def test_every_judge_must_agree(gupta):
    def says(kind, evidence=EVIDENCE):
        return lambda reader: Verdict(kind, evidence)

    assert Every((says("holds"), says("holds")))(Reader(gupta)).kind == "holds"
    assert Every((says("holds"), says("cannot be told", ())))(Reader(gupta)).kind == "holds"
    assert Every((says("holds"), says("cannot be told")))(Reader(gupta)).kind == "cannot be told"
    assert Every((says("does not hold"), says("cannot be told")))(Reader(gupta)).kind == "does not hold"


def test_every_claim_is_judged_from_records(filled):
    assert len(CLAIMS) >= 14
    readers = {key: Reader(plan) for key, plan in filled.items()}
    for claim in CLAIMS:
        assert claim.item in PAPERS[claim.paper].items
        verdict = claim.judge(readers[claim.paper])
        assert verdict.kind in ("holds", "does not hold", "cannot be told")
        # attacks from elsewhere, and walks that are too short here
        if claim.item not in ("table9", "section45", "figure4", "figure5"):
            assert verdict.evidence, claim.words
    for reader in readers.values():
        reader.close()


def test_the_claims_that_must_be_among_them_are():
    words = " ".join(claim.words for claim in CLAIMS)
    for part in ("ImageNet", "Adversarial training with PGD++", "gain most at few steps and a large radius"):
        assert part in words
