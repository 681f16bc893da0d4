"""A worst case is trusted where something other than plain cross entropy was climbed and no flag speaks against it."""

import io

import pytest
from rich.console import Console

from quantattack.record.findings import Finding, write_findings
from quantattack.report.terminal import print_table
from quantattack.report.trust import FLAT, SERIOUS, doubts, trust_line, trust_words
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


def test_the_terminal_says_what_the_leaderboard_says():
    """In the same words, and with the sentences that no flag beside it says."""
    store = made()
    for name, attacks in (("good", None), ("plain", {"pgd": PLAIN})):
        subject = add(store, name, held(5), attacks)
    store.flag(subject, {"chance": "guessing", "zero_gradient": "zero"})
    store.finish()
    good, plain = store.records()
    assert trust_line(good) == f"worst case: {trust_words({})}" == "worst case: trusted"
    line = trust_line(plain)
    assert line.startswith(f"worst case: not to be trusted, {trust_words(doubts(plain))}: every attack climbs plain")
    assert "guessing" not in line
    text = io.StringIO()
    print_table([good, plain], Console(file=text, width=200))
    assert "\nworst case: trusted\n" in text.getvalue()
    assert "\nworst case: not to be trusted, chance, zero_gradient, unchecked: " in text.getvalue()
