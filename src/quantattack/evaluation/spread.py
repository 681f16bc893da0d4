"""The driver of a run on many workers: it hands out shards, writes every outcome, and judges nothing itself."""

import time
from collections.abc import Iterator, Sequence

from quantattack.attacks.base import needs_all
from quantattack.evaluation.cluster import Pool
from quantattack.evaluation.judge import Clean, joined
from quantattack.evaluation.run import begin_cell, cells_of, check_same, close, keep, lacking, write_whole
from quantattack.evaluation.shards import Shard, cut
from quantattack.evaluation.task import Task
from quantattack.progress import Advance
from quantattack.record.store import Record, Store


def spread(jobs: Sequence[Task], store: Store, pool: Pool, advances: Sequence[Advance]) -> list[Record]:
    """Run what a store lacks of some jobs on the workers of a pool; the verdicts are those of one process.

    Arguments:
        jobs: The jobs.
        store: The record, which this process alone writes.
        pool: The workers.
        advances: What is told of each job's progress.
    """
    started = time.time()
    cells = [cells_of(job, store) for job in jobs]
    pool.send(jobs)
    clean = _predictions(jobs, pool, advances)
    for job, known in zip(jobs, clean, strict=True):
        check_same(job, store, known)
    todo = {
        (number, name): lacking(job, store, cells[number][name])
        for number, job in enumerate(jobs)
        for name in job.attacks
    }
    left = {(at, name): int(clean[at].right[positions].sum()) for (at, name), positions in todo.items()}
    shards = _shards(jobs, store, cells, todo, clean, pool)
    for shard, found in pool.results(shards):
        assert shard.attack is not None
        job, at = jobs[shard.job], (shard.job, shard.attack)
        cell = cells[shard.job][shard.attack]
        if needs_all(job.attacks[shard.attack]):
            write_whole(job, store, cell, found, clean[shard.job])
        else:
            keep(store, cell, found)
        left[at] = max(0, left[at] - len(found.outcomes))
        advances[shard.job](shard.attack, len(job.source) - left[at], len(job.source))
    records = [close(job, store, known) for job, known in zip(jobs, clean, strict=True)]
    store.note(seconds=round(store.notes.get("seconds", 0.0) + time.time() - started, 3), workers=pool.count)
    return records


def _predictions(jobs: Sequence[Task], pool: Pool, advances: Sequence[Advance]) -> list[Clean]:
    shards = (
        shard
        for number, job in enumerate(jobs)
        for shard in cut(number, None, range(len(job.source)), job.pace.size, pool.count)
    )
    found: dict[Shard, Clean] = {}
    done = [0] * len(jobs)
    for shard, part in pool.results(shards):
        found[shard] = part
        done[shard.job] += len(shard.positions)
        advances[shard.job]("clean", done[shard.job], len(jobs[shard.job].source))
    order = sorted(found, key=lambda shard: shard.positions)
    return [joined([found[shard] for shard in order if shard.job == number]) for number in range(len(jobs))]


def _shards(
    jobs: Sequence[Task],
    store: Store,
    cells: Sequence[dict[str, int]],
    todo: dict[tuple[int, str], list[int]],
    clean: Sequence[Clean],
    pool: Pool,
) -> Iterator[Shard]:
    """Hand out what is left of every attack; what was wrong from the start is written before."""
    for (number, name), positions in todo.items():
        job = jobs[number]
        if needs_all(job.attacks[name]):
            if positions:
                yield Shard(number, name, tuple(range(len(job.source))))
            continue
        right = begin_cell(job, store, cells[number][name], positions, clean[number])
        yield from cut(number, name, right, job.pace.size, pool.count)
