import io

import pytest
from rich.console import Console

from quantattack.record.statistics import wilson
from quantattack.record.store import Store
from quantattack.report import tables
from quantattack.report.tables import Share
from quantattack.report.terminal import print_table

from .conftest import IMAGES, MASKED, WRONG, subject, write


@pytest.fixture
def masked(records):
    return records[0]


def lone(*attacks, images=range(IMAGES), flags=None):
    store = Store.open(None, {})
    for name, broken in attacks:
        write(store, subject(), name, broken, images=images)
    store.flag(subject(), flags or {})
    return store.records()[0]


def test_a_row_holds_the_records_numbers(masked):
    rows = {row.attack: row for row in tables.attack_rows(masked)}
    assert list(rows) == masked.attacks
    for name, row in rows.items():
        assert row.robust.value == masked.robust(name)
        assert row.robust.interval == wilson(round(masked.robust(name) * IMAGES), IMAGES)
    assert rows["pgd"].robust == Share(36, 40)
    assert (rows["pgd"].forwards, rows["pgd"].backwards) == (40.0, 40.0)
    assert rows["pgd"].seconds == pytest.approx(0.4)


def test_median_steps_leave_out_what_was_wrong_before_and_what_nobody_saw(masked):
    assert tables.median_steps(masked, "pgd") == 15  # 10 and 20; image 3 has no step, image 0 was wrong before
    assert tables.median_steps(masked, "square") is None
    assert lone(("pgd", {0: 0})).broken("pgd").sum() == len(WRONG)
    assert tables.median_steps(lone(("pgd", {0: 0})), "pgd") is None


def test_pairs_and_alone_count_images(masked):
    sets = {"pgd": {1, 2, 3}, "pgd_plus_gap": set(range(1, 38)), "square": set(range(30, 39))}
    expected = [[len(row - column) for column in sets.values()] for row in sets.values()]
    assert tables.pairs(masked).tolist() == expected
    assert tables.alone(masked) == {"pgd": 0, "pgd_plus_gap": 26, "square": 1}


def test_shares_equal_the_record(masked):
    assert tables.clean_share(masked).value == masked.clean == 0.975
    assert tables.worst_share(masked).value == masked.worst_case == 0.025
    assert tables.broken_by(masked).shape == (3, IMAGES)


def test_the_headline_says_what_pgd_says_and_what_is_true(masked):
    sentence = tables.headline(masked)
    assert sentence.startswith("Ordinary PGD says 90.0% robust; the worst case is 2.5%: ")
    assert "cannot be trusted" in sentence
    assert "87.5 points too high" in sentence
    assert "pgd_plus_gap alone leaves 5.0%" in sentence
    assert tables.strongest(masked) == "pgd_plus_gap"


@pytest.mark.parametrize(
    ("attacks", "flags", "kind", "words"),
    [
        ((("pgd", {}), ("square", dict.fromkeys(range(1, 6), 1))), {}, "masked", "PGD's number cannot be trusted"),
        ((("pgd", {}), ("square", {1: 1})), {}, "near", "PGD is near the worst case"),
        ((("pgd", {}), ("square", {1: 1})), {"ties": "t"}, "caution", "read the flags"),
        ((("fgsm", {}), ("square", {1: 1})), {"masked": "m"}, "masked", "gradient attack's number cannot be trusted"),
        ((("square", {1: 1}),), {}, "unknown", "PGD was not run"),
    ],
)
def test_the_verdict_in_words(attacks, flags, kind, words):
    record = lone(*attacks, flags=flags)
    assert tables.verdict(record).kind == kind
    assert words in tables.verdict(record).words


def test_an_empty_evaluation_says_so():
    record = lone(("pgd", {}), images=[])
    assert tables.verdict(record).kind == "unknown"
    assert tables.headline(record) == "The run is unfinished (pgd 0 of 40 images)."
    assert tables.attack_rows(record)[0].robust == Share(0, 0)
    assert tables.progress_words(record) == "unfinished: 0 of 40 images"


def test_an_unfinished_evaluation_counts_the_images_that_every_attack_saw():
    store = Store.open(None, {})
    write(store, subject(), "pgd", {})
    write(store, subject(), "square", {1: None}, images=range(5, 15))
    record = store.records()[0]
    assert tables.progress_words(record) == "unfinished: 10 of 40 images"
    assert tables.broken_by(record).shape == (2, 10)
    assert tables.worst_share(record) == tables.robust_share(record, "square") == Share(0, 0)
    assert tables.robust_share(record, "pgd").of == tables.clean_share(record).of == 40
    assert [row.alone for row in tables.attack_rows(record)] == [None, None]


def test_the_runs_headline_counts_the_masked(records):
    assert tables.run_headline(records) == "PGD's number cannot be trusted in 2 of 3 evaluations"
    assert tables.run_headline(records[2:]) == "PGD is near the worst case"
    assert tables.run_headline([records[2], records[2]]) == "PGD is near the worst case in all 2 evaluations"
    assert tables.leading(records) is records[0]
    assert tables.leading([]) is None


@pytest.mark.parametrize(
    ("radius", "words"),
    [(0.2, "0.2"), (8 / 255, "8/255"), (1 / 255, "1/255"), (0.5, "0.5"), (1.0, "1"), (12.0, "12"), (1 / 3, "85/255")],
)
def test_a_radius_is_written_as_usual(radius, words):
    assert tables.radius_words(radius) == words


@pytest.mark.parametrize("norm", ["linf", {"part": "linf"}])
def test_a_threat_in_words(norm):
    assert tables.threat_words({"norm": norm, "radius": 8 / 255}) == "linf 8/255"


@pytest.mark.parametrize("share", [Share(0, 500), Share(499, 500), Share(500, 500)])
def test_an_interval_holds_its_share(share):
    low, high = share.interval
    assert 0 <= low <= share.value + 1e-12
    assert share.value - 1e-12 <= high <= 1
    assert tables.interval(share) == f"{100 * low:.1f} to {100 * high:.1f}%"


def printed(records, width):
    console = Console(file=io.StringIO(), width=width)
    print_table(records, console)
    return console.file.getvalue()


def test_the_table_has_one_line_an_evaluation(records):
    text = printed(records, 100)
    assert max(map(len, text.splitlines())) <= 100
    lines = [line.split() for line in text.splitlines()]
    assert ["binary", "<net>", "digits", "Linf", "0.2", "97.5", "90.0", "5.0", "75.0", "2.5"] in lines
    assert ["float", "digits", "Linf", "0.2", "97.5", "22.5", "20.0", "20.0"] in lines
    assert "\n- masked: " in text


def test_a_table_too_wide_is_turned_and_loses_nothing(records):
    text = printed(records, 60)
    assert max(map(len, text.splitlines())) <= 60
    lines = [line.split() for line in text.splitlines()]
    assert ["pgd_plus_gap", "5.0", "50.0", "20.0"] in lines
    assert ["worst", "case", "2.5", "50.0", "20.0"] in lines


def test_a_turned_table_heads_a_checkpoint_by_its_name_and_says_its_path_below():
    store = Store.open(None, {})
    write(store, subject("a/folder/of/mine.safetensors"), "pgd[steps=40,restarts=20]", {})
    lines = [line.strip() for line in printed(store.records(), 50).splitlines()]
    assert "mine" in lines
    assert "a/folder/of/mine.safetensors on digits, Linf 0.2" in lines


def test_the_words_below_the_table_hold_each_flag_and_headline(records):
    text = " ".join(printed(records, 100).split())
    assert MASKED in text
    for record in records:
        assert tables.headline(record) in text


def test_a_name_in_brackets_is_no_markup():
    text = printed([lone(("pgd[steps=40]", {}))], 100)
    assert "[steps=40]" in text
