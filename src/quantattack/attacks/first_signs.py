"""The first signs of a network: read as an affine function of the image, and set to any pattern."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantattack.attacks.cells import Patterns
from quantattack.gradients import is_twinned, logits_in_parts, parts_of
from quantattack.nn.convert import activations
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import Sign
from quantattack.types import Images, Model

READING = 5  # forward passes that reading the first signs costs, beside one for each pixel
_LARGEST = 1 << 24  # entries of the matrix from pixels to signs
_AFFINE = 1e-4  # largest error of an affine prediction, in shares of the largest value
_AT_ONCE = 512


class SignsLost(Exception):
    """The first signs were not called as they must be: once for all images, and for each number of images alike."""


@dataclass(eq=False)
class _Tap:
    """A hook on every sign: it notes what enters the first one that is called, and can replace what leaves it."""

    rows: int = 0
    seen: Tensor | None = None
    pattern: Patterns | None = None

    def await_rows(self, rows: int, pattern: Patterns | None = None) -> None:
        """Begin a call of the model with a number of images."""
        self.rows, self.seen, self.pattern = rows, None, pattern

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any], output: Tensor) -> Any:
        if self.seen is not None:
            return None
        value = (*inputs, *named.values())[0]
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) < self.rows:
            raise SignsLost
        self.seen = value.detach().clone()
        return None if self.pattern is None else self._replaced(self.pattern, output)

    def _replaced(self, pattern: Patterns, output: Tensor) -> Tensor:
        if output[0].numel() != pattern.shape[1]:
            raise SignsLost
        rows = torch.zeros(len(output), dtype=torch.long)  # a padded batch repeats its first image
        rows[: self.rows] = torch.arange(self.rows)
        return (pattern[rows].to(output) * 2 - 1).reshape(output.shape)


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
        """Return what enters the first signs, in float64, with shape (n, units).

        Raises:
            SignsLost: If the model does not call them as it did before.
        """
        values = _before(self.model, self.tap, images, self.at_once)
        if values.shape[1] != len(self.slopes):
            raise SignsLost
        return values

    def logits(self, image: Images, patterns: Patterns) -> Tensor:
        """Return the logits of the rest of the network for patterns of the first signs, with shape (n, k).

        Arguments:
            image: What the network sees beside them, with shape (1, ...).
            patterns: Where the first signs are positive, with shape (n, units).

        Raises:
            SignsLost: If the model does not call them as it did before.
        """
        parts = []
        for rows in parts_of(len(patterns), self.at_once):
            part = patterns[rows]
            self.tap.await_rows(len(part), part)
            parts.append(logits_in_parts(self.model, image.expand(len(part), *image.shape[1:])))
            if self.tap.seen is None:
                raise SignsLost
        return torch.cat(parts)


def first_signs(model: Model, shape: torch.Size, like: Tensor, at_once: int | None = None) -> FirstSigns | None:
    """Return the first signs of a model; None if it has none, too many, or what enters them is not affine.

    It costs a forward pass for each pixel and four; four alone where the image's middle tells that it is not affine.

    Arguments:
        model: Maps images in [0, 1] to logits.
        shape: Shape of an image.
        like: Any tensor of the images' dtype and device.
        at_once: Largest batch; by default 512.
    """
    if not isinstance(model, nn.Module) or is_twinned(model) or not any(_signs(model)):
        return None
    widths = (at_once, getattr(model, "width", None), getattr(model, "rows", None), _AT_ONCE)
    model, tap, at_once = (
        copy.deepcopy(model),
        _Tap(),
        min(width for width in widths if isinstance(width, int) and width),
    )
    for sign in _signs(model):
        sign.register_forward_hook(tap, with_kwargs=True)
    try:
        slopes = _slopes(model, tap, shape, like, at_once)
    except SignsLost:
        return None
    return None if slopes is None else FirstSigns(model, tap, slopes, at_once)


def _signs(model: nn.Module) -> list[Projection]:
    return [each for _, each in activations(model) if isinstance(each.quantizer, Sign)]


def _slopes(model: Model, tap: _Tap, shape: torch.Size, like: Tensor, at_once: int) -> Tensor | None:
    """Return what each pixel adds before each sign; None where there is too much of it, or it is not affine."""
    pixels = shape.numel()
    shares = torch.stack([torch.full((pixels,), share, device=like.device) for share in (0.0, 1.0, 0.5)])
    probes = torch.cat([shares, torch.linspace(0, 1, pixels, device=like.device)[None]])
    at = _before(model, tap, probes.to(like).reshape(4, *shape), at_once)
    limit = _AFFINE * at.abs().max()
    if at.shape[1] * pixels > _LARGEST or (at[0] + at[1] - 2 * at[2]).abs().max() > limit:
        return None
    units = [
        _before(model, tap, _unit_images(rows, pixels, like).reshape(-1, *shape), at_once)
        for rows in parts_of(pixels, at_once)
    ]
    slopes = torch.cat(units) - at[0]
    error = at - at[0] - probes.double().cpu() @ slopes
    return slopes.T if error.abs().max() <= limit else None


def _unit_images(rows: slice, pixels: int, like: Tensor) -> Tensor:
    """Return flat images of one white pixel each."""
    return functional.one_hot(torch.arange(rows.start, rows.stop, device=like.device), pixels).to(like)


def _before(model: Model, tap: _Tap, images: Images, at_once: int) -> Tensor:
    values: list[Tensor] = []
    for rows in parts_of(len(images), at_once):
        tap.await_rows(len(images[rows]))
        logits_in_parts(model, images[rows])
        if tap.seen is None or (values and tap.seen[0].numel() != values[0].shape[1]):
            raise SignsLost
        values.append(tap.seen[: len(images[rows])].flatten(1).double().cpu())
    return torch.cat(values)
