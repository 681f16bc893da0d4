"""What particle interaction and quantized gradients cost over PGD: ratios, measured side by side in one run.

    python benchmarks/particles.py [--out results/particles] [--pairs 5]

On the MNIST network of the Madry challenge at full width, in sets of 200 images that nobody leaves.  The memory is that
of a process that walks few sets, and of one that walks many, each above its own images and iterates.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import quantattack as qa
from quantattack.evaluation.models import CountedModel
from quantattack.nn.architectures import build

STEPS, SET = 10, 200
THREAT = qa.Threat(qa.Linf(), 0.3)


def ratios(ours: Callable[[], object], plain: Callable[[], object], pairs: int) -> list[float]:
    """Return the processor time of one over the other, pair by pair."""
    ours(), plain()
    return [seconds(ours) / seconds(plain) for _ in range(pairs)]


def seconds(run: Callable[[], object]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def network() -> CountedModel:
    torch.manual_seed(0)
    return CountedModel(build("madry-mnist", {}).eval())


def attacks() -> dict[str, Any]:
    """The attacks of the comparison; PGD and PQGD take all their steps with every image."""
    size = 0.01
    pgd = replace(qa.pgd(THREAT, steps=STEPS, step_size=size), last_iterate=True)
    pqgd = replace(qa.pqgd(THREAT, 100, steps=STEPS, step_size=size), last_iterate=True)
    return {
        "pgd": pgd,
        "pqgd": pqgd,
        "daa_blob": qa.daa_blob(THREAT, steps=STEPS, step_size=size, particles=SET),
        "daa_dgf": qa.daa_dgf(THREAT, steps=STEPS, step_size=size, particles=SET),
        "blob_qg": qa.blob_qg(THREAT, 100, steps=STEPS, step_size=size, particles=SET),
    }


def costs(pairs: int) -> dict[str, dict[str, Any]]:
    """Return each attack's cost over PGD's on one set."""
    host, known = network(), attacks()
    images, labels = torch.rand(SET, 1, 28, 28), torch.randint(10, (SET,))
    plain = known.pop("pgd")
    found = {}
    for name, attack in known.items():
        each = ratios(lambda run=attack: run(host, images, labels), lambda: plain(host, images, labels), pairs)
        found[name] = {"ratio": round(statistics.median(each), 4), "pairs": [round(one, 4) for one in each]}
        print(f"{name} over pgd, a set of {SET}, {STEPS} steps: {found[name]['ratio']:.3f}", flush=True)
    return found


def walked(sets: int) -> int:
    """Return the bytes at this process's peak, after as many sets were walked in four steps."""
    host, images = network(), torch.rand(SET * sets, 1, 28, 28)
    attack = qa.daa_blob(THREAT, steps=4, step_size=0.01, particles=SET)
    attack(host, images, torch.randint(10, (len(images),)))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory(few: int = 2, many: int = 20) -> dict[str, Any]:
    """Return the peak memory of few sets and of many, and what is left of the growth without images and iterates."""
    command = [sys.executable, __file__, "--sets"]
    peak = {sets: int(subprocess.check_output([*command, str(sets)])) for sets in (few, many)}
    images = (many - few) * SET * 28 * 28 * 4
    grown = (peak[many] - peak[few]) / images
    print(f"{few} sets: {peak[few] / 2**20:.0f} MiB, {many} sets: {peak[many] / 2**20:.0f} MiB;")
    print(f"the growth is {grown:.2f} times the images that were added")
    return {"sets": [few, many], "peak_bytes": [peak[few], peak[many]], "growth_in_images": round(grown, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--sets", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.sets:
        print(walked(given.sets))
        return
    found = {"torch": torch.__version__, "particles": SET, "steps": STEPS, "costs": costs(given.pairs)}
    found["memory"] = memory()
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "particles.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
