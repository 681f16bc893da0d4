"""Check every network of the package against its card, and write the table of the zoo.

Usage: python benchmarks/zoo.py --out results/zoo [--images 1000] [--names a b]

Each is loaded once for its time, shown its whole test set, its levels are read off its tensors, and on the first images
that it has right the float32 gradient of cross entropy is held against the exact one.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import torch

from quantattack.attacks.norms import Linf
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.data.sets import SETS, load_data
from quantattack.diagnostics.case import Case
from quantattack.diagnostics.clean_gradients import clean_gradients
from quantattack.evaluation.models import CountedModel
from quantattack.nn.inspect import inspect
from quantattack.nn.zoo import Description, load_model, models, path_of
from quantattack.rng import Rng

BATCH = 256  # as the training judges


@torch.no_grad()
def wrong_of(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return which images the model misclassifies."""
    pairs = zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True)
    return torch.cat([misclassified(model(x), y) for x, y in pairs])


def row_of(network: Description, images: int) -> dict[str, Any]:
    """Return the measured properties of a network, and what its card states."""
    begun = time.perf_counter()
    model = load_model(network.name)
    seconds = time.perf_counter() - begun
    pixels, labels = load_data(network.data)
    wrong = wrong_of(model, pixels, labels)
    layers = inspect(model, pixels[:2]).layers
    right = (~wrong).nonzero()[:images, 0]
    host = CountedModel(model)
    threat = Threat(Linf(), SETS[network.data].radius("linf"))
    seen = clean_gradients(Case(host, pixels[right], labels[right], threat, Rng(0, right), BATCH))
    return {
        "network": network.name,
        "sha256": hashlib.sha256(path_of(network.name).read_bytes()).hexdigest(),
        "data": network.data,
        "quantizer": network.quantizer,
        "adversarial": network.adversarial,
        "kilobytes": round(network.bytes / 1024),
        "load_seconds": round(seconds, 3),
        "images": len(labels),
        "claimed": round(network.clean * len(labels)),
        "right": int((~wrong).sum()),
        "levels": sorted({str(layer.weights) for layer in layers}),
        "probed": len(right),
        "zero": round(float(seen.zero.double().mean()), 4),
        "wrong_direction": round(float(seen.wrong.double().mean()), 4),
        "median_margin": round(float(seen.margin.median()), 2),
    }


COLUMNS = {
    "data": "data set",
    "quantizer": "quantizer",
    "kilobytes": "KiB",
    "right": "right",
    "images": "of",
    "median_margin": "median margin",
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the zoo as Markdown."""
    words = ["network", *COLUMNS.values(), "gradient zero, %", "gradient in a wrong direction, %"]
    lines = ["| " + " | ".join(words) + " |", "|---" * len(words) + "|"]
    for row in rows:
        cells = [row["network"], *(row[key] for key in COLUMNS)]
        cells += [f"{100 * row[key]:.1f}" for key in ("zero", "wrong_direction")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/zoo"))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--names", nargs="*")
    given = parser.parse_args()
    load_model("digits-float")  # the first one pays for imports
    path = given.out / "networks.json"
    kept = {row["network"]: row for row in json.loads(path.read_text())["networks"]} if path.exists() else {}
    for network in models():
        if not given.names or network.name in given.names:
            kept[network.name] = row_of(network, given.images)
            print(kept[network.name], flush=True)
    rows = [kept[network.name] for network in models() if network.name in kept]
    given.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"torch": torch.__version__, "networks": rows}, indent=1) + "\n", encoding="utf-8")
    (given.out / "networks.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
