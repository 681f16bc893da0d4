import sqlite3

import pytest

from quantattack.record.findings import Finding, read_findings, write_findings
from quantattack.record.outcome import Subject

SUBJECT = Subject("net", "digits", "{}")
FOUND = (
    Finding("margins", "fail", "saturation", "all beyond 104", "scale", {"counts": [1, 2], "dtype": "float32"}, 1.5),
    Finding("batch", "cannot tell", "", "too few"),
    Finding("logits", "pass", "", "fine", forwards=1.0, backwards=2.0),
)


@pytest.fixture
def connection():
    opened = sqlite3.connect(":memory:", isolation_level=None)
    yield opened
    opened.close()


def test_what_is_written_is_read_in_its_order(connection):
    write_findings(connection, SUBJECT, FOUND)
    assert read_findings(connection, SUBJECT) == FOUND


def test_a_record_without_a_diagnosis_has_no_findings(connection):
    assert read_findings(connection, SUBJECT) == ()


def test_a_second_diagnosis_takes_the_place_of_the_first_of_its_subject_alone(connection):
    other = Subject("net", "digits", '{"radius": 1}')
    write_findings(connection, SUBJECT, FOUND)
    write_findings(connection, other, FOUND)
    write_findings(connection, SUBJECT, FOUND[2:])
    assert read_findings(connection, SUBJECT) == FOUND[2:]
    assert read_findings(connection, other) == FOUND


def test_half_a_diagnosis_is_never_written(connection):
    write_findings(connection, SUBJECT, FOUND)
    with pytest.raises(ValueError, match="JSON"):
        write_findings(connection, SUBJECT, [FOUND[1], Finding("x", "pass", "", "", data={"nan": float("nan")})])
    with pytest.raises(sqlite3.IntegrityError):
        write_findings(connection, SUBJECT, [FOUND[1], FOUND[1]])
    assert read_findings(connection, SUBJECT) == FOUND


def test_passes_are_forward_and_backward():
    assert FOUND[2].passes == 3.0
