"""Networks side by side: the same images, an exact paired test, and one line where they cannot be compared."""

import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from quantattack import InputError
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.statistics import mcnemar
from quantattack.record.store import Store
from quantattack.report.comparison import comparisons, p_words, words
from quantattack.report.terminal import print_comparison

THREAT = '{"high":1.0,"low":0.0,"norm":"Linf","part":"Threat","radius":0.1}'


def store(held: dict[str, dict[str, list[int]]], labels: dict[str, int] | None = None) -> Store:
    """A record in which each network holds, under each attack, the images whose number is 1."""
    made = Store.open(None, {"subjects": [], "seed": 0})
    for model, attacks in held.items():
        for attack, rows in attacks.items():
            cell = made.cell(Subject(model, "digits", THREAT), attack, {}, len(rows))
            label = (labels or {}).get(model, 3)
            outcomes = [
                Outcome(at, label, label, label if hold else label + 1, 1.0, 0.1, 0, 0, 1.0, 1.0, 0.1, inside=True)
                for at, hold in enumerate(rows)
            ]
            made.write(cell, outcomes)
    return made


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (3, 9), (9, 3), (20, 21), (7, 7)])
def test_the_test_is_exact(first: int, second: int):
    """Against the sum over all splits that are as uneven or more."""
    total = first + second
    share = [math.comb(total, k) / 2**total for k in range(total + 1)]
    expected = sum(part for k, part in enumerate(share) if abs(k - total / 2) >= abs(first - total / 2) - 1e-9)
    assert mcnemar(first, second) == pytest.approx(expected)


def test_counts_are_over_the_same_images_and_attacks_in_common():
    held = {
        "one": {"pgd": [1, 1, 1, 1, 0, 0], "gap": [1, 1, 1, 0, 0, 1], "own": [0] * 6},
        "two": {"pgd": [1, 0, 0, 1, 0, 0], "gap": [1, 1, 0, 1, 0]},
    }
    (found,) = comparisons(store(held).records())
    assert found.attacks == ("pgd", "gap")
    assert found.images == 5
    (pair,) = found.pairs
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (1, 2, 1, 1)
    assert {name: share.count for name, share in found.robust.items()} == {"one": 3, "two": 2}
    (alone,) = comparisons(store(held).records(), attack="pgd")
    assert (alone.pairs[0].both, alone.pairs[0].only_first) == (2, 2)


def test_many_pairs_are_adjusted_and_said_in_words(capsys: Any):
    ones, some, none = [1] * 40, [1] * 30 + [0] * 10, [1] * 29 + [0] * 11
    held = {"a": {"pgd": ones}, "b": {"pgd": some}, "c": {"pgd": none}}
    (found,) = comparisons(store(held).records())
    by = {(pair.first, pair.second): pair for pair in found.pairs}
    p = [by["a", "b"].p, by["a", "c"].p, by["b", "c"].p]
    assert p == pytest.approx([2 / 2**10, 2 / 2**11, 1.0])
    assert by["a", "c"].adjusted == pytest.approx(3 * p[1])
    assert by["a", "b"].adjusted == pytest.approx(max(3 * p[1], 2 * p[0]))
    assert words(by["a", "b"]) == "a holds more"
    assert words(by["b", "c"]) == "no difference can be told"
    print_comparison(found, [], Console(width=150))
    said = capsys.readouterr().out
    assert "40 images, pgd" in said
    assert "a holds more" in said
    assert p_words(0.25) == "0.250"
    assert p_words(1e-5) == "1e-05"


def test_what_cannot_be_compared_is_one_line():
    held = {"one": {"pgd": [1, 0]}, "two": {"pgd": [1, 1]}}
    records = store(held).records()
    assert comparisons(records[:1]) == []
    with pytest.raises(InputError, match="unknown network of this record"):
        comparisons(records, ["three", "one"])
    with pytest.raises(InputError, match="unknown attack that these networks have in common"):
        comparisons(records, attack="gap")
    with pytest.raises(InputError, match="different images under one name"):
        comparisons(store(held, {"two": 4}).records())
    assert comparisons(store({"one": {"pgd": [1]}, "two": {"gap": [1]}}).records()) == []


def test_the_numbers_are_those_of_the_record():
    rng = np.random.default_rng(0)
    held = {name: {"pgd": rng.integers(0, 2, 50).tolist()} for name in ("x", "y")}
    records = store(held).records()
    (found,) = comparisons(records, ["x", "y"])
    for record in records:
        assert found.robust[record.subject.model].value == record.worst_case
        assert found.clean[record.subject.model].value == record.clean
