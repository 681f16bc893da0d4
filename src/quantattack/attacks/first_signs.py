"""The first signs of a network: read as an affine function of the image, and set to any pattern."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.attacks.cells import Patterns
from quantattack.gradients import logits_in_parts, parts_of
from quantattack.nn.convert import projections
from quantattack.nn.quantizers import Sign
from quantattack.types import Images, Model

_LARGEST = 1 << 24  # entries of the matrix from pixels to signs
_AFFINE = 1e-4  # largest error of an affine prediction, in shares of the largest value


@dataclass(eq=False)
class _Tap:
    """A hook on every sign: it notes what enters the first one that is called, and can replace what leaves it."""

    seen: Tensor | None = None
    pattern: Patterns | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Any:  # noqa: ARG002
        if self.seen is not None:
            return None
        self.seen = inputs[0].detach()
        if self.pattern is None:
            return None
        rows = torch.zeros(len(output), dtype=torch.long)  # a padded batch repeats its first image
        rows[: len(self.pattern)] = torch.arange(len(self.pattern))
        return (self.pattern[rows].to(output) * 2 - 1).reshape(output.shape)


@dataclass(eq=False)
class FirstSigns:
    """The first signs of a copy of a model.

    Arguments:
        model: The copy, with a hook on its signs.
        tap: The hook.
        slopes: What each pixel adds before each sign, in float64, with shape (units, d).
        at_once: Largest batch.
    """

    model: Model
    tap: _Tap
    slopes: Tensor
    at_once: int

    def before(self, images: Images) -> Tensor:
        """Return what enters the first signs, in float64, with shape (n, units)."""
        return _before(self.model, self.tap, images, self.at_once)

    def logits(self, image: Images, patterns: Patterns) -> Tensor:
        """Return the logits of the rest of the network for patterns of the first signs, with shape (n, k).

        Arguments:
            image: What the network sees beside them, with shape (1, ...).
            patterns: Where the first signs are positive, with shape (n, units).
        """
        parts = []
        for rows in parts_of(len(patterns), self.at_once):
            self.tap.seen, self.tap.pattern = None, patterns[rows]
            parts.append(logits_in_parts(self.model, image.expand(len(patterns[rows]), *image.shape[1:])))
        self.tap.pattern = None
        return torch.cat(parts)


def first_signs(model: Model, shape: torch.Size, like: Tensor, at_once: int | None = None) -> FirstSigns | None:
    """Return the first signs of a model; None if it has none, too many, or what enters them is not affine.

    It costs a forward pass for each pixel, and three.

    Arguments:
        model: Maps images in [0, 1] to logits.
        shape: Shape of an image.
        like: Any tensor of the images' dtype and device.
        at_once: Largest batch; by default 512.
    """
    if not isinstance(model, nn.Module) or not any(isinstance(each.quantizer, Sign) for _, each in projections(model)):
        return None
    model, tap, at_once = copy.deepcopy(model), _Tap(), at_once or 512
    for _, each in projections(model):
        if isinstance(each.quantizer, Sign):
            each.register_forward_hook(tap)
    pixels = shape.numel()
    probes = torch.stack([torch.zeros(pixels), torch.ones(pixels), torch.linspace(0, 1, pixels)])
    at = _before(model, tap, probes.to(like).reshape(3, *shape), at_once)
    if at.shape[1] * pixels > _LARGEST:
        return None
    slopes = _before(model, tap, torch.eye(pixels).to(like).reshape(pixels, *shape), at_once) - at[0]
    error = at - at[0] - probes.double() @ slopes
    return FirstSigns(model, tap, slopes.T, at_once) if error.abs().max() <= _AFFINE * at.abs().max() else None


def _before(model: Model, tap: _Tap, images: Images, at_once: int) -> Tensor:
    values: list[Tensor] = []
    for rows in parts_of(len(images), at_once):
        tap.seen = None
        logits_in_parts(model, images[rows])
        assert tap.seen is not None
        values.append(tap.seen[: len(images[rows])].flatten(1).double().cpu())
    return torch.cat(values)
