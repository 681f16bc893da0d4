import io

import pytest
from rich.console import Console

from quantattack.record.signals import Signal, write_signals
from quantattack.report.signal_tables import print_paper_table, tables

from .signal_runs import NETS, PAPER, TEMPERATURES, attack_run, signal_run

PRINTED = {
    "columns": ["unit", "njs", "hns_paper"],
    "rows": {"REF": {"mean": [8.09, 0.951, 2.38], "gradient": [0.242, 0.952, 0.749], "sign": [55.5, 55.5, 55.5]}},
}


def rows(table):
    return {row[0].strip(): row[1:] for row in table.rows}


def test_propagation_is_a_table_for_each_network():
    found = tables(signal_run())
    assert [table.title for table in found] == [f"Signal propagation in {name}" for name in NETS]
    assert found[0].header == ("quantity", "unscaled", "NJS", "HNS paper", "HNS", "Gap")
    own = rows(found[1])
    assert own["singular values, mean"] == tuple(f"{beta:.3g}" for beta in TEMPERATURES.values())
    assert own["norm of its sign"] == ("0", "8", "8", "8", "8")
    assert own["norm of its sign, exact"] == ("8",) * 5
    assert own["gradients that are zero"] == ("100.0%", "0.0%", "0.0%", "0.0%", "0.0%")
    assert not any(found[0].published)
    assert found[0].caption == "Means over 2 correctly classified images; normalized pixels."


def test_published_numbers_stand_under_the_measured():
    first, second = tables(signal_run(item="table12", published=PRINTED))
    at = [row[0] for row in first.rows].index("singular values, mean")
    assert first.rows[at + 1] == ("  published: REF", "8.09", "0.951", "2.38", "-", "-")
    assert [row for row, printed in zip(first.rows, first.published, strict=True) if printed] == [
        first.rows[at + 1],
        ("  published: REF", "0.242", "0.952", "0.749", "-", "-"),
        ("  published: REF", "55.5", "55.5", "55.5", "-", "-"),
    ]
    assert "Published: ResNet-18 on CIFAR-10" in first.caption
    assert not any(second.published)  # no BNN-WQ among the numbers by hand


def test_a_figures_run_has_no_table():
    assert tables(signal_run(item="figure3")) == []


def test_clever_has_mean_median_and_error():
    store = signal_run(item="table10", published={"columns": ["unit", "njs"], "rows": {"BNN-WQ": [0.8585, 0.4139]}})
    scores = {"unit": [1.0, 2.0, 6.0], "njs": [0.5, 0.5, 0.5]}
    signals = [
        Signal("float", "digits", "clever", key, "pixel", {"image": [1, 2, 3], "score": values})
        for key, values in scores.items()
    ]
    write_signals(store.connection, signals)
    table = tables(store)[-1]
    assert table.rows == (("float", "3 [2] ±1.2", "0.5 [0.5] ±0"), ("published: BNN-WQ", "0.859", "0.414"))
    assert table.published == (False, True)
    assert "over 3 images; L1, pixels from 0 to 1; on probabilities." in table.caption


@pytest.mark.parametrize("item", ["table11", "table13"])
def test_rho_has_a_column_for_each_published_one(item):
    attacks = {
        f"a[rho={rho}]": ({"temperature": {"part": "Njs", "rho": rho}}, broken)
        for rho, broken in ((1e-5, 10), (0.1, 20))
    }
    published = {"columns": [1e-5, 0.1, 0.5], "rows": {"BNN-WQ": [9.61, 0.0, 0.0]}}
    (table,) = tables(attack_run(item, attacks, published=published))
    assert table.header == ("network", "rho 1e-05", "rho 0.1", "rho 0.5")
    assert table.rows == (
        ("float", "72.5%", "47.5%", "-"),
        ("binary <net>", "70.0%", "45.0%", "-"),
        ("published: BNN-WQ", "9.61%", "0.00%", "0.00%"),
    )
    assert PAPER["networks"] in table.caption


def test_a_run_without_signals_has_no_tables(records):
    assert tables(records[0].store) == []


def test_a_table_is_printed_whole():
    buffer = io.StringIO()
    (table, _) = tables(signal_run())
    print_paper_table(table, Console(file=buffer, width=80))
    text = buffer.getvalue()
    assert "…" not in text
    assert all(row[0] in text for row in table.rows)
    assert table.caption in " ".join(text.split())
