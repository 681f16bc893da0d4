"""Square: the gradient-free control.  It asks for logits alone, so it runs on any callable, autograd or none."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images, check_threat
from quantattack.attacks.norms import L1, L2, per_image
from quantattack.attacks.success import Criterion, misclassified, nearness
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, check_count
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.rng import FRESH, PLACES, SIGNS, Rng
from quantattack.types import Images, Indices, Mask, Model, PerImage

# After these queries of 10,000 the share of pixels that a proposal changes is halved.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@tagged("Square")
@dataclass(frozen=True, kw_only=True)
class Square:
    """Random search over squares: propose a change of one window, keep it where the margin falls.

    Under Linf a window's pixels move to an end of the ball; under L2 a window gives its share of the length to
    another.  Images that are fooled leave the batch.

    Source: Andriushchenko, Croce, Flammarion and Hein, 2020, https://arxiv.org/abs/1912.00049.

    Arguments:
        threat: Where it may search; Linf or L2.
        queries: Forward passes an image, at most.
        share: Share of the pixels that the first proposals change.
        solved: What counts as success.
        patience: Queries in a row without a better proposal after which an image is given up; None for never.

    Raises:
        InputError: If the norm is L1, or there is less than one query or less than one of patience.
    """

    threat: Threat
    queries: int = 5000
    share: int | float = 0.8
    solved: Criterion = misclassified
    patience: int | None = None
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_threat(self.threat)
        if isinstance(self.threat.norm, L1):
            raise InputError("square works under linf and l2, not under l1; use a gradient attack there")
        check_count("queries", self.queries)
        if self.patience is not None:
            check_count("patience", self.patience)

    @property
    def traits(self) -> Traits:
        return Traits(refills=True, solved=self.solved)

    def passes(self, classes: int) -> int:  # noqa: ARG002
        return self.queries

    def to_the_end(self) -> Attack:
        """It walks nowhere."""
        return self

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Search until every image is fooled or given up, or the queries are spent."""
        images, left = batch.images.clone(), torch.arange(len(batch), device=batch.images.device)
        fooled = torch.full_like(left, self.queries)
        search = _Search.begin(self.threat, batch)
        for query in range(self.queries):
            if not len(left):
                break
            solved = search.ask(model, query, self.queries, self.share, self.solved)
            images[left] = search.best
            fooled[left[solved]] = query
            going = ~solved & (query - search.gained < (self.patience or self.queries))
            left, search = left[going], search.keep(going)
        return Trace(images, fooled, torch.zeros_like(fooled))


@dataclass(eq=False)
class _Search:
    """The images that are still being searched, as (n, channels, height, width)."""

    threat: Threat
    batch: Batch
    radius: PerImage
    best: Images
    loss: PerImage
    gained: Indices
    proposal: Images

    @classmethod
    def begin(cls, threat: Threat, batch: Batch) -> "_Search":
        clean, radius = batch.images, threat.radii(batch.images, batch.radius)
        planes = as_planes(clean)
        delta = _tiles(planes, batch.rng) if isinstance(threat.norm, L2) else _stripes(planes, batch.rng)
        first = clean + (delta.reshape(clean.shape) * per_image(radius / _length(threat, delta), clean))
        first = threat.project(first if batch.start is None else batch.start.to(clean), clean, radius)
        worst = torch.full((len(clean),), -torch.inf, dtype=clean.dtype, device=clean.device)
        never = torch.zeros(len(clean), dtype=torch.int64, device=clean.device)
        return cls(threat, batch, radius, first, worst, never, first)

    def keep(self, mask: Mask) -> "_Search":
        columns = (self.radius, self.best, self.loss, self.gained, self.proposal)
        return _Search(self.threat, self.batch.keep(mask), *(column[mask] for column in columns))

    def ask(self, model: Model, query: int, queries: int, share: int | float, solved: Criterion) -> Mask:
        """Put one query an image; keep what made the margin smaller or fooled the model."""
        if query > 0:
            self.proposal = self._propose(query, changed_share(query, queries, share))
        logits, labels = logits_in_parts(model, self.proposal, self.batch.at_once), self.batch.labels
        fooled, loss = solved(logits, labels), nearness(solved, logits, labels).to(self.loss)
        better = fooled | (loss > self.loss)
        self.best = torch.where(per_image(better, self.best), self.proposal, self.best)
        self.loss = torch.where(better, loss, self.loss)
        self.gained = torch.where(better, query, self.gained)
        return fooled

    def _propose(self, query: int, share: int | float) -> Images:
        clean, best = as_planes(self.batch.images), as_planes(self.best)
        move = _swapped if isinstance(self.threat.norm, L2) else _painted
        moved = move(clean, best, self.radius, share, self.batch.rng, query)
        return self.threat.project(moved.reshape(self.batch.images.shape), self.batch.images, self.radius)


def changed_share(query: int, queries: int, share: int | float) -> float:
    """Return the share of the pixels that a proposal changes, halved on the published schedule."""
    return share * 0.5 ** sum(10000 * query / queries > at for at in _HALVINGS)


def as_planes(images: Images) -> Tensor:
    """View images of any rank as (n, channels, height, width)."""
    if images.ndim < 4:
        return images.reshape(len(images), *[1] * (4 - images.ndim), *images.shape[1:])
    return images.flatten(2, -2)


def _length(threat: Threat, delta: Images) -> PerImage:
    return threat.norm.size(delta).clamp_min(torch.finfo(delta.dtype).tiny)


def _stripes(clean: Images, rng: Rng) -> Images:
    """Vertical stripes of random sign."""
    _, channels, _, width = clean.shape
    return rng.signs(0, SIGNS, (channels, 1, width), clean.dtype).expand_as(clean)


def _painted(clean: Images, best: Images, radius: PerImage, share: int | float, rng: Rng, query: int) -> Images:
    """Set one square to an end of the ball, a random one for each channel."""
    _, channels, height, width = clean.shape
    side = min(max(round(math.sqrt(share * height * width)), 1), max(height, width))
    inside = window(clean, side, rng, 2 * query)
    signs = rng.signs(query, SIGNS, (channels, 1, 1), clean.dtype)
    return torch.where(inside, clean + per_image(radius, clean) * signs, best)


def window(clean: Images, side: int, rng: Rng, step: int) -> Tensor:
    """Return where a random square of a side lies, with shape (n, 1, height, width)."""
    corner = []
    for axis, extent in enumerate(clean.shape[2:]):
        span = min(side, extent)
        first = rng.integers(step + axis, PLACES, extent - span + 1)[:, None]
        at = torch.arange(extent, device=clean.device)[None]
        corner.append((at >= first) & (at < first + span))
    return (corner[0][:, :, None] & corner[1][:, None, :])[:, None]


def bump(height: int, width: int, like: Images) -> Tensor:
    """Return the published L2 pattern: two opposite peaks that fall off in rectangles, at unit length."""
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


def _tiles(clean: Images, rng: Rng) -> Images:
    """Start under L2: a grid of patterns, a random sign for each tile and channel."""
    _, channels, height, width = clean.shape
    side = max(min(height, width) // 5, 1)
    rows, columns = max(height // side, 1), max(width // side, 1)
    pattern = bump(min(side, height), min(side, width), clean).abs() if side == 1 else bump(side, side, clean)
    signs = rng.signs(0, SIGNS, (channels, rows, columns), clean.dtype)
    grid = torch.einsum("ncij,ab->nciajb", signs, pattern).reshape(len(clean), channels, rows * side, columns * side)
    whole = torch.zeros_like(clean)
    whole[:, :, : rows * side, : columns * side] = grid
    return whole


def _swapped(clean: Images, best: Images, radius: PerImage, share: int | float, rng: Rng, query: int) -> Images:
    """Take the length of one window and the length that is to spare, and put them into a pattern in another."""
    _, channels, height, width = clean.shape
    side = min(max(round(math.sqrt(share * height * width)), 3) | 1, height, width)
    delta = best - clean
    to, source = (window(clean, side, rng, 4 * query + 2 * k).to(delta) for k in (0, 1))
    fresh = _placed(clean, to, side, rng, query)
    old = delta * to
    grown = fresh + old / _norms(old, (2, 3))
    total = delta.square().sum((1, 2, 3), keepdim=True)
    spare = (per_image(radius, clean).square() - total).clamp_min(0) / channels
    there = (delta.square() * torch.maximum(to, source)).sum((2, 3), keepdim=True)
    grown = grown / _norms(grown, (2, 3)) * (spare + there).sqrt()
    moved = torch.where(to > 0, grown, delta * (1 - source))
    return clean + moved / _norms(moved, (1, 2, 3)) * per_image(radius, clean)


def _placed(clean: Images, inside: Tensor, side: int, rng: Rng, query: int) -> Images:
    """Put the pattern, along one axis or the other, with a random sign for each channel, into a window."""
    pattern = bump(side, side, clean)
    turned = per_image(rng.uniform(query, FRESH, (), clean.dtype) < 0.5, clean)
    signs = rng.signs(query, SIGNS, (clean.shape[1], 1, 1), clean.dtype)
    flat = torch.zeros_like(inside).expand(len(clean), 1, *clean.shape[2:]).clone()
    where = inside.expand_as(flat) > 0
    upright, lying = flat.clone(), flat.clone()
    upright[where] = pattern.flatten().repeat(len(clean))
    lying[where] = pattern.T.flatten().repeat(len(clean))
    return torch.where(turned, lying, upright) * signs


def _norms(delta: Images, axes: tuple[int, ...]) -> Tensor:
    return delta.square().sum(axes, keepdim=True).sqrt().clamp_min(1e-12)
