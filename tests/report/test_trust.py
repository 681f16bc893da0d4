"""A worst case is trusted where something other than plain cross entropy was climbed and no flag speaks against it."""

import pytest

from quantattack.record.findings import Finding, write_findings
from quantattack.report.trust import FLAT, SERIOUS, doubts
from report.gated import GAP, PLAIN, add, held, made


def doubted(attacks=None, flags=None, finish=True, findings=()):
    store = made()
    subject = add(store, "net", held(5), attacks)
    store.flag(subject, flags or {})
    if findings:
        write_findings(store.connection, subject, findings)
    if finish:
        store.finish()
    return doubts(store.records()[0])


def test_standards_attacks_are_trusted():
    assert doubted() == {}


@pytest.mark.parametrize(
    "attacks",
    [
        {"pgd": PLAIN},
        {"pgd": PLAIN, "fgsm": PLAIN | {"steps": 1}},
        {"pgd": {"part": "Restarts", "restarts": 20, "attack": PLAIN}},
        {"both": {"part": "Ensemble", "attacks": {"a": PLAIN, "b": PLAIN}}},
        {"runs": {"part": "Several", "attacks": [PLAIN, PLAIN]}},
        {"old": PLAIN | {"loss": {"part": "cross_entropy"}}},
        {"mine": "package.module:attack"},
        {"mine": "noise", "pgd": PLAIN},
        {"mine": {"part": "mine.Attack", "steps": 3}, "pgd": PLAIN},
        {"mine": {"part": "ReleasedL2", "temperature": "unit"}},
        {"mine": {"part": "Bound", "attack": "mine.Attack(steps=3)"}},
    ],
)
def test_plain_cross_entropy_alone_is_not(attacks):
    assert list(doubted(attacks)) == ["unchecked"]


@pytest.mark.parametrize(
    "other",
    [
        GAP,
        PLAIN | {"loss": "margin"},
        PLAIN | {"temperature": {"part": "Hns"}},
        {"part": "Restarts", "attack": GAP},
        {"part": "Ensemble", "attacks": {"a": PLAIN, "b": GAP}},
        {"part": "Square", "queries": 2000},
        {"part": "Bound", "attack": {"part": "Square", "queries": 9}},
        {"part": "OnScaled", "attack": "mine", "temperature": {"part": "Gap"}},
        {"part": "ReleasedL2", "temperature": {"part": "Njs"}},
    ],
)
def test_one_attack_that_looks_beyond_it_is_enough(other):
    assert doubted({"pgd": PLAIN, "other": other}) == {}


@pytest.mark.parametrize("code", SERIOUS)
def test_a_serious_flag_is_a_doubt_whatever_was_tried(code):
    assert doubted(flags={code: "a reason"}) == {code: "a reason"}


@pytest.mark.parametrize("code", FLAT)
def test_what_misleads_cross_entropy_is_one_only_where_nothing_else_was_tried(code):
    assert doubted(flags={code: "a reason"}) == {}
    assert list(doubted({"pgd": PLAIN}, {code: "a reason"})) == [code, "unchecked"]


@pytest.mark.parametrize("code", ["masked", "ties", "off_grid", "opaque", "inexact_twin", "clipped_pixels"])
def test_what_speaks_against_one_attack_alone_is_none(code):
    assert doubted(flags={code: "a reason"}) == {}


def test_an_unfinished_run_is_one():
    assert list(doubted(finish=False)) == ["unfinished"]


def test_a_failed_diagnosis_is_one():
    failed = Finding("margins", "fail", "saturation", "too large", "climb the log-odds")
    assert "saturation" in doubted(findings=[failed])["diagnosis"]
    assert doubted(findings=[Finding("margins", "pass", "", "small"), Finding("square", "cannot tell", "", "")]) == {}
