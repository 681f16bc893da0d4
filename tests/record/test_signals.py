import pytest

from quantattack.record.signals import Signal, read_signals, write_signals
from quantattack.record.store import Store

FIRST = Signal("net", "digits", "error", "unit", "", {"mean": 0.123456789, "image": [1, 2], "norm": [1e-300, 0.5]})
SECOND = Signal("net", "digits", "error", "gap", "", {"mean": 2.0})


@pytest.fixture
def connection():
    store = Store.open(None, {})
    yield store.connection
    store.close()


def test_signals_are_read_as_written_with_five_digits(connection):
    write_signals(connection, [FIRST, SECOND])
    first, second = read_signals(connection)
    assert first.numbers == {"mean": 0.12346, "image": [1, 2], "norm": [1e-300, 0.5]}
    assert second == SECOND


def test_a_signal_that_is_there_is_replaced(connection):
    write_signals(connection, [FIRST])
    write_signals(connection, [Signal("net", "digits", "error", "unit", "", {"mean": 3})])
    (found,) = read_signals(connection)
    assert found.numbers == {"mean": 3}


def test_a_record_without_signals_has_none(connection):
    assert read_signals(connection) == ()


def test_what_is_no_json_is_refused_and_nothing_is_written(connection):
    write_signals(connection, [])
    with pytest.raises(ValueError, match="JSON"):
        write_signals(connection, [SECOND, Signal("net", "d", "e", "unit", "", {"mean": float("nan")})])
    assert read_signals(connection) == ()
