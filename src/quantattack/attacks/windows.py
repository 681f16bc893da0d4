"""Where Square's proposals lie, and under L2 what they look like: windows, and patterns of unit norm in them."""

import math

import torch
from torch import Tensor

from quantattack.attacks.norms import per_image
from quantattack.rng import FRESH, PLACES, SIGNS, Rng, Step
from quantattack.types import Images, PerImage


def window(clean: Images, side: int, rng: Rng, step: Step) -> Tensor:
    """Return the mask of a random square of the given side, with shape (n, 1, height, width)."""
    corner = []
    for axis, extent in enumerate(clean.shape[2:]):
        span = min(side, extent)
        first = rng.integers(step + axis, PLACES, extent - span + 1)[:, None]
        at = torch.arange(extent, device=clean.device)[None]
        corner.append((at >= first) & (at < first + span))
    return (corner[0][:, :, None] & corner[1][:, None, :])[:, None]


def bump(height: int, width: int, like: Images) -> Tensor:
    """Return the published L2 pattern of unit norm: a positive and a negative peak with rectangular falloff."""
    half = _peak(height // 2 + height % 2, width, like), _peak(height // 2, width, like)
    whole = torch.cat([half[0], -half[1]])[:height]
    length: Tensor = torch.linalg.vector_norm(whole)
    return whole / length


def _peak(height: int, width: int, like: Images) -> Tensor:
    total = torch.zeros(height, width, dtype=like.dtype, device=like.device)
    y, x = (height - 1) // 2, (width - 1) // 2
    for layer in range(max(height, width)):
        top, left = max(y - layer, 0), max(x - layer, 0)
        total[top : y + layer + 1, left : x + layer + 1] += 1 / (layer + 1) ** 2
    return total


def tiles(clean: Images, rng: Rng) -> Images:
    """Return the L2 start: a grid of `bump` patterns with one random sign per tile and channel."""
    _, channels, height, width = clean.shape
    side = max(min(height, width) // 5, 1)
    rows, columns = max(height // side, 1), max(width // side, 1)
    pattern = bump(min(side, height), min(side, width), clean).abs() if side == 1 else bump(side, side, clean)
    signs = rng.signs(0, SIGNS, (channels, rows, columns), clean.dtype)
    grid = torch.einsum("ncij,ab->nciajb", signs, pattern).reshape(len(clean), channels, rows * side, columns * side)
    whole = torch.zeros_like(clean)
    whole[:, :, : rows * side, : columns * side] = grid
    return whole


def l2_proposal(clean: Images, best: Images, radius: PerImage, share: int | float, rng: Rng, query: Step) -> Images:
    """L2 proposal: move the norm of one window, and what the radius leaves unused, to a pattern in another."""
    _, channels, height, width = clean.shape
    side = min(max(round(math.sqrt(share * height * width)), 3) | 1, height, width)
    delta = best - clean
    target, source = (window(clean, side, rng, 4 * query + 2 * k).to(delta) for k in (0, 1))
    pattern = _pattern_in(clean, target, side, rng, query)
    old = delta * target
    new = pattern + old / _norms(old, (2, 3))
    total = _summed(delta.square(), (1, 2, 3))
    unused = (per_image(radius, clean).square() - total).clamp_min(0) / channels
    in_windows = _summed(delta.square() * torch.maximum(target, source), (2, 3))  # squared norm per channel
    new = new / _norms(new, (2, 3)) * (unused + in_windows).sqrt()
    moved = torch.where(target > 0, new, delta * (1 - source))
    return clean + moved / _norms(moved, (1, 2, 3)) * per_image(radius, clean)


def _pattern_in(clean: Images, inside: Tensor, side: int, rng: Rng, query: Step) -> Images:
    """Return the pattern placed in a window, at random transposed, with one random sign per channel."""
    pattern = bump(side, side, clean)
    transposed = per_image(rng.uniform(query, FRESH, (), clean.dtype) < 0.5, clean)
    signs = rng.signs(query, SIGNS, (clean.shape[1], 1, 1), clean.dtype)
    flat = torch.zeros_like(inside).expand(len(clean), 1, *clean.shape[2:]).clone()
    where = inside.expand_as(flat) > 0
    upright, lying = flat.clone(), flat.clone()
    upright[where] = pattern.flatten().repeat(len(clean))
    lying[where] = pattern.T.flatten().repeat(len(clean))
    return torch.where(transposed, lying, upright) * signs


def _norms(delta: Images, axes: tuple[int, ...]) -> Tensor:
    return _summed(delta.square(), axes).sqrt().clamp_min(1e-12)


def _summed(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Sum over one axis after the other: threads split a single large sum otherwise than many of them."""
    for axis in reversed(axes):
        values = values.sum(axis, keepdim=True)
    return values
