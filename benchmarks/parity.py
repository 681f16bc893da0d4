"""APGD beside AutoAttack's at equal steps, and the accuracy at every radius beside attacks at one radius each.

Writes results/peers/apgd.json and results/peers/curve.json; the first needs pyautoattack.
"""

import json
import sys
from pathlib import Path

import torch

import quantattack as qa
from quantattack.attacks.adapters import AutoAttack
from quantattack.attacks.losses import cross_entropy, dlr

OUT = Path(__file__).parents[1] / "results" / "peers"
IMAGES, STEPS, SEEDS = 500, 100, 3
NETWORK, DATA, RADIUS = "digits-float", "digits", 0.1


def compared() -> dict[str, object]:
    """Robust accuracy of both, on the same images, for each loss and seed."""
    model, (images, labels) = qa.load_model(NETWORK), qa.load_data(DATA)
    threat, found = qa.Threat(qa.Linf(), RADIUS), {}
    for name, loss in (("apgd-ce", cross_entropy), ("apgd-dlr", dlr)):
        pair = {"ours": qa.apgd(threat, steps=STEPS, loss=loss), "autoattack": AutoAttack(threat, "custom", name)}
        rows = [
            qa.evaluate(model, images[:IMAGES], labels[:IMAGES], pair, threat, seed=seed, batch_size=256)
            for seed in range(SEEDS)
        ]
        robust = {one: [100 * row.robust(one) for row in rows] for one in pair}
        mean = {one: sum(part) / SEEDS for one, part in robust.items()}
        found[name] = {"robust": robust, "mean": mean, "difference": mean["ours"] - mean["autoattack"]}
    return {"network": NETWORK, "radius": RADIUS, "images": IMAGES, "steps": STEPS, "losses": found}


def curve() -> dict[str, object]:
    """Accuracy at several radii from one run of `MinimumNorm`, and from an attack at each; and the cost in attacks."""
    model, (images, labels) = qa.load_model(NETWORK), qa.load_data(DATA)
    widest, attack = qa.Threat(qa.Linf(), 0.2), lambda threat: qa.pgd(threat, steps=40)
    nearest = qa.MinimumNorm(attack(widest), widest, searches=5)
    one = qa.evaluate(model, images[:IMAGES], labels[:IMAGES], {"nearest": nearest}, widest)
    sizes, broken = one.column("nearest", "size"), one.broken("nearest")
    rows = {}
    for radius in (0.025, 0.05, 0.075, 0.1, 0.15, 0.2):
        threat = qa.Threat(qa.Linf(), radius)
        fixed = qa.evaluate(model, images[:IMAGES], labels[:IMAGES], {"pgd": attack(threat)}, threat)
        held = float(1 - (broken & (sizes <= radius)).mean())
        rows[f"{radius:g}"] = {"nearest": 100 * held, "fixed": 100 * fixed.robust("pgd")}
    backwards = float(one.column("nearest", "backwards").mean())
    cost = {"backward passes an image": backwards, "fixed-radius attacks of 40 steps": backwards / 40}
    return {"network": NETWORK, "images": IMAGES, "searches": 5, "robust": rows, "cost": cost}


def main() -> None:
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, measure in (("curve", curve), ("apgd", compared)):
        if not sys.argv[1:] or name in sys.argv[1:]:
            (OUT / f"{name}.json").write_text(json.dumps(measure(), indent=1) + "\n")


if __name__ == "__main__":
    main()
