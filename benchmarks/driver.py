"""What the driver of many workers spends on an outcome, and so how many outcomes a second one driver can take.

    python benchmarks/driver.py            # writes results/speed/driver.json; needs Ray

The workers do nothing: they send back outcomes that are made up, in shards of 320, as of an attack on CIFAR-10 images.
The driver hands out shards, takes them back through Ray, and writes the record on this disk.
"""

import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from quantattack.evaluation.batching import BatchLimits, BatchSizer
from quantattack.evaluation.cells import Cell, keep
from quantattack.evaluation.clean import Clean
from quantattack.evaluation.judge import Attacked, Cost
from quantattack.evaluation.ray import RayExecutor, Workers, cluster
from quantattack.evaluation.task import Task
from quantattack.record.description import stable
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store

OUT = Path(__file__).parents[1] / "results" / "speed" / "driver.json"
EACH, SHARDS = 320, 200


def made_up(key: str, references: Any, work: Any, name: str, positions: Any) -> list[Attacked]:  # noqa: ARG001
    """Stand for a worker's work."""
    outcomes = [Outcome(at, 1, 1, 2, -0.5, 0.03, 3, 0, 20.0, 20.0, 0.01, inside=True) for at in positions]
    return [Attacked(positions, outcomes, Cost(20, 20, 0.01))]


class Stub(RayExecutor):
    """An executor that sends no task along."""

    def _send(self, task: Task) -> tuple[str, Any]:  # noqa: ARG002
        return "", None


def main() -> None:
    clean = Clean(*(np.ones(EACH * SHARDS, dtype=int) for _ in range(4)), random=False)
    task: Any = SimpleNamespace(keep_images=False, limits=BatchLimits(EACH // 4, EACH // 4))
    with tempfile.TemporaryDirectory() as place, cluster(Workers(1)):
        import ray

        stub = Stub(ray, Workers(1))
        stub._remote = ray.remote(num_cpus=1)(made_up)
        store = Store.open(Path(place) / "run", {"subjects": [], "seed": 0})
        row = store.cell(Subject("m", "d", stable({"norm": "Linf"})), "pgd", {}, EACH * SHARDS)
        cell = Cell(task, "pgd", row, BatchSizer(EACH // 4), range(EACH * SHARDS))
        list(stub.map(made_up, [replace(cell, positions=range(2 * EACH))]))  # the worker is up
        wall, own = time.perf_counter(), time.process_time()
        take(stub, cell, store, clean)
        wall, own = time.perf_counter() - wall, time.process_time() - own
        store.close()
    outcomes = EACH * SHARDS
    found = {
        "outcomes": outcomes,
        "outcomes in a shard": EACH,
        "driver's processor seconds an outcome": round(own / outcomes, 8),
        "wall seconds an outcome": round(wall / outcomes, 8),
        "outcomes a second by the driver's processor time": round(outcomes / own),
        "processors": os.cpu_count(),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


def take(workers: RayExecutor, cell: Cell, store: Store, clean: Clean) -> None:
    """Take and write, as the driver does."""
    for done, result in workers.map(made_up, [cell]):
        keep(done, store, result, clean)


if __name__ == "__main__":
    main()
