"""The cost of attacks and evaluations over bare passes of the same model: ratios, measured side by side in one run.

    python benchmarks/overhead.py [--quick]

Each pair is timed alternately and the median of the ratios is printed, so that a busy machine disturbs both sides.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

import quantattack as qa
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.evaluation.models import CountedModel
from quantattack.nn.architectures import build

STEPS = 20


def ratio(ours: Callable[[], object], bare: Callable[[], object], pairs: int) -> float:
    ours(), bare()
    return statistics.median(seconds(ours) / seconds(bare) for _ in range(pairs))


def seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def passes(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, count: int) -> None:
    """Bare forward and backward passes to the input."""
    for _ in range(count):
        x = images.clone().requires_grad_()
        torch.autograd.grad(cross_entropy(model(x), labels, reduction="sum"), x)


class Alone(CountedModel):
    """A model whose small batches have no room for queries ahead of their turn."""

    def spare(self, rows: int) -> int:  # noqa: ARG002
        return 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a narrow network and few repetitions, to try it out")
    quick = parser.parse_args().quick
    torch.manual_seed(0)
    network = build("resnet-18", {"width": 0.25 if quick else 1.0}).eval()
    images, labels = torch.rand(16, 3, 32, 32), torch.randint(10, (16,))
    pairs = 2 if quick else 3

    threat = qa.Threat(qa.Linf(), 8 / 255)
    walk = replace(qa.pgd(threat, steps=STEPS), last_iterate=True)
    host = CountedModel(network)
    cost = ratio(lambda: walk(host, images, labels), lambda: passes(network, images, labels, STEPS), pairs)
    print(f"pgd, {STEPS} steps, nobody leaves / {STEPS} bare passes, ResNet-18: {cost:.3f}")

    hns = ratio(lambda: Hns()(host, images, labels), lambda: passes(network, images, labels, 1), pairs)
    print(f"HNS's estimate in forward and backward passes, ResNet-18, 10 classes: {hns:.2f}")

    logits = network(images).detach()
    rescale = Gap()(host, images, labels)
    gap = ratio(lambda: rescale(logits, labels), lambda: passes(network, images, labels, 1), pairs)
    print(f"Gap's estimate in forward and backward passes, ResNet-18, 10 classes: {gap:.5f}")

    model, (digits, classes) = qa.load_model("digits-mdtanhs"), qa.load_data("digits")
    digits, classes = digits[:256], classes[:256]
    threat = qa.Threat(qa.Linf(), 0.2)
    for name, attack in {"pgd": qa.pgd(threat), "pgd_plus gap": qa.pgd_plus(threat, Gap())}.items():
        demo = CountedModel(model)
        cost = ratio(
            lambda run=attack, shown=demo: run(shown, digits, classes),
            lambda: passes(model, digits, classes, STEPS),
            pairs,
        )
        print(f"{name}, {STEPS} steps, solved images leave / {STEPS} bare passes, demo network: {cost:.3f}")

    few, own = images[:4], logits[:4].argmax(1)
    search = qa.Square(threat=qa.Threat(qa.Linf(), 1 / 255), queries=100 if quick else 1000)
    cost = ratio(lambda: search(Alone(network), few, own), lambda: search(CountedModel(network), few, own), pairs)
    print(f"square, {search.queries} queries of 4 images that resist, one turn a call / several: {cost:.2f}")


if __name__ == "__main__":
    main()
