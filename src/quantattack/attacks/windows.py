"""Where Square's proposals lie, and under L2 and L1 what they look like: windows, and patterns of unit norm in them."""

import math

import torch
from torch import Tensor

from quantattack.attacks.norms import L1, L2, per_image
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


def bump(height: int, width: int, like: Images, norm: L2 | L1) -> Tensor:
    """Return the published pattern of unit norm: a positive and a negative peak with rectangular falloff."""
    half = _peak(height // 2 + height % 2, width, like), _peak(height // 2, width, like)
    whole = torch.cat([half[0], -half[1]])[:height]
    length: Tensor = torch.linalg.vector_norm(whole, _power(norm))
    return whole / length


def _peak(height: int, width: int, like: Images) -> Tensor:
    total = torch.zeros(height, width, dtype=like.dtype, device=like.device)
    y, x = (height - 1) // 2, (width - 1) // 2
    for layer in range(max(height, width)):
        top, left = max(y - layer, 0), max(x - layer, 0)
        total[top : y + layer + 1, left : x + layer + 1] += 1 / (layer + 1) ** 2
    return total


def tiles(clean: Images, rng: Rng, norm: L2 | L1) -> Images:
    """Return the start under L2 and L1: a grid of `bump` patterns with one random sign per tile and channel."""
    _, channels, height, width = clean.shape
    side = max(min(height, width) // 5, 1)
    rows, columns = max(height // side, 1), max(width // side, 1)
    pattern = bump(side, side, clean, norm)
    pattern = pattern.abs() if side == 1 else pattern
    signs = rng.signs(0, SIGNS, (channels, rows, columns), clean.dtype)
    grid = torch.einsum("ncij,ab->nciajb", signs, pattern).reshape(len(clean), channels, rows * side, columns * side)
    whole = torch.zeros_like(clean)
    whole[:, :, : rows * side, : columns * side] = grid
    return whole


def moved_norm(
    clean: Images, best: Images, radius: PerImage, share: int | float, rng: Rng, query: Step, norm: L2 | L1
) -> Images:
    """Proposal under L2 and L1: move one window's norm, and what the radius leaves unused, to a pattern in another.

    What adds up over pixels is the norm to its power p, 2 under L2 and 1 under L1.
    """
    _, channels, height, width = clean.shape
    side = min(max(round(math.sqrt(share * height * width)), 3) | 1, height, width)
    delta = best - clean
    target, source = (window(clean, side, rng, 4 * query + 2 * k).to(delta) for k in (0, 1))
    pattern = _pattern_in(clean, target, side, rng, query, norm)
    old = delta * target
    new = pattern + old / _norms(old, (2, 3), norm)
    total = _summed(_powered(delta, norm), (1, 2, 3))
    unused = (_powered(per_image(radius, clean), norm) - total).clamp_min(0) / channels
    in_windows = _summed(_powered(delta, norm) * torch.maximum(target, source), (2, 3))  # per channel
    new = new / _norms(new, (2, 3), norm) * _rooted(unused + in_windows, norm)
    moved = torch.where(target > 0, new, delta * (1 - source))
    return clean + moved / _norms(moved, (1, 2, 3), norm) * per_image(radius, clean)


def _pattern_in(clean: Images, inside: Tensor, side: int, rng: Rng, query: Step, norm: L2 | L1) -> Images:
    """Return the pattern placed in a window, at random transposed, with one random sign per channel."""
    pattern = bump(side, side, clean, norm)
    transposed = per_image(rng.uniform(query, FRESH, (), clean.dtype) < 0.5, clean)
    signs = rng.signs(query, SIGNS, (clean.shape[1], 1, 1), clean.dtype)
    flat = torch.zeros_like(inside).expand(len(clean), 1, *clean.shape[2:]).clone()
    where = inside.expand_as(flat) > 0
    upright, lying = flat.clone(), flat.clone()
    upright[where] = pattern.flatten().repeat(len(clean))
    lying[where] = pattern.T.flatten().repeat(len(clean))
    return torch.where(transposed, lying, upright) * signs


def _power(norm: L2 | L1) -> int:
    return 1 if isinstance(norm, L1) else 2


def _powered(values: Tensor, norm: L2 | L1) -> Tensor:
    return values.abs() if isinstance(norm, L1) else values.square()


def _rooted(values: Tensor, norm: L2 | L1) -> Tensor:
    return values if isinstance(norm, L1) else values.sqrt()


def _norms(delta: Images, axes: tuple[int, ...], norm: L2 | L1) -> Tensor:
    return _rooted(_summed(_powered(delta, norm), axes), norm).clamp_min(1e-12)


def _summed(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Sum over one axis after the other: threads split a single large sum otherwise than many of them."""
    for axis in reversed(axes):
        values = values.sum(axis, keepdim=True)
    return values
