"""The table of deployed models: float, transferred, Square, PGD and the worst case, by argmax and with ties."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from quantattack.record.outcome import Outcome, Subject
from quantattack.record.statistics import paired_difference
from quantattack.record.store import Store
from quantattack.report.deployed import ARGMAX, ONE_OF, TIES, deployed_lines, entry_words, facts_of
from quantattack.report.page import render
from quantattack.report.tables import headline
from quantattack.report.terminal import print_table

IMAGES, THREAT = 40, '{"high":1.0,"low":0.0,"norm":"Linf","part":"Threat","radius":0.00784313725490196}'
INT8, FLOAT = Subject("net.tflite", "cifar10", THREAT), Subject("net-float.tflite", "cifar10", THREAT)
FLAT = "the largest output of the file's softmax is at its maximum 255/256 on 48.0% of 40 clean images"


def agreed(differing: float) -> dict[str, object]:
    return {"images": IMAGES, "differing": differing, "step": 2, "largest": 2 / 256, "argmax": 0.975}


def about(name: str, is_float: bool, relative: str | None) -> dict[str, object]:
    file = {
        "name": name,
        "format": "tflite",
        "sha256": "ab" * 32,
        "bytes": 98496,
        "runtime": "ai-edge-litert 2.3.0",
        "settings": {"kernels": "xnnpack", "processor": "avx2"},
        "softmax": True,
        "is_float": is_float,
        "twin": True,
        "pixels": {"layout": "nhwc", "low": 0.0, "high": 255.0, "mean": [0.5], "std": [0.25]},
        "input": None if is_float else {"type": "int8", "scale": 0.936, "zero_point": -128, "in_pixels": 0.936},
        "opened": None,
    }
    on = {"clean": agreed(0.0), "noise": agreed(0.01), "attacked": {THREAT: agreed(0.02)}}
    seen = {"classes": 10, "images": IMAGES, "saturated": 0.48, "top": 255 / 256, "clipped": 0.021}
    return {"file": file, "float": relative, "on": {"cifar10": {**on, **seen}}}


def write(store: Store, subject: Subject, attack: str, broken: set[int], ties: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """Write one attack on images of class 0, of which the first is wrong from the start."""
    cell = store.cell(subject, attack, {"part": "Ascent"}, IMAGES)
    rows = []
    for image in range(IMAGES):
        wrong, fooled = image == 0, image in broken
        margin = 0.0 if image in ties else -1.0 if fooled or wrong else 1.0
        prediction = 1 if fooled or wrong else 0
        rows.append(Outcome(image, 0, int(wrong), prediction, margin, 0.007, 3, 0, 9.0, 9.0, 0.1, inside=True))
    store.write(cell, rows)


@pytest.fixture
def store() -> Store:
    store = Store.open(None, {"seed": 0})
    write(store, INT8, "pgd", set(range(1, 25)))
    write(store, INT8, "transfer", set(range(1, 20)))
    write(store, INT8, "square", set(range(1, 10)))
    write(store, INT8, "gap", set(range(1, 38)), ties={36, 37})
    write(store, FLOAT, "gap", set(range(1, 40)))
    deployed = {INT8.model: about("net.tflite", False, FLOAT.model), FLOAT.model: about(FLOAT.model, True, None)}
    store.note(deployed=deployed)
    store.flag(INT8, {"saturated_softmax": FLAT})
    store.finish()
    return store


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
