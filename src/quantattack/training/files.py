"""Recipes as YAML files, checked against a schema."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from quantattack.attacks.temperature import Fixed, unit
from quantattack.errors import InputError
from quantattack.nn.checkpoints import quantizer_of
from quantattack.training.fit import Settings
from quantattack.training.runs import Recipe, madry


def _fraction(value: Any) -> Any:
    try:
        return float(Fraction(value)) if isinstance(value, str) else value
    except (ValueError, ZeroDivisionError):
        return value


Pixels = Annotated[float, BeforeValidator(_fraction)]


class Inner(BaseModel):
    """The PGD of adversarial training: radius and step size as numbers or fractions such as 8/255."""

    model_config = ConfigDict(extra="forbid")
    radius: Pixels = 8 / 255
    step_size: Pixels = 2 / 255
    steps: int = 7


class File(BaseModel):
    """What a recipe's file may hold; a quantizer is its class name, or that and its settings."""

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


def read_recipe(path: Path | str) -> Recipe:
    """Return the recipe of a YAML file.

    Raises:
        InputError: If the file cannot be read, is not YAML, or holds what a recipe does not have.

    """
    try:
        file = File.model_validate(yaml.safe_load(Path(path).read_text()))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())[:120]}") from None
    except ValidationError as error:
        raise InputError(f"{path} is not a recipe: {_first(error)}") from None
    return _recipe(file)


def _recipe(file: File) -> Recipe:
    parts = {key: getattr(file, key) for key in ("name", "data", "architecture", "options", "skip", "training", "half")}
    scale = file.training.logit_scale
    climbed = unit if scale == 1 else Fixed(scale)  # the adversary climbs the logits that the training's loss sees
    adversarial = madry(**file.adversarial.model_dump(), temperature=climbed) if file.adversarial else None
    weights, activations = _quantizer(file.weights), _quantizer(file.activations)
    return Recipe(**parts, weights=weights, activations=activations, adversarial=adversarial)


def _quantizer(entry: dict[str, Any] | str | None) -> Any:
    return quantizer_of({"quantizer": entry} if isinstance(entry, str) else entry)


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"
