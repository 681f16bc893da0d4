"""Recipes as YAML files, checked against a schema."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from quantattack.attacks.base import Attack
from quantattack.attacks.norms import Linf
from quantattack.attacks.scaling.base import Temperature, unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.nn.checkpoints import quantizer_of
from quantattack.nn.quantizers.names import KINDS, class_named
from quantattack.reading import name_and_settings, read_yaml, shown
from quantattack.training.settings import Settings
from quantattack.training.train import Adversarial, Recipe, madry


def _fraction(value: Any) -> Any:
    try:
        return float(Fraction(value)) if isinstance(value, str) else value
    except (ValueError, ZeroDivisionError, OverflowError):
        return value


Pixels = Annotated[float, BeforeValidator(_fraction)]


Finder: TypeAlias = Callable[[str, Threat], Attack]


class Inner(BaseModel):
    """The attack inside an adversarial training; radius and step size are numbers or fractions such as 8/255.

    Arguments:
        radius: Of the ball under Linf, in pixels of [0, 1].
        step_size: Of a step of PGD, in pixels of [0, 1].
        steps: Steps of PGD.
        attack: Another attack in place of PGD, with its settings in brackets as on the command line. It walks to its
            last iterate, and where it has no temperature of its own it climbs the logits that the training's loss sees.
    """

    model_config = ConfigDict(extra="forbid")
    radius: Pixels = 8 / 255
    step_size: Pixels = 2 / 255
    steps: int = 7
    attack: str | None = None

    @model_validator(mode="after")
    def _one_attack(self) -> "Inner":
        if self.attack is not None and self.model_fields_set & {"step_size", "steps"}:
            raise ValueError("a named attack has its steps and step_size in its brackets, as in pqgd[steps=7]")
        return self


class File(BaseModel):
    """The schema of a recipe's file; a quantizer is given by its name, alone or with its settings."""

    model_config = ConfigDict(extra="forbid")
    name: str
    data: str
    architecture: str
    options: dict[str, Any] = {}
    weights: dict[str, Any] | str | None = None
    activations: dict[str, Any] | str | None = None
    skip: tuple[str, ...] = ()
    training: Settings
    adversarial: Inner | None = None
    half: bool = True


def read_recipe(path: Path | str, named: Finder | None = None) -> Recipe:
    """Return the recipe of a YAML file.

    Arguments:
        path: The file.
        named: Returns the attack of a name under a threat; None where attacks cannot be named.

    Raises:
        InputError: If the file cannot be read, is not YAML, or holds what a recipe does not have.

    """
    settings = read_yaml(path, "architecture: lenet")
    try:
        file = File.model_validate(settings)
    except ValidationError as error:
        raise InputError(f"{shown(path)} is not a recipe: {_first(error)}") from None
    return _recipe(file, named)


_KEPT = ("name", "data", "architecture", "options", "skip", "training", "half")  # as they are


def _recipe(file: File, named: Finder | None) -> Recipe:
    settings = {key: getattr(file, key) for key in _KEPT}
    adversarial = _adversary(file.adversarial, file.training.last_scale, named) if file.adversarial else None
    weights, activations = _quantizer("weights", file.weights), _quantizer("activations", file.activations)
    return Recipe(**settings, weights=weights, activations=activations, adversarial=adversarial)


def _adversary(inner: Inner, scale: float, named: Finder | None) -> Adversarial:
    climbed = unit if scale == 1 else Fixed(scale)  # the adversary climbs the logits that the training's loss sees
    if inner.attack is None:
        return madry(inner.radius, inner.step_size, inner.steps, climbed)
    if named is None:
        raise InputError(
            f"{inner.attack} is read by `quantattack train`; in Python give Adversarial(attack) to a Recipe"
        )
    return Adversarial(_inside(named(inner.attack, Threat(Linf(), inner.radius)), climbed))


def _inside(attack: Any, climbed: Temperature) -> Any:
    """Return an attack whose walks go to their last iterate, where the loss is highest, on the training's logits."""
    if isinstance(attack, Mapping):
        return {name: _inside(member, climbed) for name, member in attack.items()}
    if not is_dataclass(attack) or isinstance(attack, type):
        return attack
    own = {setting.name: getattr(attack, setting.name) for setting in fields(attack)}
    changed: dict[str, Any] = {name: _inside(own[name], climbed) for name in ("attack", "attacks") if name in own}
    if own.get("temperature") is unit and own.get("pair") is None:
        changed["temperature"] = climbed
    if "last_iterate" in own:
        changed["last_iterate"] = True
    return replace(attack, **changed)


def _quantizer(kind: str, entry: dict[str, Any] | str | None) -> Any:
    """Return the quantizer of an entry: its name, alone or with settings in brackets, or as a mapping."""
    if entry is None:
        return None
    name, settings = name_and_settings("quantizer", entry) if isinstance(entry, str) else _named(kind, dict(entry))
    return quantizer_of({"quantizer": class_named(kind, name), **settings})


def _named(kind: str, entry: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if not isinstance(entry.get("quantizer"), str):
        raise InputError(f"{kind} must name a quantizer: {{quantizer: {KINDS[kind][-1].__name__}, bits: 4}}")
    return entry.pop("quantizer"), entry


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the file"
    return f"{where}: {first['msg']}"
