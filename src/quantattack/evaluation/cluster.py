"""A run spread over the workers of a Ray cluster; the driver alone writes the record."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from quantattack.errors import InputError, check_count
from quantattack.evaluation.shards import Parcel, Shard, parcel, work
from quantattack.evaluation.task import Task

_RETRIES = 20  # of a shard whose worker died
_AHEAD = 2  # shards for each worker that are sent before they are needed
_OPEN: dict[str, Task] = {}  # in a worker: the jobs that it has unpacked


@dataclass(frozen=True)
class Workers:
    """How a run is spread.

    Arguments:
        count: How many shards are worked on at once; None for as many as the cluster has processors.
        address: A cluster to join, as Ray names it; None starts one on this machine.
        gpus: Share of a GPU that each worker asks for.
    """

    count: int | None = None
    address: str | None = None
    gpus: float = 0.0


class Pool:
    """The workers of a cluster that was started or joined."""

    def __init__(self, ray: Any, settings: Workers) -> None:
        self._ray, self._settings = ray, settings
        options = {"num_cpus": 1, "num_gpus": settings.gpus, "max_retries": _RETRIES}
        self._task = ray.remote(**options)(_do)
        self._parcels: list[Any] = []
        self._run = ""

    @property
    def count(self) -> int:
        """How many work at once; a cluster may grow and shrink meanwhile."""
        there = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return min(there, self._settings.count) if self._settings.count else there

    def send(self, jobs: Sequence[Task]) -> None:
        """Put the jobs where every machine takes them from, once."""
        self._parcels = [self._ray.put(parcel(job)) for job in jobs]
        self._run = os.urandom(8).hex()  # a worker that outlives one run must not take its jobs for those of the next

    def results(self, shards: Iterable[Shard]) -> Iterator[tuple[Shard, Any]]:
        """Return what comes of the shards, as they are done.

        Raises:
            InputError: If a worker refuses its input, or dies again and again.
        """
        waiting, sent = iter(shards), dict[Any, Shard]()
        while True:
            while len(sent) < _AHEAD * self.count and (shard := next(waiting, None)) is not None:
                key = f"{self._run}-{shard.job}"
                sent[self._task.remote(key, [self._parcels[shard.job]], shard)] = shard
            if not sent:
                return
            done, _ = self._ray.wait(list(sent), num_returns=1)
            for ref in done:
                yield sent.pop(ref), self._got(ref)

    def _got(self, ref: Any) -> Any:
        failures = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except failures.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from None
            raise
        except failures.RayError as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"a worker died {_RETRIES} times on the same images: {reason}") from None


def _do(key: str, parcels: Sequence[Any], shard: Shard) -> Any:
    """Do a shard in a worker, which unpacks each job once."""
    import ray
    import torch

    torch.set_num_threads(1)  # as many workers as processors share a machine
    if key not in _OPEN:
        sent: Parcel = ray.get(parcels[0])
        _OPEN[key] = sent.opened()
    return work(_OPEN[key], shard)


@contextmanager
def pool(settings: Workers) -> Iterator[Pool]:
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
        yield Pool(ray, settings)
    finally:
        ray.shutdown()


def _start(settings: Workers) -> dict[str, Any]:
    common = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
    if settings.address is not None:
        return {**common, "address": settings.address}
    return {**common, "num_cpus": settings.count, "include_dashboard": False}
