"""Square Attack: gradient-free random search.  It needs only logits, so it runs on models without autograd."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from quantattack.attacks.ahead import Ahead, Padded, is_padded
from quantattack.attacks.arguments import check_threat
from quantattack.attacks.asking import ask_until_solved
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images
from quantattack.attacks.norms import L1, L2, per_image
from quantattack.attacks.success import Criterion, misclassified, nearness
from quantattack.attacks.threat import Threat
from quantattack.attacks.windows import moved_norm, tiles, window
from quantattack.errors import check_count
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.rng import SIGNS, Rng, Step
from quantattack.types import Images, Indices, Logits, Mask, Model, PerImage

# The share of pixels that a proposal changes is halved after these queries, for a budget of 10,000.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# What `_Search` has of each image.
_COLUMNS = ("radius", "best", "loss", "least", "counted", "idle", "tied", "refused")
_LEAST, _TIE, _TIES = 0.005, 0.2, 250  # see `Square`, on ties


@tagged("Square")
@dataclass(frozen=True, kw_only=True)
class Square:
    """Square Attack: propose a change of a random square window, and keep it if the margin loss rises.

    Under Linf all pixels of the window are set to plus or minus the radius around the clean image; under L2 and L1 the
    perturbation's norm in one window moves to another.  Images that fool the model are dropped from the batch.

    With ties, a proposal of the same loss is kept as well, so that the search crosses the flat steps of activations
    that take few values, and a proposal that would change nothing takes the opposite signs.  A query then counts toward
    the patience as 1 if its proposal is worse and as 0.2 if it is a tie, as 1 too after 250 ties that gained nothing;
    an improvement is a gain of at least 0.005 of the clean image's margin.

    Source: Andriushchenko, Croce, Flammarion and Hein, 2020, https://arxiv.org/abs/1912.00049; under L1, Croce and
    Hein, 2021, https://arxiv.org/abs/2103.01208.  The ties are our own.

    Arguments:
        threat: Set of admissible images.
        queries: Largest number of forward passes per image.
        share: Share of the pixels that the first proposals change.
        solved: Success criterion.
        patience: Number of successive queries without improvement after which to give an image up; None for no limit.
        ties: Whether proposals of equal loss are kept; None for no, as published.
        schedule: Number of queries over which the share falls; None for all of them.

    Raises:
        InputError: If queries, patience or schedule is below 1.
    """

    threat: Threat
    queries: int = 5000
    share: int | float = 0.8
    solved: Criterion = misclassified
    patience: int | None = None
    ties: bool | None = field(default=None, metadata={"recorded_as": "ties"})
    schedule: int | None = field(default=None, metadata={"recorded_as": "schedule"})
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_threat(self.threat)
        check_count("queries", self.queries)
        for name in ("patience", "schedule"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))

    @property
    def traits(self) -> Traits:
        return Traits(refills=True, solved=self.solved)

    def passes(self, classes: int) -> int:  # noqa: ARG002
        return self.queries + bool(self.ties)  # with ties the clean image is asked too

    def to_the_end(self) -> Attack:
        """Return the attack itself: it has no variant without early stopping."""
        return self

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Search until every image is solved or given up, or the query budget is spent."""
        search = _Search.begin(self, batch)
        if self.ties and len(batch):
            search.measure(model)
        return ask_until_solved(search, model, batch, self.queries)


@dataclass(eq=False)
class _Search:
    """State of the search for the images that are still active.

    Arguments:
        attack: Its settings.
        batch: The active images and their labels.
        radius: Their radii, with shape (n,).
        best: Their best images so far; before the first query, what it asks.
        loss: `nearness` of the best images, with shape (n,).
        least: What a gain must be to count as an improvement, with shape (n,).
        counted: `loss` when each image last improved, with shape (n,).
        idle: What the queries since then count toward the patience, with shape (n,).
        tied: Ties since then, with shape (n,).
        refused: Whether the last proposal was refused, with shape (n,).
        ahead: Queries whose answers are known before their turn.
    """

    attack: Square
    batch: Batch
    radius: PerImage
    best: Images
    loss: PerImage
    least: PerImage
    counted: PerImage
    idle: PerImage
    tied: PerImage
    refused: Mask
    ahead: Ahead | None = None

    @classmethod
    def begin(cls, attack: Square, batch: Batch) -> "_Search":
        threat, norm = attack.threat, attack.threat.norm
        clean, radius = batch.images, threat.radii(batch.images, batch.radius)
        planes = as_planes(clean)
        delta = tiles(planes, batch.rng, norm) if isinstance(norm, L2 | L1) else _stripes(planes, batch.rng)
        first = clean + (delta.reshape(clean.shape) * threat.spread(radius / _length(threat, delta), clean))
        first = threat.project(first if batch.start is None else batch.start.to(clean), clean, radius)
        first = threat.snap(first, clean, radius)
        worst = torch.full((len(clean),), -torch.inf, dtype=clean.dtype, device=clean.device)
        zero = torch.zeros_like(worst)
        batch, none = replace(batch, reached=None), torch.zeros_like(batch.labels, dtype=torch.bool)
        return cls(attack, batch, radius, first, worst, zero, worst, zero, zero, none)

    def keep(self, mask: Mask) -> "_Search":
        return replace(self._at(mask), ahead=None if self.ahead is None else self.ahead.keep(mask))

    def _at(self, rows: Mask | Indices) -> "_Search":
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, batch=self.batch.keep(rows), ahead=None, **columns)

    def measure(self, model: Model) -> None:
        """Ask the clean images for their margins, which a gain is compared with."""
        logits = logits_in_parts(model, self.batch.images, self.batch.at_once)
        self.least = _LEAST * nearness(self.attack.solved, logits, self.batch.labels).abs().to(self.loss)

    def give_up(self, turn: int) -> Mask:  # noqa: ARG002
        return self.idle >= (self.attack.patience or math.inf)

    def ask(self, model: Model, turn: int) -> Mask:
        """Query one proposal per image, keep it if it is an improvement, and return whether it is a success."""
        proposal, logits = self._queried(model, turn)
        solved, labels = self.attack.solved, self.batch.labels
        fooled, loss = solved(logits, labels), nearness(solved, logits, labels).to(self.loss)
        kept = fooled | (loss >= self.loss if self.attack.ties else loss > self.loss)
        self._count(loss, self.attack.ties is True)
        self.best = torch.where(per_image(kept, self.best), proposal, self.best)
        self.loss = torch.where(kept, loss, self.loss)
        self.refused = ~kept
        self.ahead = None if self.ahead is None else self.ahead.later(turn, self.refused)
        return fooled

    def _queried(self, model: Model, turn: int) -> tuple[Images, Logits]:
        """Return a turn's proposals and their logits; where a batch has room, those of later turns are asked too."""
        if turn == 0 or not is_padded(model) or not self._may_look_ahead(model):
            proposal = self._propose(turn, self._share(turn)) if turn else self.best
            return proposal, logits_in_parts(model, proposal, self.batch.at_once)
        ahead = self.ahead = self._with_answers(model, turn)
        model.count(len(self.batch))
        return ahead.at(turn)

    def _may_look_ahead(self, model: Padded) -> bool:
        count = len(self.batch)
        return self.ahead is not None or (model.spare(count) >= count and bool(self.refused.any()))

    def _with_answers(self, model: Padded, turn: int) -> Ahead:
        if self.ahead is None:
            return self._look_ahead(model, turn, torch.arange(len(self.batch), device=self.loss.device))
        missing = self.ahead.missing(len(self.batch), turn).nonzero()[:, 0]
        return self.ahead.joined(self._look_ahead(model, turn, missing)) if len(missing) else self.ahead

    def _look_ahead(self, model: Padded, turn: int, images: Indices) -> Ahead:
        """Ask what some images propose at a turn and, where the last proposal was refused, as if the next ones were."""
        waiting, share = self.refused[images], self._share(turn)
        room = model.spare(len(images)) // max(1, int(waiting.sum()))
        most = min(1 + room, self.attack.queries - turn)
        turns = sum(self._share(each) == share for each in range(turn, turn + most))
        counts = torch.where(waiting, turns, 1)
        owner, first = images.repeat_interleave(counts), (counts.cumsum(0) - counts).repeat_interleave(counts)
        when = turn + torch.arange(len(owner), device=owner.device) - first
        return Ahead.ask(model, owner, when, self._at(owner)._propose(when, share))

    def _share(self, turn: int) -> float:
        return changed_share(turn, self.attack.schedule or self.attack.queries, self.attack.share)

    def _count(self, loss: PerImage, ties: bool) -> None:
        """Count a query toward the patience: by whether it gained, tied, or did neither."""
        gained, tied = (loss > self.counted) & (loss >= self.counted + self.least), (loss == self.loss) & ties
        self.counted = torch.where(gained, loss, self.counted)
        self.tied = torch.where(gained, 0, self.tied + tied)
        self.idle = torch.where(gained, 0, self.idle + torch.where(tied & (self.tied <= _TIES), _TIE, 1.0))

    def _propose(self, query: Step, share: int | float) -> Images:
        moved = self._moved(query, share, 1)
        if not self.attack.ties or isinstance(self.attack.threat.norm, L2 | L1):
            return moved
        empty = (moved == self.best).flatten(1).all(1)
        return torch.where(per_image(empty, moved), self._moved(query, share, -1), moved) if empty.any() else moved

    def _moved(self, query: Step, share: int | float, sign: int) -> Images:
        """Return the best images with one window changed, on the grid if the threat has levels."""
        threat, clean, best = self.attack.threat, as_planes(self.batch.images), as_planes(self.best)
        if isinstance(threat.norm, L2 | L1):
            moved = moved_norm(clean, best, self.radius, share, self.batch.rng, query, threat.norm)
        else:
            moved = _linf_proposal(clean, best, sign * self._reach(clean), share, self.batch.rng, query)
        inside = threat.project(moved.reshape(self.batch.images.shape), self.batch.images, self.radius)
        return threat.snap(inside, self.batch.images, self.radius)

    def _reach(self, planes: Images) -> Tensor:
        """Return how far each pixel may move, to broadcast over images as planes."""
        threat, images = self.attack.threat, self.batch.images
        if threat.each is None:
            return per_image(self.radius, planes)
        return as_planes(threat.spread(self.radius, images).expand_as(images))


def changed_share(query: int, queries: int, share: int | float) -> float:
    """Return the share of pixels that the proposal at a query changes, on the published halving schedule."""
    return share * 0.5 ** sum(10000 * query / queries > at for at in _HALVINGS)


def as_planes(images: Images) -> Tensor:
    """Reshape images of any rank to (n, channels, height, width)."""
    if images.ndim < 4:
        return images.reshape(len(images), *[1] * (4 - images.ndim), *images.shape[1:])
    return images.flatten(2, -2)


def _length(threat: Threat, delta: Images) -> PerImage:
    return threat.norm.size(delta).clamp_min(torch.finfo(delta.dtype).tiny)


def _stripes(clean: Images, rng: Rng) -> Images:
    """Return the Linf start: vertical stripes of random sign."""
    _, channels, _, width = clean.shape
    return rng.signs(0, SIGNS, (channels, 1, width), clean.dtype).expand_as(clean)


def _linf_proposal(clean: Images, best: Images, reach: Tensor, share: int | float, rng: Rng, query: Step) -> Images:
    """Linf proposal: set one square to plus or minus the radius around the clean image, one sign per channel."""
    _, channels, height, width = clean.shape
    side = min(max(round(math.sqrt(share * height * width)), 1), max(height, width))
    inside = window(clean, side, rng, 2 * query)
    signs = rng.signs(query, SIGNS, (channels, 1, 1), clean.dtype)
    return torch.where(inside, clean + reach * signs, best)
