"""Which rival falls first by four orders of the rivals, and which loss takes what `gap` leaves.

    python benchmarks/orders.py                          # every pair below; results/orders.json is continued
    python benchmarks/orders.py digits-float:0.1
    python benchmarks/orders.py --table                  # the tables of docs/standard.md from that file alone

The first 100 images, and of these the ones that are classified correctly and that the member `gap` of `standard` does
not break.  On each of them APGD on targeted DLR is run toward each of nine rivals, 50 steps; where it breaks the image,
the rival falls.  Then four orders of the rivals are asked how early the first one that falls stands in them.  Of the
losses each runs inside APGD's control for 30 steps, as the member `log_odds` does.

MALT orders by the logits' gap over its gradient's norm, here the dual one of the threat (Melamed et al., 2024,
https://arxiv.org/abs/2407.02240); the probability margin is the loss of PMA (Xie et al., 2024,
https://arxiv.org/abs/2411.15210).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from continued import continued
from strength import Pair
from torch import Tensor

import quantattack as qa
from quantattack.attacks.base import Attack, Batch, search
from quantattack.attacks.reached import Reached
from quantattack.attacks.recipes import LinearDecay
from quantattack.attacks.starts import Blocks
from quantattack.gradients import jacobian
from quantattack.report.markdown import between, markdown_table
from quantattack.rng import Rng

ROOT = Path(__file__).parents[1]
OUT, PAGE = ROOT / "results" / "orders.json", ROOT / "docs" / "standard.md"
IMAGES, RIVALS, FIRST = 100, 9, (1, 2, 3)
PAIRS = (
    *("digits-float:0.1", "digits-mdtanhs-bn:0.1", "mnist-lenet-float:0.1", "mnist-lenet-mdtanhs:0.1"),
    *("fashion-lenet-mdtanhs:8/255", "cifar10-vgg5-mdtanhs:2/255", "cifar10-resnet8-float-adv:8/255"),
    "cifar10-resnet8-mdtanhs-adv:8/255",
)
Orders = dict[str, Tensor]  # by name: how near each class is, with shape (n, k); the smaller, the earlier


def probability_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The largest probability of another class minus the label's."""
    probabilities, own = logits.softmax(1), labels.long()[:, None]
    others = probabilities.scatter(1, own, -torch.inf)
    return others.amax(1) - probabilities.gather(1, own)[:, 0]


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    """The label's logit minus each class's, infinite for itself."""
    own = labels.long()[:, None]
    return (logits.gather(1, own) - logits).scatter(1, own, torch.inf)


def by_gradient(model: torch.nn.Module, batch: Batch) -> Tensor:
    """MALT's order under Linf: each gap over the L1 norm of its gradient."""
    logits, rows = jacobian(model, batch.images)
    rows = rows.flatten(2)
    own = rows[torch.arange(len(rows)), batch.labels.long()][:, None]
    slopes = (own - rows).abs().sum(2)
    return gaps(logits, batch.labels) / slopes.clamp_min(torch.finfo(slopes.dtype).tiny)


def toward(threat: qa.Threat, rank: int) -> qa.Apgd:
    return qa.Apgd(threat=threat, steps=50, loss=qa.margin, pair=qa.ClassPair(rank, ratio=True, by="reached"))


def probing(threat: qa.Threat, rank: int) -> qa.Apgd:
    """The probe of the member `rivals`."""
    sizes = LinearDecay(2 * threat.radius, 4)
    pair = qa.ClassPair(rank, by="reached")
    return qa.Apgd(threat=threat, steps=4, loss=qa.margin, start=Blocks(4), step_size=sizes, pair=pair)


def by_rank(model: torch.nn.Module, batch: Batch, make: Callable[[int], Attack]) -> tuple[Tensor, Tensor]:
    """Return what an attack toward each rival leaves of its gap and whether it broke the image, both by class."""
    clean = model(batch.images)
    order, labels = gaps(clean, batch.labels).argsort(dim=1, stable=True), batch.labels
    reached = Reached.by(qa.misclassified, batch.images, clean, labels)
    batch = replace(batch, reached=reached)  # the ranks of the attacks are by the clean logits
    left, fell = torch.full(order.shape, torch.inf), torch.zeros(order.shape, dtype=torch.bool)
    for rank in range(1, RIVALS + 1):
        images = search(make(rank), model, batch).images
        logits, rival = model(images), order[:, rank - 1 : rank]
        left.scatter_(1, rival, gaps(logits, labels).gather(1, rival))
        fell.scatter_(1, rival, (logits.argmax(1) != labels)[:, None])
    return left, fell


@torch.no_grad()
def measure(text: str) -> dict[str, Any]:
    """Return how many images fall to the first rivals of each order, and to each loss."""
    pair = Pair.read(text, 0)
    model, threat = qa.load_model(pair.name), pair.threat
    images, labels = pair.shown(slice(IMAGES))
    right = (model(images).argmax(1) == labels).nonzero()[:, 0]
    batch = Batch(images, labels, Rng(0, torch.arange(len(images)))).keep(right)
    reached = search(qa.standard(threat).attacks["gap"], model, batch).images
    kept = (model(reached).argmax(1) == batch.labels).nonzero()[:, 0]
    batch, reached = batch.keep(kept), reached[kept]
    return {"left": len(kept), **orders(model, batch, reached, threat), "losses": losses(model, batch, threat)}


def orders(model: torch.nn.Module, batch: Batch, reached: Tensor, threat: qa.Threat) -> dict[str, Any]:
    """Return how many images fall to any rival, and how many to the first ones of each order."""
    _, fell = by_rank(model, batch, partial(toward, threat))
    probed, _ = by_rank(model, batch, partial(probing, threat))
    ranked: Orders = {
        "logits": gaps(model(batch.images), batch.labels),
        "MALT": by_gradient(model, batch),
        "what `gap` reached": gaps(model(reached), batch.labels),
        "probes": probed,
    }
    return {"fell": int(fell.any(1).sum()), "orders": {name: earliest(each, fell) for name, each in ranked.items()}}


def earliest(order: Tensor, fell: Tensor) -> list[int]:
    """Return of how many images a rival that falls is among the first 1, 2 and 3."""
    in_turn = fell.gather(1, order.argsort(dim=1, stable=True))
    return [int(in_turn[:, :first].any(1).sum()) for first in FIRST]


def losses(model: torch.nn.Module, batch: Batch, threat: qa.Threat) -> dict[str, int]:
    """Return how many images APGD takes with each loss."""
    kinds = (qa.log_odds, qa.dlr, qa.margin, probability_margin, qa.cross_entropy)
    taken = {}
    for loss in kinds:
        images = search(qa.Apgd(threat=threat, steps=30, loss=loss), model, batch).images
        taken[loss.__name__.replace("_", " ")] = int((model(images).argmax(1) != batch.labels).sum())
    return taken


def main() -> None:
    done = continued(__doc__, OUT, PAIRS, measure)
    PAGE.write_text(between(PAGE.read_text(), "orders", "\n\n".join(tables(done))))


def tables(done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One table of the orders and one of the losses, a row for each pair and one for all."""
    names, kinds = (list(next(iter(done.values()))[part]) for part in ("orders", "losses"))
    ranked, taken = [], []
    for pair, each in done.items():
        counts = [" / ".join(map(str, each["orders"][name])) for name in names]
        ranked.append([f"`{pair}`", str(each["left"]), str(each["fell"]), *counts])
        taken.append([f"`{pair}`", str(each["left"]), *(str(each["losses"][kind]) for kind in kinds)])
    left, fell = (str(sum(each[part] for each in done.values())) for part in ("left", "fell"))
    sums = [[sum(each["orders"][name][k] for each in done.values()) for k in range(len(FIRST))] for name in names]
    ranked.append(["all", left, fell, *(" / ".join(map(str, each)) for each in sums)])
    taken.append(["all", left, *(str(sum(each["losses"][kind] for each in done.values())) for kind in kinds)])
    orders_of = [f"by {name}" for name in names]
    return [
        markdown_table(["pair", "left by `gap`", "fall to a rival", *orders_of], ranked),
        markdown_table(["pair", "left by `gap`", *kinds], taken),
    ]


if __name__ == "__main__":
    main()
