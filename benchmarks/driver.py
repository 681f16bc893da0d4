"""What the driver of many workers spends on an outcome, and so how many outcomes a second one driver can take.

    python benchmarks/driver.py            # writes results/speed/driver.json; needs Ray

The workers do nothing: they send back outcomes that are made up, in shards of 320, as of an attack on CIFAR-10 images.
The driver hands out shards, takes them back through Ray, and writes the record on this disk.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from quantattack.evaluation.cluster import Pool, Workers, pool
from quantattack.evaluation.judge import Attacked
from quantattack.evaluation.run import keep
from quantattack.evaluation.shards import Shard
from quantattack.record.description import stable
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store

OUT = Path(__file__).parents[1] / "results" / "speed" / "driver.json"
EACH, SHARDS = 320, 200


def made_up(key: str, parcels: Any, shard: Shard) -> Attacked:  # noqa: ARG001
    """Stand for a worker's work."""
    return Attacked([Outcome(at, 1, 1, 2, -0.5, 0.03, 3, 0, 20.0, 20.0, 0.01, inside=True) for at in shard.positions])


def main() -> None:
    shards = [Shard(0, "pgd", tuple(range(EACH * n, EACH * (n + 1)))) for n in range(SHARDS)]
    with tempfile.TemporaryDirectory() as place, pool(Workers(1)) as workers:
        import ray

        stub = ray.remote(num_cpus=1)(made_up)
        workers._task, workers._parcels = stub, [None]
        list(workers.results(shards[:2]))  # the worker is up
        store = Store.open(Path(place) / "run", {"subjects": [], "seed": 0})
        cell = store.cell(Subject("m", "d", stable({"norm": "Linf"})), "pgd", {}, EACH * SHARDS)
        wall, own = time.perf_counter(), time.process_time()
        spread(workers, shards, store, cell)
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


def spread(workers: Pool, shards: list[Shard], store: Store, cell: int) -> None:
    """Take and write, as the driver does."""
    for _, found in workers.results(shards):
        keep(store, cell, found)


if __name__ == "__main__":
    main()
