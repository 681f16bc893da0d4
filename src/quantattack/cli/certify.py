"""What `certify` does: attacks, proofs, and complete search where neither decides."""

import typer

from quantattack.certification.exact import MISSING
from quantattack.certification.extra import has_solvers
from quantattack.cli.evaluate import part_named, run_tasks
from quantattack.cli.run_file import RunFile
from quantattack.cli.tasks import tasks_of
from quantattack.evaluation.certify import with_exact
from quantattack.evaluation.ray import Workers
from quantattack.record.bounds import OPEN


def certify_plan(plan: RunFile, seconds: float, part: str, progress: bool) -> None:
    """Run what the record of a plan lacks, complete search last, and print its numbers.

    Arguments:
        plan: The models, data sets, threats and attacks before.
        seconds: Time for the complete search of an image.
        part: Which part of the images, such as 2/5.
        progress: Whether to show a progress bar.
    """
    tasks = [with_exact(task, seconds) for task in tasks_of(plan, part_named(part))]
    records = run_tasks(tasks, plan.out, progress=progress, workers=Workers(plan.workers))
    is_open = any(bound.verdict == OPEN for record in records for bound in record.bounds.values())
    if is_open and not has_solvers():
        typer.echo(MISSING)
