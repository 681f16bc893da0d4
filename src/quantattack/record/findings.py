"""The diagnosis in a record: one row for each check of a model, data set and threat, read and written without torch."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from quantattack.record.file import has_table, reading, transaction
from quantattack.record.outcome import Subject
from quantattack.record.parsing import parsed

Word: TypeAlias = Literal["pass", "fail", "cannot tell"]

TABLE = """
CREATE TABLE IF NOT EXISTS diagnosis (
  model TEXT NOT NULL, data TEXT NOT NULL, threat TEXT NOT NULL, check_name TEXT NOT NULL, verdict TEXT NOT NULL,
  code TEXT NOT NULL, evidence TEXT NOT NULL, advice TEXT NOT NULL, data_json TEXT NOT NULL,
  forwards REAL NOT NULL, backwards REAL NOT NULL, PRIMARY KEY (model, data, threat, check_name));
"""
_SUBJECT = "model = ? AND data = ? AND threat = ?"


@dataclass(frozen=True)
class Finding:
    """The result of one diagnostic check.

    Arguments:
        check: The check's name.
        verdict: `pass`, `fail`, or `cannot tell`.
        code: Reason in one word, such as `saturation`; empty where the check passes.
        evidence: What was seen, a sentence with its numbers.
        advice: What to do about it, a sentence; empty where the check passes.
        data: The numbers behind the evidence, such as a histogram; plain JSON.
        forwards: Forward passes spent per image.
        backwards: Backward passes spent per image.
    """

    check: str
    verdict: Word
    code: str
    evidence: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    forwards: float = 0.0
    backwards: float = 0.0

    @property
    def passes(self) -> float:
        """Forward and backward passes spent per image."""
        return self.forwards + self.backwards


def write_findings(connection: sqlite3.Connection, subject: Subject, findings: Iterable[Finding]) -> None:
    """Replace a subject's findings in one transaction."""
    key = (subject.model, subject.data, subject.threat)
    rows = [(*key, *_row(finding)) for finding in findings]
    with transaction(connection):
        connection.execute(TABLE)
        connection.execute(f"DELETE FROM diagnosis WHERE {_SUBJECT}", key)
        connection.executemany(f"INSERT INTO diagnosis VALUES ({', '.join('?' * 11)})", rows)


def _row(finding: Finding) -> tuple[Any, ...]:
    words = (finding.check, finding.verdict, finding.code, finding.evidence, finding.advice)
    return (*words, json.dumps(dict(finding.data), allow_nan=False), finding.forwards, finding.backwards)


def read_findings(connection: sqlite3.Connection, subject: Subject) -> tuple[Finding, ...]:
    """Return a subject's findings in the order in which the checks ran; none where there was no diagnosis."""
    if not has_table(connection, "diagnosis"):
        return ()
    columns = "check_name, verdict, code, evidence, advice, data_json, forwards, backwards"
    query = f"SELECT {columns} FROM diagnosis WHERE {_SUBJECT} ORDER BY rowid"
    names = ("check", "verdict", "code", "evidence", "advice", "data", "forwards", "backwards")
    with reading(connection):
        rows = connection.execute(query, (subject.model, subject.data, subject.threat)).fetchall()
        return tuple(Finding(**{**dict(zip(names, row, strict=True)), "data": parsed(row[5], dict)}) for row in rows)
