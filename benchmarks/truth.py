"""Every attack's number beside the exact one: PGD, AutoAttack, `standard`, complete search, and what is proved.

    python benchmarks/truth.py                                 # every pair below; continued where it was left
    python benchmarks/truth.py digits-bnn-waq:0.01 --seconds 60    # as in results/truth; the others at 10
    python benchmarks/truth.py digits-w4-bnn-waq:0.02 --images 100 --seconds 10
    python benchmarks/truth.py digits-bnn-waq:0.01@100 --images 50 --seconds 20    # images 100 to 149
    python benchmarks/truth.py --hammer digits-w4-bnn-waq:0.02 --seeds 20 --queries 20000
    python benchmarks/truth.py --hammer digits-w4-bnn-waq:0.02 --only fgsm_hns,sign_patterns

Each is one record of `certify` in results/truth, whose attacks are PGD, `standard` as one attack, AutoAttack where its
package is installed, and complete search on what all of these left; the table of docs/certify.md is built from them.
`--hammer` attacks every image that a record says is proved with the attacks of the library under many seeds, under the
last one with `standard` and with Square under many queries too, and counts what breaks: results/truth/hammered.json.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import quantattack as qa
from quantattack.attacks.adapters import AutoAttack
from quantattack.attacks.base import Attack
from quantattack.nn.zoo import card_of

OUT = Path(__file__).parents[1] / "results" / "truth"
PAIRS = (
    *("digits-w4-bnn-waq:0.02", "digits-mlp-float:0.05", "digits-w4-bc:0.02", "digits-mlp-bnn-waq:0.02"),
    *("digits-w4-float:0.02", "digits-w4-ternary:0.02", "digits-w4-bc-adv:0.02", "digits-w8-bnn-waq:0.01"),
    *("digits-w4-uniform4:0.01", "digits-w8-bc:0.02", "digits-w8-float-adv:0.02"),
    *("mnist-w4-bnn-waq:1/255", "digits-bnn-waq:0.01", "digits-bnn-waq:0.01@100"),
)


def attacks(threat: qa.Threat) -> dict[str, Attack]:
    """What is run before complete search."""
    peer = {} if threat.levels else {"autoattack": AutoAttack(threat)}
    return {"pgd": qa.pgd(threat), "standard": qa.standard(threat), **peer}


def threat_of(text: str, data: str) -> qa.Threat:
    """The threat of a radius: on bytes where it is a fraction of 255 and the images are bytes."""
    over, _, under = text.partition("/")
    levels = 256 if under == "255" and data != "digits" else None
    return qa.Threat("linf", float(over) / float(under or 1), levels=levels)


def case(pair: str) -> tuple[Path, str, qa.Threat]:
    """The folder of a pair's record, its network and its threat."""
    name, _, text = pair.partition("@")[0].partition(":")
    since = f"-from-{first_of(pair)}" if first_of(pair) else ""
    return OUT / f"{name}-{text.replace('/', '_')}{since}", name, threat_of(text, card_of(name).data)


def first_of(pair: str) -> int:
    """The first image."""
    return int(pair.partition("@")[2] or 0)


def measure(pair: str, images: int, seconds: float) -> None:
    """Run what a pair's record lacks."""
    folder, name, threat = case(pair)
    rows = torch.arange(images) + first_of(pair)
    clean, labels = (part[rows] for part in qa.load_data(card_of(name).data))
    settings = {"name": name, "data": card_of(name).data, "out": folder, "indices": rows}
    record = qa.certify(qa.load_model(name), clean, labels, threat, seconds=seconds, attacks=attacks, **settings)
    (folder / "lock").unlink(missing_ok=True)
    for picture in folder.glob("gallery-*"):
        picture.unlink()
    print(pair, record.summary()["attacks"], record.bracket, flush=True, file=sys.stderr)


def hammer(pair: str, seeds: int, queries: int, only: str) -> dict[str, Any]:
    """Attack what a record says is proved; return how many images and attacks there were, and how many broke."""
    folder, name, threat = case(pair)
    record = qa.Record.load(folder)
    proved = record.indices[record.proved]
    clean, labels = (part[proved] for part in qa.load_data(card_of(name).data))
    model, broken, runs = qa.load_model(name), np.zeros(len(proved), bool), 0
    njs = qa.Njs.fit(model, clean)
    for seed in range(seeds):
        chosen = every(threat, njs, queries if seed == seeds - 1 else 0)
        chosen = {attack: made for attack, made in chosen.items() if not only or attack in only.split(",")}
        found = qa.evaluate(model, clean, labels, chosen, threat, seed=seed)
        broken |= ~found.survivors
        runs += len(found.attacks)
    about = {"attacks": list(chosen), "seeds": seeds, "queries": queries if "square" in chosen else 0}
    return {"images": len(proved), "runs": runs, **about, "broken": int(broken.sum())}


def every(threat: qa.Threat, njs: qa.Njs, queries: int) -> dict[str, Attack]:
    """The attacks of the library; where there are queries, `standard` and Square as well."""
    makers: dict[str, Callable[[qa.Threat], Attack]] = {
        "fgsm": qa.fgsm,
        "fgsm_hns": lambda threat: qa.fgsm_plus(threat, qa.Hns()),
        "pgd": qa.pgd,
        "mi_fgsm": qa.mi_fgsm,
        "pgd_gap": lambda threat: qa.pgd_plus(threat, qa.Gap()),
        "pgd_njs": lambda threat: qa.pgd_plus(threat, njs),
        "pgd_hns": lambda threat: qa.pgd_plus(threat, qa.Hns()),
        "pqgd": qa.pqgd,
        "apgd": qa.apgd,
        "apgd_gap": lambda threat: qa.apgd_plus(threat, qa.Gap()),
        "smooth_signs": lambda threat: qa.SmoothSigns(qa.apgd_plus(threat, qa.Gap())),
        "apgd_targeted": qa.apgd_targeted,
        "multi_targeted": qa.multi_targeted,
        "daa_blob": qa.daa_blob,
        "daa_dgf": qa.daa_dgf,
        "blob_qg": qa.blob_qg,
        "minimum_norm": lambda threat: qa.MinimumNorm(qa.apgd(threat), threat),
        "hill_climbing": lambda threat: qa.HillClimbing(threat=threat, queries=10_000),
        "sign_patterns": lambda threat: qa.SignPatterns(threat=threat, queries=3_000),
    }
    long: dict[str, Attack] = {"square": qa.square(threat, queries), "standard": qa.standard(threat)} if queries else {}
    return {name: make(threat) for name, make in makers.items()} | long


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", help="network:radius, under Linf")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--hammer", action="store_true")
    parser.add_argument("--only", default="", help="attacks to hammer with, by comma; all by default")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--queries", type=int, default=20_000)
    return parser.parse_args()


def main() -> None:
    given = parsed()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    path = OUT / "hammered.json"
    hammered = json.loads(path.read_text()) if path.is_file() else []
    for pair in given.pairs or PAIRS:
        if given.hammer:
            found = {"pair": pair, **hammer(pair, given.seeds, given.queries, given.only)}
            hammered = [each for each in hammered if any(each[key] != found[key] for key in ("pair", "attacks"))] + [
                found
            ]
            path.write_text(json.dumps(hammered, indent=1) + "\n", encoding="utf-8")
            print(hammered[-1], flush=True)
        else:
            measure(pair, given.images, given.seconds)


if __name__ == "__main__":
    main()
