import io

from rich.console import Console

from quantattack.record.signals import Signal, write_signals
from quantattack.report.signal_tables import print_signal_table, tables

from .signal_runs import NETS, TEMPERATURES, signal_run


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
    assert found[0].caption == "Means over 2 correctly classified images; normalized pixels."


def test_clever_has_mean_median_and_error():
    store = signal_run()
    scores = {"unit": [1.0, 2.0, 6.0], "njs": [0.5, 0.5, 0.5]}
    signals = [
        Signal("float", "digits", "clever", key, "pixel", {"image": [1, 2, 3], "score": values})
        for key, values in scores.items()
    ]
    write_signals(store.connection, signals)
    table = tables(store)[-1]
    assert table.rows == (("float", "3 [2] ±1.2", "0.5 [0.5] ±0"),)
    assert "over 3 images; L1, pixels from 0 to 1; on probabilities." in table.caption


def test_a_run_without_signals_has_no_tables(records):
    assert tables(records[0].store) == []


def test_a_table_is_printed_whole():
    buffer = io.StringIO()
    (table, _) = tables(signal_run())
    print_signal_table(table, Console(file=buffer, width=80))
    text = buffer.getvalue()
    assert "…" not in text
    assert all(row[0] in text for row in table.rows)
    assert table.caption in " ".join(text.split())
