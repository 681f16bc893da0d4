"""What HNS loses when it looks at the label and the largest r other logits alone, on networks of 100 classes.

    python benchmarks/rivals.py            # writes results/thousand/rivals.json

At the beta that is chosen among r rivals, the Frobenius norm of the whole input Hessian (of all classes, in float64) is
divided by the one at the beta that is chosen among all classes.  The images are the first of the test set, right or
wrong.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import quantattack as qa
from quantattack.gradients import differences, hessian_norm, jacobian
from quantattack.nn.zoo import models

OUT = Path(__file__).parents[1] / "results" / "thousand" / "rivals.json"
RIVALS, IMAGES, BATCH = (5, 10, 20, 50), 256, 32


def shares(network: str, count: int) -> dict[int, torch.Tensor]:
    """Return each image's share of the whole Hessian's norm, by the number of rivals."""
    model, (images, labels) = qa.load_model(network), qa.load_data("cifar100")
    found: dict[int, list[torch.Tensor]] = {rivals: [] for rivals in RIVALS}
    for some, known in zip(images[:count].split(BATCH), labels[:count].split(BATCH), strict=True):
        logits, rows = jacobian(model, some)
        products = differences(rows, logits)
        most = hessian_norm(products, logits, qa.Hns()(model, some, known).beta[:, None])
        for rivals, parts in found.items():
            beta = qa.Hns(rivals=rivals)(model, some, known).beta[:, None]
            parts.append((hessian_norm(products, logits, beta) / most)[:, 0])
    return {rivals: torch.cat(parts) for rivals, parts in found.items()}


def measured(network: str, count: int) -> dict[str, Any]:
    """Return the mean and the least share, and the passes, by the number of rivals."""
    found = shares(network, count)
    return {
        str(rivals): {
            "mean": round(float(share.mean()), 6),
            "least": round(float(share.min()), 6),
            "passes": qa.Hns(rivals=rivals).passes(100),
        }
        for rivals, share in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    count = parser.parse_args().images
    torch.set_num_threads(1)
    names = [row.name for row in models() if row.data == "cifar100"]
    record = {"images": count, "classes": 100, "passes of all": qa.Hns().passes(100)}
    networks = {name: measured(name, count) for name in names}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({**record, "networks": networks}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(networks))


if __name__ == "__main__":
    main()
