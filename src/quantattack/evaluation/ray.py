"""An executor on the workers of a Ray cluster: they load each task once, and take pieces of its cells."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source
from quantattack.errors import InputError, check_count
from quantattack.evaluation.batching import BatchLimits, BatchSizer
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.executors import Executor, Serial, Work
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.judge import ROOM
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.task import Task, with_faster_models
from quantattack.record.identity import SubjectIdentity
from quantattack.types import Indices, Model

_RETRIES = 20  # of a piece whose worker died
_AHEAD = 2  # pieces for each worker that are sent before they are needed
_LEFT = 3  # pieces of the present size that are left for each worker: they shrink, and nobody waits long at the end
_LEAST = 16  # images of a piece
_LOADED: dict[str, Task] = {}  # in a worker: the tasks that it has loaded
_SIZERS: dict[tuple[str, str], BatchSizer] = {}  # in a worker: each task's batch sizes, by attack

Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """How a run is spread.

    Arguments:
        count: How many pieces are worked on at once; None for as many as the cluster has processors.
        address: A cluster to join, as Ray names it; None starts one on this machine.
        gpus: Share of a GPU that each worker asks for.
    """

    count: int | None = None
    address: str | None = None
    gpus: float = 0.0


@dataclass(frozen=True, eq=False)
class Given:
    """Makes a model that has no name, by carrying it along.

    Arguments:
        model: The model.
    """

    model: Model

    def __call__(self) -> Model:
        return self.model


@dataclass(frozen=True, eq=False)
class SentTask:
    """A task as it is sent to workers, once: the model is loaded, or unpacked, where it is used.

    Arguments:
        make: Makes the model.
        source: The images.
        attacks: The attacks by name, with what was fitted by the driver.
        threat: The judge's threat.
        seed: The run's seed.
        limits: The batch sizes that each attack may begin with and try.
        index: The images' indices.
        identity: What is attacked, with its checksums.
        send_images: Whether the attacked images are sent back.
        speed: How the search may differ.
        path: The driver's import path.
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

    def load(self) -> Task:
        """Return the task, in the process that works on it."""
        sys.path.extend(place for place in self.path if place not in sys.path)
        about = (self.source, self.attacks, self.threat, self.seed, self.limits, self.index, self.identity)
        task = Task(CountedModel(self.make()), *about, return_images=self.send_images, speed=self.speed)
        return with_faster_models(task)


def sent(task: Task) -> SentTask:
    """Return a task as it is sent to workers."""
    about = (task.source, task.attacks, task.threat, task.seed, task.limits, task.index, task.identity)
    send_images = task.keep_images or task.return_images
    return SentTask(task.make or Given(task.model.model), *about, send_images, task.speed, tuple(sys.path))


def cut(positions: Sequence[int], size: int, workers: int) -> Iterator[tuple[int, ...]]:
    """Cut a cell's images into pieces: several batches each where many are left, ever fewer towards the end.

    Arguments:
        positions: What is to be done.
        size: Images attacked at once.
        workers: How many share the work.
    """
    first = 0
    while first < len(positions):
        even = (len(positions) - first) // (_LEFT * workers) // _LEAST * _LEAST
        count = max(_LEAST, min(ROOM * size, even))
        yield tuple(positions[first : first + count])
        first += count


class RayExecutor:
    """The workers of a cluster that was started or joined.

    Arguments:
        ray: The module.
        settings: How the run is spread.
    """

    def __init__(self, ray: Any, settings: Workers) -> None:
        self._ray, self._settings = ray, settings
        options = {"num_cpus": 1, "num_gpus": settings.gpus, "max_retries": _RETRIES}
        self._remote = ray.remote(**options)(_do)
        self._sent: dict[Task, tuple[str, Any]] = {}

    @property
    def count(self) -> int:
        """How many work at once; a cluster may grow and shrink meanwhile."""
        there = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return min(there, self._settings.count) if self._settings.count else there

    def notes(self) -> dict[str, int]:
        """Return how many worked at once."""
        return {"workers": self.count}

    def map(self, work: Work[Result], cells: Iterable[Cell]) -> Iterator[tuple[Cell, Result]]:
        """Hand pieces of the cells to the workers, and give back what comes of them as they are done.

        Raises:
            InputError: If a worker refuses its input, or dies again and again.
        """
        waiting, running = self._pieces(cells), dict[Any, Cell]()
        while True:
            while len(running) < _AHEAD * self.count and (piece := next(waiting, None)) is not None:
                cell, positions = piece
                key, reference = self._send(cell.task)
                running[self._remote.remote(key, [reference], work, cell.attack, positions)] = cell
            if not running:
                return
            done, _ = self._ray.wait(list(running), num_returns=1)
            for reference in done:
                cell = running.pop(reference)
                yield from ((cell, result) for result in self._results(reference))

    def _pieces(self, cells: Iterable[Cell]) -> Iterator[tuple[Cell, tuple[int, ...]]]:
        for cell in cells:
            whole = [tuple(cell.positions)] if cell.positions else []
            pieces = whole if cell.needs_all else cut(cell.positions, cell.sizer.size, self.count)
            yield from ((cell, positions) for positions in pieces)

    def _send(self, task: Task) -> tuple[str, Any]:
        """Put a task where every machine takes it from, once, under a key that no other run has used."""
        if task not in self._sent:
            self._sent[task] = os.urandom(8).hex(), self._ray.put(sent(task))
        return self._sent[task]

    def _results(self, reference: Any) -> Any:
        failures = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except failures.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from None
            raise
        except failures.RayError as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"a worker died {_RETRIES} times on the same images: {reason}") from None


def _do(key: str, references: Sequence[Any], work: Work[Result], name: str, positions: Sequence[int]) -> list[Result]:
    """Do the work on a piece in a worker, which loads each task once."""
    import ray
    import torch

    torch.set_num_threads(1)  # as many workers as processors share a machine
    if key not in _LOADED:
        task: SentTask = ray.get(references[0])
        _LOADED[key] = task.load()
    loaded = _LOADED[key]
    sizer = _SIZERS.setdefault((key, name), loaded.limits.sizer())
    return list(work(loaded, name, positions, sizer, None))


@contextmanager
def executor(settings: Workers) -> Iterator[Executor]:
    """Return this process alone, or the workers of a cluster where more than one, or a cluster, is asked for."""
    if settings.address is None and settings.count in (None, 1):
        yield Serial()
        return
    with cluster(settings) as workers:
        yield workers


@contextmanager
def cluster(settings: Workers) -> Iterator[RayExecutor]:
    """Start or join a cluster, and leave it at the end.

    Raises:
        InputError: If Ray is not installed, or there is no cluster at the address.
    """
    if settings.count is not None:
        check_count("--workers", settings.count)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # the workers are the run, not something beside it
    try:
        import ray
    except ImportError:
        raise InputError("--workers needs Ray, which is not installed: pip install 'quantattack[ray]'") from None
    try:
        ray.init(**_start(settings))
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"no Ray cluster at {settings.address or 'this machine'}: {reason}") from None
    try:
        yield RayExecutor(ray, settings)
    finally:
        ray.shutdown()


def _start(settings: Workers) -> dict[str, Any]:
    common = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
    if settings.address is not None:
        return {**common, "address": settings.address}
    return {**common, "num_cpus": settings.count, "include_dashboard": False}
