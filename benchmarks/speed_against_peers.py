"""Wall time to the final verdict beside the peers': same model, images, steps, one restart, one thread, one run.

    python benchmarks/speed_against_peers.py             # every network; results/speed/<network>.json and peers.md
    python benchmarks/speed_against_peers.py digits-mdtanhs --images 100
    python benchmarks/speed_against_peers.py --report    # results/speed/peers.md from the files alone

A peer attacks every image in batches, as its users do, and the model is asked for the verdict; ours is a whole
evaluation of PGD with the temperature Gap, with the clean predictions, the judge and the flags.  Each option of ours is
timed beside it.
Needs the peers (`pip install 'quantattack[peers]'`).
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

import quantattack as qa
from quantattack.attacks.adapters import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.base import Attack
from quantattack.evaluation import judge as judging
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.run import run
from quantattack.evaluation.task import prepare, usual_batch
from quantattack.nn.zoo import models
from quantattack.record.store import Store

OUT = Path(__file__).parents[1] / "results" / "speed"
STEPS, IMAGES, REPEATS = 20, 1000, 2
NETWORKS = {"digits-mdtanhs": "0.2", "cifar10-resnet8-float": "8/255", "cifar10-resnet8-float-adv": "8/255"}
OPTIONS = {
    "fold": FastSearch(fold=True),
    "channels_last": FastSearch(channels_last=True),
    "bfloat16": FastSearch(bfloat16=True),
}


def peers(threat: qa.Threat) -> dict[str, Attack]:
    """Each peer's PGD, and AutoAttack's APGD on cross entropy, from one random start."""
    size = threat.radius / 4
    settings = {"num_steps": STEPS, "step_size": size, "random_start": True, "backend": "native"}
    return {
        "torchattacks PGD": TorchAttacks(threat, "PGD", {"alpha": size, "steps": STEPS}),
        "foolbox PGD": Foolbox(threat, "LinfPGD", {"abs_stepsize": size, "steps": STEPS}),
        "art PGD": Art(threat, "ProjectedGradientDescent", {"eps_step": size, "max_iter": STEPS, "num_random_init": 1}),
        "secml PGD": Secml(threat, "PGD", settings),
        "pyautoattack APGD-CE": AutoAttack(threat, "custom", "apgd-ce", steps=STEPS),
    }


class Case:
    """One network with its images and its threat."""

    def __init__(self, network: str, images: int) -> None:
        over, _, under = NETWORKS[network].partition("/")
        self.threat = qa.Threat(qa.Linf(), float(over) / float(under or 1))
        self.model = qa.load_model(network)
        clean, labels = qa.load_data(next(row.data for row in models() if row.name == network))
        self.images, self.labels = clean[:images], labels[:images]
        self.batch = usual_batch(tuple(clean.shape[1:]), torch.device("cpu"))

    def theirs(self, attack: Attack) -> float:
        """Attack batch after batch, ask for the verdict, and return the robust accuracy."""
        held = 0
        for first in range(0, len(self.images), self.batch):
            images, labels = (part[first : first + self.batch] for part in (self.images, self.labels))
            with torch.no_grad():
                right = self.model(images).argmax(1) == labels
            found = attack(self.model, images, labels)
            with torch.no_grad():
                held += int((right & (self.model(found).argmax(1) == labels)).sum())
        return held / len(self.images)

    def ours(self, attack: Attack, speed: FastSearch | None = None, batch: int | None = None) -> float:
        """Evaluate and return the robust accuracy."""
        job = prepare(self.model, self.images, self.labels, {"pgd": attack}, self.threat, speed=speed, batch_size=batch)
        store = Store.open(None, {"subjects": [job.identity.to_json()], "seed": 0})
        return run([job], store, [lambda *_: None])[0].robust("pgd")


def timed(work: Callable[[], float]) -> dict[str, float]:
    begun, own = time.perf_counter(), time.process_time()
    robust = work()
    return {"seconds": time.perf_counter() - begun, "processor": time.process_time() - own, "robust": robust}


def measure(network: str, images: int, repeats: int) -> dict[str, Any]:
    """Time everything on one network, ours and theirs in turns."""
    case = Case(network, images)
    pgd = qa.pgd_plus(case.threat, qa.Gap(), steps=STEPS)
    runs: dict[str, Callable[[], float]] = {"ours": lambda: case.ours(pgd)}
    runs["ours, cross entropy"] = lambda: case.ours(qa.pgd(case.threat, steps=STEPS))
    runs |= {name: (lambda attack=attack: case.theirs(attack)) for name, attack in peers(case.threat).items()}
    runs |= {f"ours, {name}": (lambda speed=speed: case.ours(pgd, speed)) for name, speed in OPTIONS.items()}
    runs["ours, nobody leaves"] = lambda: case.ours(replace(pgd, last_iterate=True))
    runs["ours, batch not found"] = lambda: case.ours(pgd, batch=case.batch)
    runs["ours, batch not refilled"] = lambda: without_refill(lambda: case.ours(pgd))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name, work in runs.items():
            if turn and (name in SLOW or found[name][0]["seconds"] > 3 * found["ours"][0]["seconds"]):
                continue  # not the fastest peer: once is enough
            beside = timed(runs["ours"]) if name != "ours" else {}  # so that a machine with other work is fair
            found[name].append({**timed(work), **{f"ours {key}": value for key, value in beside.items()}})
            print(network, name, found[name][-1], flush=True, file=sys.stderr)
    return {
        "network": network,
        "radius": NETWORKS[network],
        "images": len(case.images),
        "steps": STEPS,
        "batch": case.batch,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "runs": found,
    }


SLOW = ("ours, nobody leaves", "art PGD")


def without_refill(work: Callable[[], float]) -> float:
    """Work with every batch alone, as before there was a queue."""
    usual, judging.ROOM = judging.ROOM, 1
    try:
        return work()
    finally:
        judging.ROOM = usual


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for network in () if arguments.report else arguments.networks or NETWORKS:
        found = measure(network, arguments.images, arguments.repeats)
        (OUT / f"{network}.json").write_text(json.dumps(found, indent=1) + "\n")
    (OUT / "peers.md").write_text(report())


def report() -> str:
    """Return a table for each network from the files that are there."""
    files = [OUT / f"{network}.json" for network in NETWORKS]
    tables = [table(json.loads(path.read_text())) for path in files if path.is_file()]
    return "\n\n".join([__doc__.splitlines()[0], *tables]) + "\n"


def table(found: dict[str, Any]) -> str:
    rows = {name: runs for name, runs in found["runs"].items() if name != "ours"}
    ratio = {name: median(one["seconds"] / one["ours seconds"] for one in runs) for name, runs in rows.items()}
    busy = {name: median(one["processor"] / one["ours processor"] for one in runs) for name, runs in rows.items()}
    theirs = [name for name in rows if not name.startswith("ours")]
    fastest = min(theirs, key=lambda name: ratio[name])
    ours = found["runs"]["ours"]
    lines = [
        f"## {found['network']}, Linf {found['radius']}, {found['images']} images, {found['steps']} steps",
        "",
        f"{ratio[fastest]:.2f} times as fast as the fastest peer, {fastest}: {100 * ours[0]['robust']:.1f} % robust"
        f" in {median(one['seconds'] for one in ours):.1f} s.",
        "",
        "| run | wall time, of ours beside it | processor time, of ours | robust, % |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {ratio[name]:.2f} | {busy[name]:.2f} | {100 * runs[0]['robust']:.1f} |"
        for name, runs in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
