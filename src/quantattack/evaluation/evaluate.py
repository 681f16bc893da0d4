"""`evaluate`, the public call: attacks a model on images and returns a record."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict, overload

import torch
from typing_extensions import Unpack

from quantattack.attacks.arguments import takes
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble
from quantattack.data.sources import source_of
from quantattack.errors import InputError, guarded
from quantattack.evaluation.checks import ImageData, LabelData, check_attacks
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.pixels import usual_threat
from quantattack.evaluation.ray import Workers, executor
from quantattack.evaluation.reach import restored
from quantattack.evaluation.returned_images import ReturnedImages
from quantattack.evaluation.run import Receive, run
from quantattack.evaluation.task import KeepImages, Task, TaskSettings, prepare
from quantattack.gradients import is_twinned
from quantattack.progress import Advance, bar
from quantattack.record.identity import Identity
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.types import Images, Model

Attacks: TypeAlias = Attack | Mapping[str, Attack]  # an `Ensemble` is run as its members
AttackMaker: TypeAlias = Callable[[Threat], Attacks]
WithImages: TypeAlias = tuple[Record, dict[str, Images]]


class Settings(TypedDict, total=False):
    """The keyword arguments of `evaluate` that do not affect its return type."""

    name: str
    data: str
    seed: int
    batch_size: int | None
    out: Path | str | None
    progress: bool
    indices: LabelData
    workers: int | None
    ray_address: str | None
    gpus_per_worker: float
    speed: FastSearch | Sequence[str] | None
    part: tuple[int, int]
    keep_images: KeepImages
    grow: bool
    padding: bool
    targets: LabelData


@overload
def evaluate(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Attacks | AttackMaker,
    threat: Threat,
    *,
    return_images: Literal[False] = False,
    **settings: Unpack[Settings],
) -> Record: ...


@overload
def evaluate(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Attacks | AttackMaker,
    threat: Threat,
    *,
    return_images: Literal[True],
    **settings: Unpack[Settings],
) -> WithImages: ...


@overload
def evaluate(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Attacks | AttackMaker,
    threat: Sequence[Threat],
    *,
    return_images: Literal[False] = False,
    **settings: Unpack[Settings],
) -> list[Record]: ...


@overload
def evaluate(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Attacks | AttackMaker,
    threat: Sequence[Threat],
    *,
    return_images: Literal[True],
    **settings: Unpack[Settings],
) -> list[WithImages]: ...


@torch.inference_mode(False)
def evaluate(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Attacks | AttackMaker,
    threat: Threat | Sequence[Threat],
    *,
    name: str = "model",
    data: str = "images",
    seed: int = 0,
    batch_size: int | None = None,
    out: Path | str | None = None,
    progress: bool = False,
    indices: LabelData = None,
    workers: int | None = None,
    ray_address: str | None = None,
    gpus_per_worker: float = 0.0,
    speed: FastSearch | Sequence[str] | None = None,
    part: tuple[int, int] = (1, 1),
    keep_images: KeepImages = False,
    return_images: bool = False,
    grow: bool = False,
    padding: bool = True,
    targets: LabelData = None,
) -> Record | WithImages | list[Record] | list[WithImages]:
    """Attack every image with every attack and return the outcomes as a record.

    An image that the model misclassifies without an attack counts as broken.  The verdicts do not depend on the batch
    size or on the workers.  An interrupted run resumes from its folder `out`.

    For one threat it returns one `Record`, for several threats a list of them in their order.  With `return_images`
    each record comes as `(record, images)`, where `images[attack]` are the attacked images with the shape and order of
    the input; an image that was misclassified from the start is returned clean.

    Arguments:
        model: Maps images in [0, 1], with shape (n, ...), to logits with shape (n, k); in eval mode.
        images: Images with shape (n, ...), or a `Dataset` of (image, label), which is streamed.
        labels: True classes with shape (n,); None with a `Dataset`.
        attacks: One attack, recorded as "attack"; a mapping from names to attacks; a suite such as `standard(threat)`,
            whose members run separately under their names; or a function of the threat, such as `standard`.
        threat: The threat; an image outside it (by more than 1e-6 of the radius) does not count as broken.  Or several
            threats, which share one record; `attacks` is then a function of the threat.  A deployed model whose images
            are bytes is given 256 levels where the threat states none and `attacks` is a function of it.
        name: The model's name in the record.
        data: The data set's name in the record.
        seed: Seed of all random numbers of the run.
        batch_size: Images per batch; None to tune it during the run.
        out: Folder for the record; None keeps it in memory.
        progress: Whether to show a progress bar on standard error.
        indices: Indices of the images in their data set, with shape (n,), if they are a subset of it; 0 to n - 1 by
            default.
        workers: Number of Ray worker processes; None for this process, or all processors of the cluster at
            `ray_address`.
        ray_address: Address of a Ray cluster to join; None starts one on this machine if `workers` is above 1.
        gpus_per_worker: Fraction of a GPU that each worker reserves.
        speed: Speed options of the search, as a `FastSearch` or the names of its fields; the verdict is always that of
            the unmodified model.
        part: (i, m) to evaluate only the i-th of m parts, such as (2, 5); `quantattack merge` joins the parts.
        keep_images: Whether to save every attacked image in the record's folder; "png" for PNG files too.
        return_images: Whether to return every attacked image.
        grow: Whether an existing record may be extended by models, data sets, threats or attacks that it lacks.
        padding: Whether batches are padded with copies of an image, to row counts for which a model's logits are the
            same to the last bit however the images are cut into batches.  A model that takes one image at a time, or
            batches of `batch_size` alone, is shown these.
        targets: The class that each image is to reach, with shape (n,): only an image that ends as it counts as broken.

    Raises:
        InputError: If the model, the images, the labels, the attacks or the folder cannot be used, or an attack was
            built for a different threat.
    """
    if keep_images and out is None:
        raise InputError("keep_images saves the images beside the record; name its folder with out")
    settings: TaskSettings = {"names": (name, data), "seed": seed, "batch_size": batch_size, "indices": indices}
    settings.update({"part": part, "keep_images": keep_images, "return_images": return_images, "speed": _speed(speed)})
    settings.update({"padding": padding, "targets": targets})
    with restored(model):
        tasks = [_prepared(model, images, labels, attacks, each, settings) for each in _unique(threat)]
        ray_workers = Workers(workers, ray_address, gpus_per_worker)
        returned = ReturnedImages(tasks) if return_images else None
        receive = None if returned is None else returned.receive
        records = evaluate_tasks(tasks, out, grow=grow, progress=progress, workers=ray_workers, receive=receive)
        if returned is None:
            return records if isinstance(threat, Sequence) else records[0]
        pairs = [(record, returned.of(task, record)) for task, record in zip(tasks, records, strict=True)]
        return pairs if isinstance(threat, Sequence) else pairs[0]


def evaluate_tasks(
    tasks: Sequence[Task],
    out: Path | str | None = None,
    *,
    grow: bool = False,
    progress: bool = False,
    workers: Workers | None = None,
    receive: Receive | None = None,
) -> list[Record]:
    """Run several tasks into one record file and return a `Record` of each task.

    Arguments:
        tasks: Tasks from `prepare`, all with the same seed.
        out: Folder for the record; None keeps it in memory.
        grow: Whether an existing record may be extended by models, data sets, threats or attacks that it lacks.
        progress: Whether to show a progress bar on standard error.
        workers: Ray workers that share the work; None to work in this process.
        receive: Called with each cell and result, after its outcomes are written.

    Raises:
        InputError: If the folder or the workers cannot be used.
    """
    store = Store.open(out, run_identity(tasks), grow)
    with store.writing(), ExitStack() as stack:
        runner = stack.enter_context(executor(workers or Workers()))
        advance = stack.enter_context(bar(progress))
        return run(tasks, store, [_labeled(task, len(tasks), advance) for task in tasks], runner, receive=receive)


def run_identity(tasks: Sequence[Task]) -> Identity:
    """Return the identity of a run: only a run of the same identity may resume a record."""
    return Identity(tuple(task.identity for task in tasks), tasks[0].seed)


def _prepared(
    model: Model,
    images: ImageData,
    labels: LabelData,
    attacks: Attacks | AttackMaker,
    threat: Threat,
    settings: TaskSettings,
) -> Task:
    """Prepare one task; what makes its attacks from the threat is given the grid that is usual for the model."""
    if _is_maker(attacks) and isinstance(threat, Threat) and is_twinned(model):
        threat = usual_threat(model, source_of(images, labels, threat.low, threat.high), threat)
    return prepare(model, images, labels, named_attacks(attacks, threat), threat, **settings)


def _is_maker(attacks: object) -> bool:
    """Return whether `attacks` is a function of a threat that makes attacks."""
    if isinstance(attacks, Mapping | Ensemble | type) or not callable(attacks):
        return False
    return not takes(attacks, 3) and not takes(attacks, 6) and takes(attacks, 1)


def named_attacks(attacks: Attacks | AttackMaker, threat: Threat) -> Mapping[str, Attack]:
    """Return attacks by name, from any form that `evaluate` accepts: an attack, suite, mapping or function of a threat.

    The forms are told apart by their number of arguments: six for an attack, three for one of another library, and
    one for a function of a threat.

    Raises:
        InputError: If `attacks` has none of these forms.
    """
    if isinstance(attacks, Mapping):
        return attacks
    if isinstance(attacks, Ensemble):
        return attacks.attacks
    if isinstance(attacks, type) or not callable(attacks):
        check_attacks(attacks)
    if _is_maker(attacks):
        maker: AttackMaker = attacks  # type: ignore[assignment]
        with guarded("the function that makes the attacks"):
            made = maker(threat)
        return named_attacks(made, threat)
    return {"attack": attacks}  # type: ignore[dict-item]


def _speed(speed: FastSearch | Sequence[str] | None) -> FastSearch:
    if isinstance(speed, FastSearch):
        return speed
    return FastSearch() if speed is None else FastSearch.named(list(speed))


def _unique(threat: Threat | Sequence[Threat]) -> list[Threat]:
    """Return the threats as a list; raise `InputError` if it is empty or has duplicates."""
    threats = list(threat) if isinstance(threat, Sequence) else [threat]
    if not threats:
        raise InputError("there is no threat; give one, such as Threat(Linf(), 8 / 255), or several")
    if len({repr(each) for each in threats}) < len(threats):
        raise InputError("two of the threats are the same; give each once")
    return threats


def _labeled(task: Task, tasks: int, advance: Advance) -> Advance:
    """Return a progress callback that puts the task's model and radius before the attack if there are several tasks."""
    prefix = "" if tasks == 1 else f"{task.subject.model} {task.threat.radius:.4g} "
    return partial(_advance_labeled, advance, prefix)


def _advance_labeled(advance: Advance, prefix: str, name: str, done: int, total: int) -> None:
    advance(prefix + name, done, total)
