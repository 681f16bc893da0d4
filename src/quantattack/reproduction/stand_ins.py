"""How a network differs from the paper's that it stands in for: both are measured, none is described by hand."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quantattack.nn.architectures import build
from quantattack.nn.zoo import card_of, load_model
from quantattack.reproduction.roles import Role
from quantattack.training.recipes import RECIPES


@dataclass(frozen=True)
class Facts:
    """Size and training of a network.

    Arguments:
        layers: Number of weight layers, shortcuts included.
        narrowest: Fewest outputs of a layer but the last.
        widest: Most outputs of a layer but the last.
        weights: Number of weights.
        epochs: Epochs of its training; None if unknown.
        steps: Steps of the attack that it was trained against; 0 if it was trained without one, None if unknown.
        stem: Stride of its first convolution; 1 if there is none.
        scaled: The scale during its training in words; empty where it is 1 throughout.
        augmented: Whether the images of its training were changed at random, or nothing is known of it.
    """

    layers: int
    narrowest: int
    widest: int
    weights: int
    epochs: int | None
    steps: int | None
    stem: int
    scaled: str
    augmented: bool

    @property
    def size(self) -> str:
        """Layers, channels, weights and the stride that makes the images smaller at once, in words."""
        millions = f"{self.weights / 1e6:.2g} million weights"
        stem = f", a first layer of stride {self.stem}" if self.stem > 1 else ""
        return f"{self.layers} weight layers of {self.narrowest} to {self.widest} channels, {millions}{stem}"

    @property
    def training(self) -> str:
        """Epochs, attack steps, augmentation and the scale of the logits in words; empty if unknown."""
        against = f" against {self.steps} steps" if self.steps else ""
        parts = (f"{self.epochs} epochs{against}", "without augmentation" * (not self.augmented), self.scaled)
        return ", ".join(part for part in parts if part) if self.epochs else ""


def difference(name: str, role: Role) -> str:
    """Return in words how a network differs from the recipe at the papers' scale, with the role's remark.

    Arguments:
        name: Name of a network of the zoo, or path of its checkpoint.
        role: The paper's network that it stands in for.
    """
    here, full = facts_of(name), role.full[0]
    there = recipe_facts(full) if full in RECIPES and full != Path(name).stem else None
    parts = [here.size, here.training]
    if there is not None:
        pairs = [(here.size, there.size), (here.training, there.training)]
        parts = [f"{mine} in place of {theirs}" for mine, theirs in pairs if mine != theirs and mine]
    return "; ".join(part for part in (*parts, role.remark) if part)


@cache
def facts_of(name: str) -> Facts:
    """Return the facts of a network of the zoo or a checkpoint, from its weights and its card."""
    card = card_of(name)
    adversary = json.loads(card.adversarial) if card.adversarial else {}
    steps = adversary.get("attack", {}).get("steps") if adversary else 0
    return _facts(load_model(name), card.training, steps)


@cache
def recipe_facts(name: str) -> Facts:
    """Return the facts of the network that the recipe of a name would train."""
    recipe = RECIPES[name]
    with torch.device("meta"):
        model = build(recipe.architecture, recipe.options)
    attack = None if recipe.adversarial is None else recipe.adversarial.attack
    steps = 0 if attack is None else getattr(attack, "steps", None)
    return _facts(model, asdict(recipe.training), steps)


def scale_words(scale: float | Mapping[str, Any]) -> str:
    """Return in words what a training's loss multiplied the logits with; empty for 1.

    Arguments:
        scale: A number, or the fields of a `Rise`.
    """
    if isinstance(scale, Mapping):
        begins = scale.get("hold", 0.0)  # which older cards do not have
        between = f"{100 * begins:.0f} and {100 * scale['share']:.0f} % of the updates"
        return f"on {scale['first']:.3g} times its logits, rising to all of them between {between}"
    return f"on {scale:.3g} times its logits" if scale != 1 else ""


def _facts(model: nn.Module, training: Mapping[str, Any], steps: int | None) -> Facts:
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    outputs, count = [len(weight) for weight in weights[:-1]], sum(weight.numel() for weight in weights)
    stem = next((part.stride[0] for part in model.modules() if isinstance(part, nn.Conv2d)), 1)
    scaled, augmented = scale_words(training.get("logit_scale", 1.0)), training.get("augment") != "none"
    ends = min(outputs), max(outputs)
    return Facts(len(weights), *ends, count, training.get("epochs"), steps, stem, scaled, augmented)
