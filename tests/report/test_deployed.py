"""The table of deployed models: float, transferred, Square, PGD and the worst case, by argmax and with ties."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from quantattack.record.outcome import Subject
from quantattack.record.statistics import paired_difference
from quantattack.record.store import Store
from quantattack.report.deployed import ARGMAX, ONE_OF, TIES, deployed_lines, entry_words, fact_rows, facts_of, shipped
from quantattack.report.page import render
from quantattack.report.tables import headline
from quantattack.report.terminal import print_table

from .deployed_runs import FLAT, FLOAT, INT8, THREAT, about, deployed_run, write


@pytest.fixture
def store() -> Store:
    return deployed_run()


def test_the_table_has_a_line_for_each_reading_of_ties(store: Store):
    by_argmax, for_the_label = deployed_lines(store.records())
    assert (by_argmax.ties, for_the_label.ties) == (ARGMAX, TIES)
    counts = {name: entry and entry.share.count for name, entry in by_argmax.entries.items()}
    assert counts == {"float": 0, "transferred": 20, "Square": 30, "ordinary PGD": 15, "worst case": 2}
    worst = for_the_label.entries["worst case"]
    assert worst is not None
    assert worst.share.count == 4  # two successes end on a tie; the image that was wrong from the start does not count


def test_each_number_has_its_paired_interval_over_the_worst_case(store: Store):
    line = deployed_lines(store.records())[0]
    pgd, below = line.entries["ordinary PGD"], line.entries["float"]
    assert pgd is not None
    assert below is not None
    assert pgd.over == pytest.approx(13 / 40)
    assert pgd.interval == paired_difference(13, 0, 2, 40)
    assert below.over == pytest.approx(-2 / 40)
    assert entry_words(pgd).startswith("37.5\n+32.5\n")
    assert entry_words(None) == "-"


def test_an_attack_that_was_not_run_and_a_missing_float_network_are_empty():
    store = Store.open(None, {"seed": 0})
    write(store, INT8, "gap", {1, 2})
    store.note(deployed={INT8.model: about("net.tflite", False, FLOAT.model)})
    entries = deployed_lines(store.records())[0].entries
    assert [name for name, entry in entries.items() if entry is None] == [
        "float",
        "transferred",
        "Square",
        "ordinary PGD",
    ]


def test_a_run_without_deployed_models_has_no_such_table(store: Store):
    plain = Store.open(None, {"seed": 0})
    write(plain, Subject("net", "cifar10", THREAT), "pgd", {1})
    assert deployed_lines(plain.records()) == []
    assert facts_of(plain.records()[0]) == []


def test_the_headline_says_why_the_ordinary_number_is_wrong(store: Store):
    words = headline(store.records()[0])
    assert "PGD's number cannot be trusted, it is 32.5 points too high" in words
    assert words.endswith(f"because {FLAT}.")


def test_the_facts_say_file_runtime_pixels_and_agreement(store: Store):
    facts = dict(facts_of(store.records()[0]))
    assert facts["SHA-256"] == "ab" * 32
    assert facts["judged by"] == "ai-edge-litert 2.3.0, kernels xnnpack, processor avx2"
    assert facts["pixels"] == "nhwc, black is 0 and white 255, less the mean 0.5, over the deviation 0.25"
    assert facts["input"] == "int8, a step of 0.936 is 0.936 pixel levels, 2.1% of the pixels are clipped"
    assert "48.0% of 40 images" in facts["softmax"]
    assert "by 2 steps at most, 97.5% predicted the same" in facts["twin against runtime, attacked images"]
    assert dict(facts_of(store.records()[1]))["numbers"].startswith("float: attacked as it is")


def test_terminal_and_page_show_the_table(store: Store, tmp_path: Path):
    text = io.StringIO()
    print_table(store.records(), Console(file=text, width=100))
    assert "Deployed models, %" in text.getvalue()
    assert "for" in text.getvalue()
    page = render(store, tmp_path)
    assert page.count(ONE_OF) == 3  # below the table, and beside the facts of each file
    for words in ("37.5%", "+32.5 (", "ab" * 32, "Deployed models: what each attack alone says"):
        assert words in page


def test_the_page_opens_with_the_file_that_ships(store: Store, tmp_path: Path):
    """PGD misleads more on the float network, which stands beside the file, and has a flag of its own."""
    write(store, FLOAT, "pgd", set())
    store.flag(FLOAT, {"masked": "of the float network"})
    first = render(store, tmp_path).partition("<main>")[0]
    assert f"{INT8.model} on cifar10" in first
    assert FLOAT.model not in first
    assert "at its maximum 255/256 on 48.0% of 40 clean images" in first
    assert "of the float network" not in first
    assert [record.subject for record in shipped(store.records())] == [INT8]


def test_a_float_file_alone_is_what_ships(store: Store):
    alone = store.records()[1:]
    assert shipped(alone) == alone


def test_one_level_is_singular():
    file = about("net.tflite", False, None)
    file["file"]["input"]["in_pixels"] = 1.0  # type: ignore[index]
    assert dict(fact_rows(file, "cifar10"))["input"].startswith("int8, a step of 0.936 is 1 pixel level, 2.1%")
