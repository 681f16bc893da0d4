"""Mask gradients on purpose, at random; count how often the diagnosis flags them, and how often honest networks.

Usage: python benchmarks/maskings.py --out results/maskings [--draws 4] [--honest 6] [--seed 0]
"""

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.diagnostics.diagnose import Diagnosis, diagnose
from quantattack.nn.architectures import build
from quantattack.nn.convert import quantize
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import BinaryConnect, BnnWaq, Quantizer, Sign
from quantattack.nn.zoo import load_model
from quantattack.training.fit import fit
from quantattack.training.latent import clamp_latents
from quantattack.training.schedules import OneCycle
from quantattack.training.settings import Settings

RADIUS = 0.2
REASON = {
    "scale": "saturation",
    "distillation": "saturation",
    "hard_sign": "no_gradient",
    "detach": "no_gradient",
    "rounding": "shattered",
    "noise": "random",
    "batch": "batch_dependent",
}


class Scaled(nn.Module):
    """Logits times a factor."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.model(x)


class Rounded(nn.Module):
    """Pixels rounded to a number of levels, whose derivative is zero."""

    def __init__(self, model: nn.Module, levels: int) -> None:
        super().__init__()
        self.model, self.levels = model, levels

    def forward(self, x: Tensor) -> Tensor:
        return self.model(torch.round(x * (self.levels - 1)) / (self.levels - 1))


class Noisy(nn.Module):
    """Noise on the pixels, or on the logits in proportion to their deviation."""

    def __init__(self, model: nn.Module, size: float, place: str) -> None:
        super().__init__()
        self.model, self.size, self.place = model, size, place

    def forward(self, x: Tensor) -> Tensor:
        if self.place == "input":
            return self.model(x + self.size * torch.randn_like(x))
        logits = self.model(x)
        return logits + self.size * logits.detach().std(1, keepdim=True) * torch.randn_like(logits)


class Batched(nn.Module):
    """An image's logits depend on the batch: its statistics on the logits, or its mean image taken from the pixels."""

    def __init__(self, model: nn.Module, weight: float, place: str) -> None:
        super().__init__()
        self.model, self.weight, self.place = model, weight, place

    def forward(self, x: Tensor) -> Tensor:
        if self.place == "input":
            return self.model(x - self.weight * (x.mean(0) - x.mean()))
        logits = self.model(x)
        whole = (logits - logits.mean(0)) / (logits.std(0) + 1e-5)
        return (1 - self.weight) * logits / logits.detach().std() + self.weight * whole


class Detached(nn.Module):
    """The backward pass is cut, at the pixels or at the logits."""

    def __init__(self, model: nn.Module, place: str) -> None:
        super().__init__()
        self.model, self.place = model, place

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.detach()) if self.place == "input" else self.model(x).detach()


class HardSign(nn.Module):
    """The sign with its own derivative, zero."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x >= 0, 1.0, -1.0) + 0 * x.sign()


def without_surrogate(model: nn.Module, layers: Sequence[str]) -> nn.Module:
    """Return a copy whose sign activations of these names have no surrogate derivative."""
    result = deepcopy(model)
    for name in layers:
        parent, _, child = name.rpartition(".")
        setattr(result.get_submodule(parent), child, HardSign())
    return result


def signs(model: nn.Module) -> list[str]:
    """Return the names of a network's sign activations."""
    return [name for name, part in model.named_modules() if isinstance(part, Projection) and part.quantizer == Sign()]


@dataclass(frozen=True)
class Case:
    """One model, masked or honest, and what the diagnosis must say about it."""

    kind: str
    network: str
    setting: dict[str, Any] = field(default_factory=dict)
    radius: float = RADIUS
    seed: int = 0


@dataclass
class Networks:
    """The networks by name, each made when it is first asked for."""

    epochs: int = 12
    made: dict[str, nn.Module] = field(default_factory=dict)

    def __call__(self, name: str) -> nn.Module:
        if name not in self.made:
            self.made[name] = MAKERS[name](self.epochs)
        return self.made[name]


def trained(
    epochs: int, weights: Quantizer | None, activations: Quantizer | None, adversarial: bool = False, **options: Any
) -> nn.Module:
    """Train a network on the digits."""
    images, labels = load_data("digits", split="train")
    torch.manual_seed(0)
    model = quantize(build("small", options), weights=weights, activations=activations)
    attack = pgd(Threat(Linf(), RADIUS), steps=5, step_size=RADIUS / 2)
    adversary = (lambda net, x, y: attack(net, x, y)) if adversarial else None
    rate = OneCycle(5e-3 if adversarial else 1e-2, rise=0.1)
    fit(model, images, labels, Settings(epochs=epochs, batch_size=64, rate=rate), adversary=adversary)
    return model.eval()


MAKERS: dict[str, Callable[[int], nn.Module]] = {
    "float": lambda _: load_model("digits-float"),
    "bn": lambda _: load_model("digits-mdtanhs-bn"),
    "adversarial": lambda epochs: trained(epochs, None, None, adversarial=True, width=16),
    "sign-float": lambda epochs: trained(2 * epochs, None, Sign(), head_norm=True, width=16),
    "sign-bc": lambda epochs: trained(2 * epochs, BinaryConnect(), Sign(), head_norm=True),
    "sign-waq": lambda epochs: trained(2 * epochs, BnnWaq(), Sign(), head_norm=True),
}
PLAIN = ("float", "bn", "adversarial")
SIGNED = ("sign-float", "sign-bc", "sign-waq")


def distilled(teacher: nn.Module, name: str, temperature: float, epochs: int, seed: int) -> nn.Module:
    """Train a student at a temperature on the teacher's probabilities; it is used at temperature 1.

    Source: Papernot et al., 2016, https://arxiv.org/abs/1511.04508.  The student of the adversarially trained teacher
    sees attacked images, the one of the binary teacher has binary weights.
    """
    images, labels = load_data("digits", split="train")
    torch.manual_seed(seed)
    student = quantize(build("small", {"width": 16}), weights=BinaryConnect() if name == "bn" else None)
    attack = pgd(Threat(Linf(), RADIUS), steps=5, step_size=RADIUS / 2)
    steps, size = epochs * (len(images) // 64), 64
    optimizer = torch.optim.Adam(student.parameters(), 1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (size,))
        x, y = images[chosen], labels[chosen]
        if name == "adversarial":
            x = attack(Scaled(student.eval(), 1 / temperature), x, y)
        with torch.no_grad():
            soft = teacher(images[chosen]).softmax(1)
        logits = student.train()(x) / temperature
        loss = -(soft * logits.log_softmax(1)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        clamp_latents(student)
    return student.eval()


def masked(case: Case, networks: Networks) -> nn.Module:
    """Return the model of a case."""
    model, setting = networks(case.network), case.setting
    wrappers: dict[str, Callable[..., nn.Module]] = {
        "scale": Scaled,
        "rounding": Rounded,
        "noise": Noisy,
        "batch": Batched,
        "detach": Detached,
        "hard_sign": without_surrogate,
    }
    if case.kind == "distillation":
        return distilled(model, case.network, setting["temperature"], networks.epochs, case.seed)
    return (wrappers[case.kind](model, **setting) if case.kind in wrappers else model).eval()


def draw(kind: str, network: str, dice: random.Random, networks: Networks) -> dict[str, Any]:
    """Draw a masking's strength."""
    if kind == "scale":
        return {"factor": 10 ** dice.uniform(2, 5)}
    if kind == "distillation":
        return {"temperature": 20 * 10 ** dice.uniform(0, 1)}
    if kind == "rounding":
        return {"levels": dice.randint(4, 32)}
    if kind == "noise":
        return {
            "size": 10 ** dice.uniform(math.log10(0.005), math.log10(0.2)),
            "place": dice.choice(("input", "logits")),
        }
    if kind == "batch":
        return {"weight": dice.uniform(0.2, 1), "place": dice.choice(("input", "logits"))}
    if kind == "detach":
        return {"place": dice.choice(("input", "logits"))}
    names = signs(networks(network))
    return {"layers": sorted(dice.sample(names, dice.randint(1, len(names))))}


def drawn(draws: int, honest: int, seed: int, networks: Networks) -> list[Case]:
    """Draw the cases: each masking on three networks, and honest networks at drawn radii."""
    dice = random.Random(seed)
    pairs = [(kind, network) for kind in REASON for network in (SIGNED if kind == "hard_sign" else PLAIN)]
    cases = [
        Case(kind, network, draw(kind, network, dice, networks), seed=dice.randrange(10**6))
        for kind, network in pairs
        for _ in range(1 if kind == "detach" else draws)
    ]
    # a surrogate derivative is no masking, and no promise either: these are counted by themselves
    bare = [("honest", network) for network in PLAIN] + [("surrogate", network) for network in SIGNED]
    cases += [
        Case(kind, network, radius=dice.uniform(0.1, 0.3), seed=dice.randrange(10**6))
        for kind, network in bare
        for _ in range(honest if kind == "honest" else honest // 2)
    ]
    return cases


def run(case: Case, networks: Networks, images: int = 100) -> Diagnosis:
    """Diagnose a case on test images drawn by its seed."""
    model = masked(case, networks)
    pixels, labels = load_data("digits")
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(case.seed))[:images]
    torch.manual_seed(case.seed)
    threat = Threat(Linf(), case.radius)
    return diagnose(model, pixels[order], labels[order], threat, seed=case.seed, indices=order)


def told(case: Case, found: Diagnosis, seconds: float) -> dict[str, Any]:
    """Return a case's row of the record."""
    wanted = REASON.get(case.kind)
    row = {**asdict(case), "wanted": wanted, "trusted": found.trusted, "reasons": list(found.reasons)}
    row |= {
        "flagged": not found.trusted,
        "masked": found.masked,
        "reason_found": wanted in found.reasons if wanted else not found.masked,
    }
    row |= {"first_reason": found.reasons[:1] == (wanted,) if wanted else not found.masked}
    row |= {key: round(getattr(found, key), 3) for key in ("clean", "pgd", "worst", "forwards", "backwards")}
    return {**row, "seconds": round(seconds, 1)}


def rates(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return for each kind how many cases there were, how many were flagged, and how many with their reason."""
    kinds = dict.fromkeys(row["kind"] for row in rows)
    found = {kind: [row for row in rows if row["kind"] == kind] for kind in kinds}
    found["masked"] = [row for row in rows if row["wanted"]]
    keys = ("flagged", "masked", "reason_found", "first_reason")
    return {
        kind: {"cases": len(some), **{key: sum(row[key] for row in some) for key in keys}}
        for kind, some in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/maskings"))
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--honest", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    networks, rows = Networks(), []
    for case in drawn(given.draws, given.honest, given.seed, networks):
        begun = time.perf_counter()
        found = run(case, networks)
        rows.append(told(case, found, time.perf_counter() - begun))
        print(
            case.kind,
            case.network,
            case.setting,
            f"clean {found.clean:.2f} pgd {found.pgd:.2f} worst {found.worst:.2f}",
            *found.reasons,
            flush=True,
        )
    summary = {"seed": given.seed, "images": 100, "torch": torch.__version__, "rates": rates(rows), "cases": rows}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "maskings.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for kind, rate in summary["rates"].items():
        print(f"{kind:14s}", *(f"{key} {value}" for key, value in rate.items()))


if __name__ == "__main__":
    main()
