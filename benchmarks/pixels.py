"""Robust accuracy on 8-bit pixels: searched on the grid, projected onto it, or rounded afterwards.

Usage: python benchmarks/pixels.py [MODEL:RADIUS ...] [--images 50] [--only pgd,gap] [--methods grid,afterwards]

Each attack of the suite `standard` runs alone on every image.  "real" is what the real-valued search is judged to leave
without rounding, "afterwards" what it leaves when its images are rounded, "projected" a search whose iterates are
rounded after every step, and "grid" the library's own: iterates in real numbers, the model shown the rounded ones.
One JSON file a pair and number of images in `results/pixels`; what is there is not run again, and the tables of
docs/pixels.md are built from them: those of 50 images with the whole suite, and of 100 with every method.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import quantattack as qa
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.nn.zoo import card_of
from quantattack.types import Images, Labels, Model, PerImage

OUT = Path(__file__).parent.parent / "results" / "pixels"
FILE = "mlperf-tiny/resnet8-int8"  # a deployed one
NAMES = ("cifar10-resnet8-float", "cifar10-resnet8-mdtanhs", "cifar10-resnet8-bnn-waq", FILE)
PAIRS = [f"{name}:{radius}/255" for name in NAMES for radius in (1, 2)]
METHODS = ("afterwards", "grid")


class Projected(Threat):
    """A threat whose projection ends on the grid, so that every iterate lies on it."""

    def project(self, images: Images, clean: Images, radius: PerImage | None = None) -> Images:
        """Project onto ball and range, then onto the grid."""
        return self.snap(super().project(images, clean, radius), clean, radius)


def threat_of(method: str, threat: Threat) -> Threat:
    """Return the threat that a method searches."""
    kinds = {"afterwards": replace(threat, levels=None), "grid": threat}
    return kinds[method] if method in kinds else Projected(threat.norm, threat.radius, levels=threat.levels)


def outcome(model: Model, attack: Attack, threat: Threat, clean: Images, labels: Labels) -> dict[str, Any]:
    """Attack every image; return how many are left as returned, and on the grid."""
    began = time.perf_counter()
    found = attack(model, clean, labels)
    seconds = time.perf_counter() - began
    snapped = threat.snap(found, clean)
    assert bool(threat.contains(snapped, clean).all())
    with torch.no_grad():
        right, left, real = (model(x).argmax(1) == labels for x in (clean, snapped, found))
    return {
        "clean": int(right.sum()),
        "real": int((right & real).sum()),
        "left": int((right & left).sum()),
        "broken": torch.nonzero(right & ~left).flatten().tolist(),
        "seconds": round(seconds, 1),
    }


def measure(pair: str, images: int, only: list[str], methods: list[str]) -> None:
    """Run what the pair's file lacks."""
    name, _, text = pair.partition(":")
    over, _, under = text.partition("/")
    threat = Threat("linf", float(over) / float(under or 1), levels=256)
    data = "cifar10" if name == FILE else card_of(name).data
    clean, labels = (tensor[:images] for tensor in load_data(data))
    path = OUT / f"{name.replace('/', '-')}-{text.replace('/', '_')}-{images}.json"
    model = qa.load_model(name)
    rows: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    with torch.no_grad():
        right = model(clean).argmax(1) == labels
    for attack in only or list(qa.standard(threat).attacks):
        for method in methods:
            if method in rows.setdefault(attack, {}):
                continue
            member = qa.standard(threat_of(method, threat)).attacks[attack]
            rows[attack][method] = outcome(model, member, threat, clean[right], labels[right])
            print(
                pair, attack, method, {k: v for k, v in rows[attack][method].items() if k != "broken"}, file=sys.stderr
            )
            path.write_text(json.dumps({"images": images, **rows}, indent=1) + "\n")


def main() -> None:
    """Run the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="*", default=PAIRS)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--only", default="")
    parser.add_argument("--methods", default=",".join(METHODS))
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for pair in given.pairs:
        measure(pair, given.images, [name for name in given.only.split(",") if name], given.methods.split(","))


if __name__ == "__main__":
    main()
