"""What plain PGD sees: read from a diagnosis, else from where its search ended."""

import numpy as np
import pytest
import torch

from quantattack.diagnostics.clean_gradients import limits
from quantattack.record.findings import Finding
from quantattack.record.store import Store
from quantattack.report.seen_gradient import LIMITS, seen_figure, seen_of, seen_words

from .conftest import IMAGES, subject, write
from .signal_runs import diagnose

VALUES = {"zero": 6, "underflowed": 1, "wrong": 2, "nan": 0, "images": 10}
MARGINS = {"dtype": "float32", "limits": list(LIMITS), "beyond": [9, 7, 6], "images": 10}
MARGINS |= {"counts": [1, 3, 6], "edges": [0.0, 60.0, 110.0, 150.0]}
FINDINGS = (
    Finding("gradient values", "fail", "saturation", "6 are zero", data=VALUES),
    Finding("margins", "fail", "saturation", "6 beyond 104", data=MARGINS),
    Finding("unavailable gradients", "fail", "unavailable_gradients", "5 got none", data={"shares": [1, 0, 0, 0, 5]}),
)


def record_with(findings=(), attack="pgd"):
    store = Store.open(None, {})
    write(store, subject(), attack, {1: 3})
    diagnose(store, subject(), findings)
    return store.records()[0]


def heights(axes):
    return [bar.get_height() for bar in axes.patches]


def test_the_limits_are_those_of_the_diagnosis():
    at = limits(torch.float32)
    assert pytest.approx([at.rounded, at.flushed, at.zero], rel=1e-6) == list(LIMITS)


def test_without_a_diagnosis_it_is_where_pgd_ended():
    seen = seen_of(record_with())
    assert (seen.total, seen.fates, seen.stuck) == (IMAGES, {}, ())
    assert seen.beyond == (40 - 16, 0, 0)  # image i ends at a margin of i + 1
    assert "40 images at which pgd ended" in seen_words(seen)
    (axes,) = seen_figure(seen).axes
    assert sum(heights(axes)) == IMAGES


def test_a_diagnosis_has_the_gradients_too():
    seen = seen_of(record_with(FINDINGS))
    assert seen.fates == {"zero": 6, "underflowed": 1, "wrong": 2, "exact": 1}
    fates, stuck, margins = seen_figure(seen).axes
    assert [bar.get_width() for bar in fates.patches] == [6, 1, 2, 1]
    assert heights(stuck) == [1, 0, 0, 0, 5]
    assert heights(margins) == [1, 3, 6]
    assert [bool(bar.get_hatch()) for bar in margins.patches] == [False, False, True]  # beyond 104 as a whole
    assert [line.get_xdata()[0] for line in margins.lines] == pytest.approx(LIMITS)
    assert "on 6 of them" in seen_words(seen)


def test_half_a_diagnosis_is_drawn_as_far_as_it_goes():
    seen = seen_of(record_with(FINDINGS[1:2]))
    assert (seen.fates, len(seen_figure(seen).axes)) == ({}, 1)


def test_margins_in_another_precision_are_not_held_against_float32():
    double = Finding("margins", "pass", "", "", data={**MARGINS, "dtype": "float64"})
    assert "at which pgd ended" in seen_words(seen_of(record_with((double,))))


def test_nothing_is_drawn_where_nothing_is_known():
    assert seen_of(record_with(attack="square")) is None
    assert np.isnan(record_with(attack="square").column("square", "margin")).sum() == 0
