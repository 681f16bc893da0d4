import pytest

from quantattack.record.findings import Finding
from quantattack.record.store import Store
from quantattack.report.diagnosis import diagnosis, elsewhere, summed
from quantattack.report.page import write_page

from .conftest import build, subject
from .signal_runs import FINDINGS, attack_run, diagnose, signal_run
from .test_page import Page


def test_failures_come_first_and_count():
    found = summed(FINDINGS)
    assert [finding.verdict for finding in found.findings] == ["fail", "cannot tell", "pass"]
    assert not found.trusted
    assert found.headline == (
        "The robust accuracy cannot be trusted (saturation). Of 3 checks 1 passed, 1 failed, 1 cannot tell."
    )
    assert found.passes == 32


def test_without_a_failure_nothing_speaks_against_it():
    found = summed(FINDINGS[:2])
    assert found.trusted
    assert (
        found.headline == "No check speaks against the robust accuracy. Of 2 checks 1 passed, 0 failed, 1 cannot tell."
    )


def test_reasons_are_named_once_and_a_check_without_a_code_by_its_name():
    failed = [Finding("a", "fail", "random", ""), Finding("b", "fail", "random", ""), Finding("c", "fail", "", "")]
    assert "(random, c)" in summed(failed).headline


def test_no_findings_are_no_diagnosis(records):
    assert summed(()) is None
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
    ((who, found),) = elsewhere(store)
    assert (who.model, len(found.findings)) == ("probabilities", 1)
    store.close()
    parsed = Page(write_page(diagnosed).read_text(encoding="utf-8"))
    assert "probabilities" in parsed.texts("h2")


def test_a_failed_check_outweighs_a_number_that_looks_sound(tmp_path):
    store = attack_run("figure1a", {"pgd": ({"part": "Ascent", "steps": 40}, 20)}, tmp_path)
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
    assert parsed.texts("h1") == ["How far the signals of an error come"]
    assert parsed.texts("h2") == ["Signal propagation", "The run"]
    assert text.count('<svg role="img"') == 5
    assert len(parsed.all("table")) == 2
    assert "binary <net>" not in text


@pytest.mark.parametrize(("item", "figures"), [("figure2", 1), ("figure3", 1), ("figure5", 2), ("table12", 5)])
def test_a_page_of_a_reproduction_shows_its_own_figures(tmp_path, item, figures):
    signal_run(tmp_path, item).close()
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert text.count('<svg role="img"') == figures
    kind = "Table" if item == "table12" else "Figure"
    assert f"{kind} {item[-2:].strip('e')} of Gupta and Ajanthan, 2022" in Page(text).texts("h2")


ATTACKS = {
    "figure1a": {"pgd": ({"part": "Ascent", "steps": 40}, 20)},
    "figure1b": {"pgd": ({"part": "Ascent", "steps": 40}, 20)},
    "figure1c": {"pgd": ({"part": "Ascent"}, 10), "transfer": ({"part": "Transfer"}, 30)},
    "figure4": {f"pgd[step_size={size}]": ({"step_size": size}, 5) for size in (0.05, 0.2)},
    "table11": {f"a[rho={rho}]": ({"temperature": {"rho": rho}}, 10) for rho in (1e-5, 0.1)},
}


@pytest.mark.parametrize("item", ATTACKS)
def test_a_page_of_attacks_shows_the_papers_figure_beside_the_usual(tmp_path, item):
    published = {"columns": [1e-5, 0.1], "rows": {"BNN-WQ": [0.0, 0.0]}} if item == "table11" else {}
    store = attack_run(
        item, ATTACKS[item], tmp_path, radii=(0.1, 0.2) if item == "figure1b" else (0.2,), published=published
    )
    evaluations = len(store.records())
    store.close()
    text = write_page(tmp_path).read_text(encoding="utf-8")
    radii = 2 if item == "figure1b" else 0
    assert text.count('<svg role="img"') == 1 + 3 * evaluations + radii
    assert f'class="{"bar" if item == "figure1c" else "series"}"' in text
    assert text.count('class="paper"') == (item == "table11")
