import shutil
from pathlib import Path

import pytest

from quantattack.record.findings import Finding
from quantattack.record.store import Store
from quantattack.report.diagnosis import diagnosis, summarize, unevaluated_diagnoses
from quantattack.report.page import write_page

from .conftest import build, subject
from .signal_runs import FINDINGS, attack_run, diagnose, signal_run
from .test_page import Page

SIGNALS = Path(__file__).parents[2] / "results" / "signal"


def test_failures_come_first_and_count():
    found = summarize(FINDINGS)
    assert [finding.verdict for finding in found.findings] == ["fail", "cannot tell", "pass"]
    assert not found.trusted
    assert found.headline == (
        "The robust accuracy cannot be trusted (saturation). Of 3 checks 1 passed, 1 failed, 1 cannot tell."
    )
    assert found.passes == 32


def test_without_a_failure_nothing_speaks_against_it():
    found = summarize(FINDINGS[:2])
    assert found.trusted
    assert (
        found.headline == "No check speaks against the robust accuracy. Of 2 checks 1 passed, 0 failed, 1 cannot tell."
    )


def test_reasons_are_named_once_and_a_check_without_a_code_by_its_name():
    failed = [Finding("a", "fail", "random", ""), Finding("b", "fail", "random", ""), Finding("c", "fail", "", "")]
    assert "(random, c)" in summarize(failed).headline


def test_no_findings_are_no_diagnosis(records):
    assert summarize(()) is None
    assert diagnosis(records[0]) is None


@pytest.fixture
def diagnosed(tmp_path):
    build(tmp_path)
    store = Store.open(tmp_path, Store.load(tmp_path).identity)
    diagnose(store, store.subjects()[0])
    diagnose(store, subject("probabilities"), FINDINGS[2:])
    store.finish()
    store.close()
    return tmp_path


def test_the_page_has_each_check_in_words_with_evidence_and_advice(diagnosed):
    parsed = Page(write_page(diagnosed).read_text(encoding="utf-8"))
    assert parsed.unbalanced == parsed.open == []
    items = [" ".join(text.split()) for text in parsed.texts("li")]
    first = "✗ fail zero gradient saturation 80 of 100 gradients are zero What to do: attack with Gap <log-odds>"
    assert [item for item in items if item == first] == [first] * 2
    assert "? cannot tell iterations the budget is spent What to do: give --budget 800" in items
    assert "✓ pass one step PGD is 30 points under FGSM & all is well" in items
    assert parsed.texts("h3").count("Diagnosis: can the number be trusted?") == 2


def test_a_model_that_no_attack_ran_on_has_its_own_section(diagnosed):
    store = Store.load(diagnosed)
    ((who, found),) = unevaluated_diagnoses(store)
    assert (who.model, len(found.findings)) == ("probabilities", 1)
    store.close()
    parsed = Page(write_page(diagnosed).read_text(encoding="utf-8"))
    assert "probabilities" in parsed.texts("h2")


def test_a_failed_check_outweighs_a_number_that_looks_sound(tmp_path):
    store = attack_run({"pgd": ({"part": "Ascent", "steps": 40}, 20)}, tmp_path)
    diagnose(store, store.subjects()[0])
    store.close()
    parsed = Page(write_page(tmp_path).read_text(encoding="utf-8"))
    words = "The robust accuracy cannot be trusted: a check failed"
    assert parsed.texts("h1") == [words]
    assert parsed.texts("span", **{"class": "verdict masked"}) == [words]  # and of the network without a diagnosis:
    assert parsed.texts("span", **{"class": "verdict unknown"}) == ["Nothing checks PGD's number"]
    assert parsed.texts("p", **{"class": "lede"})[0].startswith("The robust accuracy cannot be trusted (saturation).")


def test_a_page_of_signals_has_their_figures_and_tables(tmp_path):
    signal_run(tmp_path).close()
    text = write_page(tmp_path).read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.unbalanced == parsed.open == []
    assert parsed.texts("h1") == ["Signal propagation through the networks"]
    assert parsed.texts("h2") == ["Signal propagation", "The run"]
    assert text.count('<svg role="img"') == 5
    assert len(parsed.all("table")) == 2
    assert "binary <net>" not in text


@pytest.mark.parametrize(("item", "figures"), [("figure3", 4), ("table12", 5), ("figure1c", 24), ("table11", 18)])
def test_records_of_earlier_reproductions_are_read(tmp_path, item, figures):
    """Their notes name a paper's item; they are shown as any record."""
    shutil.copytree(SIGNALS / item, tmp_path / item)
    text = write_page(tmp_path / item).read_text(encoding="utf-8")
    assert text.count('<svg role="img"') == figures
    assert Page(text).unbalanced == []
