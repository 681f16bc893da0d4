"""The judges of claims: what each counts as a vote for a claim and against it."""

from pathlib import Path

import numpy as np
import pytest

from quantattack.reproduction.judges_alike import Alike, NoStronger, Trained
from quantattack.reproduction.judges_cost import Cheap
from quantattack.reproduction.judges_measured import Larger, Limit, MostlyLarger, Nearer, Wider
from quantattack.reproduction.judges_paired import GainLarger, Mostly, Point, Stronger
from quantattack.reproduction.numbers import Number
from quantattack.reproduction.paper import Column
from quantattack.reproduction.read import Reader
from quantattack.reproduction.verdicts import corrected

from .conftest import pair


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


@pytest.mark.parametrize(
    ("first", "second", "kind"), [(30, 2, "holds"), (2, 30, "does not hold"), (4, 1, "cannot be told")]
)
def test_stronger_needs_a_paired_test(gupta, first, second, kind):
    reader = Told(gupta, {("pgd_plus_njs", "pgd", None): pair(first, second)})
    verdict = Stronger("table2", "pgd_plus_njs", "pgd", ("BNN-WQ",))(reader)
    assert verdict.kind == kind
    assert len(verdict.evidence) == 12  # the ten of the paper, and two trained on their logits as they are
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
    assert "more images in 44 of 44 comparisons and fewer in 0" in claim(Told(gupta, pairs)).evidence[0].words
    mixed = {**pairs, ("c", "d", None): pair(1, 5)}
    assert claim(Told(gupta, mixed)).kind == "cannot be told"


def test_most_comparisons_of_two_signals_are_counted(gupta):
    reader = Told(gupta, numbers={"unit": of(1.0), "njs": of(2.0), "hns": of(0.5)})
    njs, hns, unit = (Column(f"signal of {name}", name, "signal", field="x.y") for name in ("njs", "hns", "unit"))
    larger, smaller = (MostlyLarger("table12", pairs)(reader) for pairs in (((njs, unit),), ((hns, unit),)))
    assert (larger.kind, smaller.kind) == ("holds", "does not hold")
    assert larger.evidence[0].words.startswith(
        "most are larger in 6 of 6 networks and most are smaller in 0, p = 0.031"
    )
    mixed = MostlyLarger("table12", ((njs, unit), (hns, unit)))(reader)
    assert mixed.kind == "cannot be told"
    assert "0 of 6 networks" in mixed.evidence[0].words
    assert "; smaller: signal of hns of REF, ResNet-18, CIFAR-10, signal of hns of REF*" in mixed.evidence[0].words


@pytest.mark.parametrize(("value", "kind"), [(0.9, "holds"), (3.0, "does not hold")])
def test_nearer_to_a_value(gupta, value, kind):
    reader = Told(gupta, numbers={"unit": of(2.5), "njs": of(value)})
    columns = Column("with", "njs", "signal", field="x.y"), Column("without", "unit", "signal", field="x.y")
    verdict = Nearer("table12", *columns, to=1.0)(reader)
    assert (verdict.kind, verdict.tested) == (kind, False)


@pytest.mark.parametrize(("most", "kind"), [(1.6, "holds"), (1.5, "does not hold")])
def test_passes_of_a_withstanding_image_are_compared_without_a_test(filled, most, kind):
    reader = Reader(filled["gupta2022"])  # 10 steps are 20 passes; HNS adds a Jacobian of 10 classes and a forward pass
    verdict = Cheap("table4", "pgd_plus_hns", "pgd", "passes", most)(reader)
    reader.close()
    assert (verdict.kind, verdict.tested) == (kind, False)
    assert "takes 1.55 times the passes of PGD on an image that withstands both" in verdict.evidence[0].words


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
