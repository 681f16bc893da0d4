"""What holds evaluations to a gate, apart from its options: it needs records, which an option's help does not."""

import json
from collections.abc import Sequence

import typer

from quantattack.cli.gate import Gate
from quantattack.record.record import Record
from quantattack.report import gate_files
from quantattack.report.gate import Case, cases, status
from quantattack.report.gate_files import WORDS


def hold(records: Sequence[Record], gate: Gate, quietly: bool = False) -> None:
    """Hold evaluations to a gate: print each case, write the files, and exit with what came out unless all passed.

    Arguments:
        records: The evaluations.
        gate: What they are held to.
        quietly: Whether to print on standard error, where standard output is JSON.

    Raises:
        InputError: If a file cannot be written.
        typer.Exit: With 1 where a worst case is below the gate, with 3 where one cannot be trusted.
    """
    if not gate.is_asked:
        return
    judged = cases(records, gate.floor, gate.on == "lower")
    _write(judged, gate)
    if gate.floor is None:
        return
    for case in judged:
        typer.echo(f"gate: {WORDS[case.outcome]}: {case.name}: {case.words}", err=quietly)
    if code := status(judged):
        raise typer.Exit(code)


def _write(judged: Sequence[Case], gate: Gate) -> None:
    if gate.junit is not None:
        gate_files.write_whole(gate.junit, gate_files.junit(judged))
    if gate.summary is not None:
        gate_files.append(gate.summary, gate_files.summary(judged))
    if gate.badge is not None:
        gate_files.write_whole(gate.badge, json.dumps(gate_files.badge(judged)) + "\n")
