"""`certify`, the public call: attacks, bounds and complete search, for robust accuracy from both sides."""

from dataclasses import replace

from typing_extensions import Unpack

from quantattack.attacks.arguments import check_threat
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat
from quantattack.certification.exact import Exact
from quantattack.certification.extra import has_solvers
from quantattack.certification.program import program_of
from quantattack.data.sources import source_of
from quantattack.errors import InputError
from quantattack.evaluation.checks import ImageData, LabelData
from quantattack.evaluation.evaluate import AttackMaker, Attacks, Settings, evaluate, named_attacks
from quantattack.evaluation.task import Task
from quantattack.record.description import describe
from quantattack.record.record import Record
from quantattack.types import Model

EXACT = "exact"


def certify(
    model: Model,
    images: ImageData,
    labels: LabelData,
    threat: Threat,
    *,
    seconds: int | float = 10.0,
    attacks: Attacks | AttackMaker = standard,
    complete: bool | None = None,
    **settings: Unpack[Settings],
) -> Record:
    """Attack every image, prove what the attacks left, and search completely where neither decides.

    The record's `bracket` is robust accuracy from both sides: the share of the images that are proved robust, and the
    worst case over the attacks and over what complete search broke.  It is run, continued, cut and merged as any other
    evaluation; complete search is its last attack, `exact`.

    Arguments:
        model: A network whose modules have bounds, in eval mode, that maps images in [0, 1] to logits.
        images: Images with shape (n, ...), or a `Dataset` of (image, label).
        labels: True classes with shape (n,); None with a `Dataset`.
        threat: The threat; with levels the pixels too are exact.
        seconds: Time for the complete search of an image, in the solver's deterministic measure.
        attacks: The attacks before, in any form that `evaluate` takes.
        complete: Whether to search completely, or to bound alone; None where the extra `certify` is installed.
        settings: The keyword arguments of `evaluate`.

    Raises:
        InputError: If a module of the model has no bound, or as `evaluate` does.
    """
    check_threat(threat)
    program_of(model, source_of(images, labels, threat.low, threat.high).take([0])[0])
    chosen = {**named_attacks(attacks, threat), EXACT: exact_for(threat, seconds, complete)}
    return evaluate(model, images, labels, chosen, threat, **settings)


def exact_for(threat: Threat, seconds: int | float, complete: bool | None = None) -> Exact:
    """Return the attack `exact`; it searches completely where the solvers are installed, unless told otherwise.

    Raises:
        InputError: If complete search is asked for and not installed.
    """
    if complete and not has_solvers():
        raise InputError("complete search is not installed: pip install 'quantattack[certify]', or give complete=False")
    return Exact(threat, seconds, has_solvers() if complete is None else complete)


def with_exact(task: Task, seconds: int | float) -> Task:
    """Return a task whose last attack is complete search.

    Arguments:
        task: A task of other attacks.
        seconds: Time for an image.

    Raises:
        InputError: If a module of its model has no bound.
    """
    program_of(task.model, task.source.take([0])[0])
    exact = exact_for(task.threat, seconds)
    described = {**task.identity.attacks, EXACT: describe(exact)}
    return replace(task, attacks={**task.attacks, EXACT: exact}, identity=replace(task.identity, attacks=described))
