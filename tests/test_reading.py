"""What other people's errors are said as."""

import pytest

from quantattack.reading import first_line, message_of


@pytest.mark.parametrize(
    ("error", "message", "line"),
    [
        (ValueError("a  b\nc"), "a b c", "ValueError: a b c"),
        (ValueError(" \n"), "ValueError", "ValueError"),
        (KeyError("x"), "'x'", "KeyError: 'x'"),
        (ValueError("x" * 500), "x" * 160 + "...", "ValueError: " + "x" * 120 + "..."),
    ],
)
def test_an_error_is_one_line_however_long_it_is(error, message, line):
    assert message_of(error) == message
    assert first_line(error) == line
