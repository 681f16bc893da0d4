"""At 80 columns no name of a network is cut and no number is broken over lines, however many and long they are."""

import io
import re

import pytest
from rich.console import Console

from quantattack.record.store import Store
from quantattack.report.columns import folded
from quantattack.report.comparison import comparisons
from quantattack.report.signal_tables import SignalTable, print_signal_table
from quantattack.report.terminal import print_comparison, print_table

from .conftest import subject, write

LONG = "cifar10-resnet8-uniform8-finetuned-with-a-very-long-name"
NETWORKS = [LONG, "mine.and.yours:build_the_network", *(f"digits-mdtanhs-{place}" for place in range(6))]
NUMBER = re.compile(r"(?<![\w.,:=-])\d+\.\d+?(?![\w.])")


@pytest.fixture(scope="module")
def records():
    store = Store.open(None, {})
    for place, name in enumerate(NETWORKS):
        write(store, subject(name), "pgd[steps=40]", dict.fromkeys(range(1, 4 + place), 3))
        write(store, subject(name), "pgd_plus_gap[steps=40,restarts=20]", dict.fromkeys(range(1, 20 + place), 3))
    store.finish()
    return store.records()


def printed(show, width=80, **settings):
    console = Console(file=io.StringIO(), width=width, **settings)
    show(console)
    return console.file.getvalue()


def letters(text):
    """All that is printed in a column of names, joined: a folded name is whole again."""
    return re.sub(r"\s", "", text)


def test_many_networks_become_several_tables_and_say_so(records):
    text = printed(lambda console: print_table(records, console))
    table = text[: text.index(f"\n{LONG} on")]
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table
    assert re.search(r"In \d tables, since a line has 80 columns\.", table)
    shares = [f"{100 * record.robust(name):.1f}" for record in records for name in record.attacks]
    found = NUMBER.findall(table)
    assert all(found.count(share) >= shares.count(share) for share in set(shares))
    for part in folded(LONG).splitlines():
        assert part in table


def test_a_wide_terminal_has_one_table_and_says_nothing(records):
    text = printed(lambda console: print_table(records[2:4], console), width=200)
    assert "tables, since" not in text


def test_a_comparison_folds_names_and_keeps_numbers_whole(records):
    (comparison,) = comparisons(records[:3])
    text = printed(lambda console: print_comparison(comparison, [], console))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for pair in comparison.pairs:
        assert f" {pair.p:.3f} " in text
        assert any(word in text for word in ("no difference can be", "holds more"))
    for part in (*folded(LONG).splitlines(), *folded(LONG, 40).splitlines()):
        assert part in text


def test_a_table_of_signals_is_parted_by_its_columns():
    header = ("quantity", *NETWORKS)
    table = SignalTable(
        "Signals", "A caption.", header, (("mean", *(f"{place}.25" for place in range(len(NETWORKS)))),)
    )
    text = printed(lambda console: print_signal_table(table, console))
    assert "…" not in text
    assert NUMBER.findall(text) == [f"{place}.25" for place in range(len(NETWORKS))]
    assert text.count("A caption.") == 1


@pytest.mark.parametrize(("terminal", "colored"), [(True, True), (False, False)])
def test_colors_are_for_terminals(records, terminal, colored, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    text = printed(lambda console: print_table(records[:1], console), force_terminal=terminal or None)
    assert ("\x1b[" in text) == colored


@pytest.mark.parametrize("name", [LONG, "x" * 50, "short", "two words"])
def test_a_folded_name_loses_no_letter(name):
    assert letters(folded(name)) == letters(name)
    assert max(map(len, folded(name).splitlines())) <= 22
