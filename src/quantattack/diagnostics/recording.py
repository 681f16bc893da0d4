"""Write a diagnosis into a record: beside the evaluation that a folder holds, or with PGD's outcomes in a new one."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from quantattack.attacks.deployed import OnOutputs
from quantattack.attacks.threat import Threat
from quantattack.deployed.base import deployed_in
from quantattack.diagnostics.diagnose import Diagnosis
from quantattack.diagnostics.plain_pgd import plain_pgd
from quantattack.errors import InputError
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.run import run
from quantattack.evaluation.task import Task, prepare
from quantattack.record.description import describe, stable
from quantattack.record.file import FILE
from quantattack.record.findings import write_findings
from quantattack.record.identity import Identity
from quantattack.record.outcome import Subject
from quantattack.record.store import Store
from quantattack.types import Model

_ELSEWHERE = ("findings", "threat")  # fields of a diagnosis that the record holds in other tables


@torch.inference_mode(False)
def record_diagnosis(
    diagnosis: Diagnosis,
    folder: Path | str,
    model: Model,
    images: Any,
    labels: Any,
    threat: Threat,
    *,
    names: tuple[str, str] = ("model", "images"),
    seed: int = 0,
) -> Path:
    """Write a diagnosis into a folder's record, which is made where there is none, with plain PGD's outcomes.

    Arguments:
        diagnosis: The result of `diagnose`.
        folder: The folder of the record.
        model: The model that was diagnosed.
        images: Its images.
        labels: Their classes.
        threat: The threat, as it was given to `diagnose`; it is recorded with the levels that were searched.
        names: The model's and the data set's name in the record.
        seed: The seed of the diagnosis.

    Raises:
        InputError: If the folder's record is of another model, data set or threat.
    """
    threat = _searched(diagnosis, threat)
    subject = Subject(*names, stable(describe(threat)))
    if (Path(folder) / FILE).is_file():
        store = _opened(folder, subject, model_checksum(model))
    else:
        store = _new(folder, _task(model, images, labels, threat, names, seed), subject, seed)
    try:
        write_findings(store.connection, subject, diagnosis.findings)
        store.note(diagnosis={key: value for key, value in asdict(diagnosis).items() if key not in _ELSEWHERE})
    finally:
        store.close()
    return Path(folder)


def _searched(diagnosis: Diagnosis, threat: Threat) -> Threat:
    """Return the threat with the levels of the diagnosis, where it states none and is otherwise the same."""
    return diagnosis.threat if replace(diagnosis.threat, levels=None) == threat else threat


def _task(model: Model, images: Any, labels: Any, threat: Threat, names: tuple[str, str], seed: int) -> Task | None:
    """PGD on the same images; None where evaluation refuses the model because it returns probabilities."""
    deployed = deployed_in(model)
    plain = plain_pgd(threat)
    attack = plain if deployed is None or not deployed.softmax else OnOutputs(plain)  # what the diagnosis follows
    try:
        return prepare(model, images, labels, {"pgd": attack}, threat, seed=seed, names=names)
    except InputError:
        return None


def _new(folder: Path | str, task: Task | None, subject: Subject, seed: int) -> Store:
    about: Any = [subject.model, subject.data, subject.threat] if task is None else task.identity.to_json()
    store = Store.open(folder, {"subjects": [about], "seed": seed})
    if task is not None:
        run([task], store, [lambda name, done, total: None])  # noqa: ARG005
    store.finish()
    return store


def _opened(folder: Path | str, subject: Subject, checksum: str) -> Store:
    """Open a record for writing if it is of the same subject."""
    with_identity = Store.load(folder)
    identity, subjects = with_identity.identity, with_identity.subjects()
    with_identity.close()
    if subjects and subject not in subjects:
        raise InputError(
            f"{folder} holds no evaluation of {subject.model} on {subject.data} under this threat; choose another --out"
        )
    known = [(about.model, about.model_checksum) for about in Identity.from_json(identity).subjects or ()]
    if known and (subject.model, checksum) not in known:
        raise InputError(f"{folder} holds an evaluation of another {subject.model}; choose another --out")
    return Store.open(folder, identity)
