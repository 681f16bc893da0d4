"""Two workers of Ray beside two processes that share the same images by hand; start-up apart.

    python benchmarks/workers.py            # writes results/speed/workers.json; wants a quiet machine for some minutes

Every process has one thread.  By hand, each process takes half of the images.  The clock starts when everything is
imported and loaded, and stops when the last outcome is in the record.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OUT = Path(__file__).parents[1] / "results" / "speed" / "workers.json"
MODEL, DATA, RADIUS, ATTACK = "cifar10-resnet8-float-adv", "cifar10", "8/255", "pgd[steps={steps}]"

HALF = """
import sys, time
import torch
torch.set_num_threads(1)
from quantattack.cli.evaluate import tasks_of
from quantattack.cli.run_file import RunFile
from quantattack.evaluation.evaluate import evaluate_tasks
plan = RunFile(models=[sys.argv[1]], threats=[{"radius": sys.argv[2]}], attacks=[sys.argv[3]], images=int(sys.argv[4]))
tasks = list(tasks_of(plan, (int(sys.argv[5]), 2)))
print("ready", flush=True)
sys.stdin.readline()
started = time.perf_counter()
evaluate_tasks(tasks, sys.argv[6])
print(time.perf_counter() - started, flush=True)
"""


def by_hand(place: Path, attack: str, images: int) -> float:
    """Return the seconds that the slower of two processes takes for its half."""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", HALF, MODEL, RADIUS, attack, str(images), str(half), str(place / f"half-{half}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for half in (1, 2)
    ]
    for process in both:
        assert process.stdout
        assert process.stdout.readline().strip() == "ready"
    started = time.perf_counter()
    for process in both:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
    return time.perf_counter() - started


def on_ray(place: Path, attack: str, images: int) -> float:
    """Return the seconds that the driver takes from the first shard on, its workers being up."""
    from quantattack.cli.evaluate import tasks_of
    from quantattack.cli.run_file import RunFile
    from quantattack.evaluation.evaluate import run_identity
    from quantattack.evaluation.ray import Workers, cluster
    from quantattack.evaluation.run import run
    from quantattack.record.store import Store

    plan = {"models": [MODEL], "threats": [{"radius": RADIUS}], "attacks": [attack], "images": images}
    tasks = list(tasks_of(RunFile(**plan)))
    warm = list(tasks_of(RunFile(**{**plan, "attacks": ["fgsm"], "images": 64})))
    with cluster(Workers(2)) as workers:
        run(warm, Store.open(place / "warm", run_identity(warm)), [lambda *_: None], workers)
        started = time.perf_counter()
        store = Store.open(place / "ray", run_identity(tasks))
        with store.writing():
            run(tasks, store, [lambda *_: None], workers)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    attack = ATTACK.format(steps=arguments.steps)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        hand = by_hand(Path(place), attack, arguments.images)
        ray = on_ray(Path(place), attack, arguments.images)
    found = {"images": arguments.images, "attack": attack, "model": MODEL, "by hand, s": round(hand, 1)}
    found |= {"workers, s": round(ray, 1), "ratio": round(hand / ray, 3), "load before": round(before, 2)}
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
