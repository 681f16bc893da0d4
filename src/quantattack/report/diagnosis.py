"""A diagnosis for the report: the verdict of each check in words, with its evidence and advice."""

from collections.abc import Sequence
from dataclasses import dataclass

from quantattack.record.findings import Finding, read_findings
from quantattack.record.outcome import Subject
from quantattack.record.record import Record
from quantattack.record.store import Store

ORDER = {"fail": 0, "cannot tell": 1, "pass": 2}
SIGNS = {"fail": "✗", "cannot tell": "?", "pass": "✓"}  # together with the word: neither color nor shape alone says it


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of one evaluation.

    Arguments:
        headline: Whether the robust accuracy can be trusted, and how many checks say so.
        trusted: Whether no check failed.
        findings: The findings, those that failed first.
        passes: Forward and backward passes spent per image.
    """

    headline: str
    trusted: bool
    findings: tuple[Finding, ...]
    passes: float


def diagnosis(record: Record) -> Diagnosis | None:
    """Return the diagnosis of an evaluation, None where there was none."""
    return summed(read_findings(record.store.connection, record.subject))


def elsewhere(store: Store) -> list[tuple[Subject, Diagnosis]]:
    """Return the diagnoses without an evaluation: of models that no attack could be run on."""
    connection, evaluated = store.connection, set(store.subjects())
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'diagnosis'").fetchone():
        return []
    rows = connection.execute("SELECT model, data, threat FROM diagnosis GROUP BY 1, 2, 3 ORDER BY min(rowid)")
    diagnoses = [(subject, summed(read_findings(connection, subject))) for subject in (Subject(*row) for row in rows)]
    return [(subject, known) for subject, known in diagnoses if known is not None and subject not in evaluated]


def summed(findings: Sequence[Finding]) -> Diagnosis | None:
    """Return the diagnosis of some findings, those that failed first; None without any."""
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
