"""The diagnosis of an evaluation, read from its recorded findings."""

from collections.abc import Sequence
from dataclasses import dataclass

from quantattack.record.file import has_table, reading
from quantattack.record.findings import Finding, read_findings
from quantattack.record.outcome import Subject
from quantattack.record.record import Record
from quantattack.record.store import Store

ORDER = {"fail": 0, "cannot tell": 1, "pass": 2}
SIGNS = {"fail": "✗", "cannot tell": "?", "pass": "✓"}  # shown next to the word, for accessibility


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of one evaluation.

    Arguments:
        headline: Whether the robust accuracy can be trusted, and the number of checks by verdict.
        trusted: Whether no check failed.
        findings: The findings: failed, then undecided, then passed.
        passes: Forward and backward passes spent per image.
    """

    headline: str
    trusted: bool
    findings: tuple[Finding, ...]
    passes: float


def diagnosis(record: Record) -> Diagnosis | None:
    """Return the diagnosis of an evaluation; None if it was not diagnosed."""
    return summarize(read_findings(record.store.connection, record.subject))


def unevaluated_diagnoses(store: Store) -> list[tuple[Subject, Diagnosis]]:
    """Return the diagnoses of the subjects that have no evaluation in this run."""
    connection, evaluated = store.connection, set(store.subjects())
    if not has_table(connection, "diagnosis"):
        return []
    with reading(connection):
        query = "SELECT model, data, threat FROM diagnosis GROUP BY 1, 2, 3 ORDER BY min(rowid)"
        rows = connection.execute(query).fetchall()
    diagnoses = [
        (subject, summarize(read_findings(connection, subject))) for subject in (Subject(*row) for row in rows)
    ]
    return [(subject, result) for subject, result in diagnoses if result is not None and subject not in evaluated]


def summarize(findings: Sequence[Finding]) -> Diagnosis | None:
    """Build a diagnosis from findings, sorted by verdict with failures first; None if there are no findings."""
    if not findings:
        return None
    ordered = sorted(findings, key=lambda finding: ORDER[finding.verdict])
    failed = [finding for finding in ordered if finding.verdict == "fail"]
    passes = sum(finding.passes for finding in findings)
    return Diagnosis(_headline(findings, failed), not failed, tuple(ordered), passes)


def _headline(findings: Sequence[Finding], failed: Sequence[Finding]) -> str:
    counts = f"{_count(findings, 'pass')} passed, {len(failed)} failed, {_count(findings, 'cannot tell')} cannot tell"
    if failed:
        reasons = ", ".join(dict.fromkeys(finding.code or finding.check for finding in failed))
        return f"The robust accuracy cannot be trusted ({reasons}). Of {len(findings)} checks {counts}."
    return f"No check speaks against the robust accuracy. Of {len(findings)} checks {counts}."


def _count(findings: Sequence[Finding], verdict: str) -> int:
    return sum(finding.verdict == verdict for finding in findings)
