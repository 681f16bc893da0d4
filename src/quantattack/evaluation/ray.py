"""The Ray executor: workers load each task once, and process chunks of its cells' images."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source
from quantattack.deployed import adopted
from quantattack.errors import InputError, check_count, one_line
from quantattack.evaluation.batching import BatchLimits, BatchSizer
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.executors import Executor, Serial, Work
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.judge import ROOM
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.task import Task, with_faster_models
from quantattack.record.identity import SubjectIdentity
from quantattack.types import Indices, Model

_RETRIES = 20  # of a chunk whose worker died
_QUEUED = 2  # chunks in flight per worker, so that no worker waits for its next one
_SHARE = 3  # a chunk is at most 1/3 of a worker's share of the remaining images, so that all end at about the same time
_SMALLEST = 16  # images of a chunk
_LOADED: dict[str, Task] = {}  # in a worker process: loaded tasks by key
_SIZERS: dict[tuple[str, str], BatchSizer] = {}  # in a worker process: batch sizers by task key and attack name

Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """The worker processes of a run.

    Arguments:
        count: Number of workers; None for one per processor of the cluster.
        address: Ray address of a cluster to join; None starts one on this machine.
        gpus: Fraction of a GPU that each worker reserves.
    """

    count: int | None = None
    address: str | None = None
    gpus: float = 0.0


@dataclass(frozen=True, eq=False)
class Given:
    """A model factory that returns a given model, for models that workers cannot build by name.

    Arguments:
        model: The model; it is pickled along.
    """

    model: Model

    def __call__(self) -> Model:
        return self.model


@dataclass(frozen=True, eq=False)
class SentTask:
    """A picklable task, sent to the workers once; each worker builds the model itself.

    Arguments:
        make: Builds the model.
        source: The images and labels.
        attacks: The attacks by name, with any state that the driver has fitted.
        threat: The judge's threat.
        seed: The run's seed.
        limits: The initial and the largest batch size.
        index: Indices of the images in their data set.
        identity: What is attacked, with its checksums.
        send_images: Whether workers send the attacked images back.
        speed: The speed options of the search.
        path: The driver's `sys.path`.
        rows: Rows of every call of the model; see `CountedModel`.
    """

    make: Callable[[], Model]
    source: Source
    attacks: Mapping[str, Attack]
    threat: Threat
    seed: int
    limits: BatchLimits
    index: Indices
    identity: SubjectIdentity
    send_images: bool
    speed: FastSearch
    path: tuple[str, ...]
    rows: int | None = None

    def load(self) -> Task:
        """Build the task in a worker process."""
        sys.path.extend(folder for folder in self.path if folder not in sys.path)
        about = (self.source, self.attacks, self.threat, self.seed, self.limits, self.index, self.identity)
        model = CountedModel(adopted(self.make()), rows=self.rows)
        task = Task(model, *about, return_images=self.send_images, speed=self.speed)
        return with_faster_models(task)


def sent(task: Task) -> SentTask:
    """Return the picklable form of a task."""
    about = (task.source, task.attacks, task.threat, task.seed, task.limits, task.index, task.identity)
    send_images = bool(task.keep_images) or task.return_images
    make, path = task.make or Given(task.model.model), tuple(sys.path)
    return SentTask(make, *about, send_images, task.speed, path, task.model.rows)


def cut(positions: Sequence[int], size: int, workers: int) -> Iterator[tuple[int, ...]]:
    """Split a cell's images into chunks: several batches each at first, fewer and fewer towards the end.

    Arguments:
        positions: Positions of the images to process.
        size: Batch size in images.
        workers: Number of workers that share the chunks.
    """
    first = 0
    while first < len(positions):
        share = (len(positions) - first) // (_SHARE * workers) // _SMALLEST * _SMALLEST
        count = max(_SMALLEST, min(ROOM * size, share))
        yield tuple(positions[first : first + count])
        first += count


class RayExecutor:
    """Runs cells on the workers of a Ray cluster.

    Arguments:
        ray: The imported `ray` module, after `ray.init`.
        settings: The workers of the run.
    """

    def __init__(self, ray: Any, settings: Workers) -> None:
        self._ray, self._settings = ray, settings
        options = {"num_cpus": 1, "num_gpus": settings.gpus, "max_retries": _RETRIES}
        self._remote = ray.remote(**options)(_process_chunk)
        self._sent: dict[Task, tuple[str, Any]] = {}

    @property
    def count(self) -> int:
        """The number of workers now; a cluster may grow and shrink during the run."""
        available = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return min(available, self._settings.count) if self._settings.count else available

    def notes(self) -> dict[str, int]:
        """Return the number of workers."""
        return {"workers": self.count}

    def map(self, work: Work[Result], cells: Iterable[Cell]) -> Iterator[tuple[Cell, Result]]:
        """Send chunks of the cells to the workers, and yield each cell with each result as chunks finish.

        Raises:
            InputError: If a worker raises it, or workers die repeatedly on the same chunk.
        """
        waiting, running = self._chunks(cells), dict[Any, Cell]()
        while True:
            while len(running) < _QUEUED * self.count and (chunk := next(waiting, None)) is not None:
                cell, positions = chunk
                key, reference = self._send(cell.task)
                running[self._remote.remote(key, [reference], work, cell.attack, positions)] = cell
            if not running:
                return
            done, _ = self._ray.wait(list(running), num_returns=1)
            for reference in done:
                cell = running.pop(reference)
                yield from ((cell, result) for result in self._results(reference))

    def _chunks(self, cells: Iterable[Cell]) -> Iterator[tuple[Cell, tuple[int, ...]]]:
        for cell in cells:
            whole = [tuple(cell.positions)] if cell.positions else []
            chunks = (
                whole if cell.needs_all else cut(cell.positions, max(1, cell.sizer.images(ROOM) // ROOM), self.count)
            )
            yield from ((cell, positions) for positions in chunks)

    def _send(self, task: Task) -> tuple[str, Any]:
        """Put a task in Ray's object store on first use; return a key that no other run uses and the reference."""
        if task not in self._sent:
            self._sent[task] = os.urandom(8).hex(), self._ray.put(sent(task))
        return self._sent[task]

    def _results(self, reference: Any) -> Any:
        """Return a chunk's results; raise the worker's `InputError`, or one that says that workers keep dying."""
        failures = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except failures.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from None
            raise
        except failures.RayError as error:
            reason = one_line(error)[:160]
            raise InputError(f"a worker died {_RETRIES} times on the same images: {reason}") from None


def _process_chunk(
    key: str, references: Sequence[Any], work: Work[Result], name: str, positions: Sequence[int]
) -> list[Result]:
    """Apply `work` to a chunk in a worker process, which loads each task once.

    The reference to the task comes in a list, so that Ray does not fetch the task before it is needed.
    """
    import ray
    import torch

    torch.set_num_threads(1)  # there are as many workers as processors
    if key not in _LOADED:
        task: SentTask = ray.get(references[0])
        _LOADED[key] = task.load()
    loaded = _LOADED[key]
    sizer = _SIZERS.setdefault((key, name), loaded.limits.sizer())
    return list(work(loaded, name, positions, sizer, None))


@contextmanager
def executor(settings: Workers) -> Iterator[Executor]:
    """Yield the executor of a run: Ray if several workers or a cluster are asked for, else this process."""
    if settings.address is None and settings.count in (None, 1):
        yield Serial()
        return
    with cluster(settings) as workers:
        yield workers


@contextmanager
def cluster(settings: Workers) -> Iterator[RayExecutor]:
    """Start or join a Ray cluster, and disconnect from it when the context ends.

    Raises:
        InputError: If Ray is not installed, or no cluster answers at the address.
    """
    if settings.count is not None:
        check_count("--workers", settings.count)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # do not lower the workers' priority
    try:
        import ray
    except ImportError:
        raise InputError("--workers needs Ray, which is not installed: pip install 'quantattack[ray]'") from None
    try:
        ray.init(**_init_arguments(settings))
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = one_line(error)[:160]
        raise InputError(f"no Ray cluster at {settings.address or 'this machine'}: {reason}") from None
    try:
        yield RayExecutor(ray, settings)
    finally:
        ray.shutdown()


def _init_arguments(settings: Workers) -> dict[str, Any]:
    common = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
    if settings.address is not None:
        return {**common, "address": settings.address}
    return {**common, "num_cpus": settings.count, "include_dashboard": False}
