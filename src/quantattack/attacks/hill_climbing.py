"""Hill climbing with sideways moves: parallel random searches where activations of few values leave plateaus."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from quantattack.attacks.arguments import check_linf
from quantattack.attacks.asking import ask_until_solved
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images
from quantattack.attacks.norms import per_image
from quantattack.attacks.square import as_planes
from quantattack.attacks.starts import handed
from quantattack.attacks.success import Criterion, misclassified, nearness
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError, check_count
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.rng import FRESH, NOISE, PLACES, SIGNS, START
from quantattack.types import Images, Mask, Model, PerImage

_TRIAL = 8  # proposals of each chain that tell whether an image lies on a plateau
_TIED = 16  # it does if one in so many of them is a tie
_INNER, _ALIKE = 0.1, 0.5  # shares of the windows whose values are inside the ball, and the same for all pixels


@tagged("HillClimbing")
@dataclass(frozen=True, kw_only=True)
class HillClimbing:
    r"""Search plateaus by many chains of random proposals at once, each kept unless the margin grows.

    .. math:: x_j \leftarrow x'_j \quad \text{if} \quad m(x'_j) \le m(x_j)

    where :math:`m` is the margin of the label, :math:`x_j` the image of chain :math:`j`, and :math:`x'_j` the same with
    one square window changed: mostly to an end of the ball, pixel by pixel or all to the same one, and one time in ten
    to values inside it; to the opposite ones where that would change nothing.  The side of the windows runs from one
    pixel to half of the image, again and again.  Half of the chains begin at the start point, the others at random
    corners of the ball.

    An image is given up after eight proposals for each chain if fewer than one in 16 of them left the margin exactly as
    it was: then the margin has slopes, and other attacks follow them at less cost.  A local search gives none up, and
    all of its chains begin at the start point: for margins that climb stairs too small for ties; see `OnStairs`.

    Source: hill climbing with sideways moves, as in "A New Method for Solving Hard Satisfiability Problems", Selman,
    Levesque and Mitchell, AAAI-92.  The moves and the trial are our own.

    Arguments:
        threat: Set of admissible images, under Linf.
        queries: Largest number of forward passes per image, over all chains.
        chains: Number of chains.
        local: Whether the search is local.
        solved: Success criterion.

    Raises:
        InputError: If the norm is not Linf, or there is no chain, or not a query for each.
    """

    threat: Threat
    queries: int = 64_000
    chains: int = 8
    local: bool = False
    solved: Criterion = misclassified
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_linf(self.threat, "hill climbing")
        check_count("queries", self.queries)
        check_count("chains", self.chains)
        if self.queries < self.chains:
            raise InputError(f"{self.chains} chains need as many queries, not {self.queries}")

    @property
    def traits(self) -> Traits:
        return Traits(refills=True, solved=self.solved)

    def passes(self, classes: int) -> int:  # noqa: ARG002
        return self.queries

    def to_the_end(self) -> Attack:
        """Return the attack itself: it has no variant without early stopping."""
        return self

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Search until every image is solved or given up, or the query budget is spent."""
        return ask_until_solved(_Chains.begin(self, batch), model, batch, self.queries, self.chains)


@dataclass(eq=False)
class _Chains:
    """State of the chains of the images that are still active.

    Arguments:
        attack: Its settings.
        batch: The active images and their labels.
        at: Where each chain is, with shape (n, c, ...).
        loss: `nearness` there, with shape (n, c).
        best: The best images so far, with shape (n, ...).
        most: Their `nearness`, with shape (n,).
        ties: Number of proposals that changed an image and left its margin, with shape (n,).
        start: Where the first half of the chains began, with shape (n, ...).
    """

    attack: HillClimbing
    batch: Batch
    at: Tensor
    loss: Tensor
    best: Images
    most: PerImage
    ties: PerImage
    start: Images

    @classmethod
    def begin(cls, attack: HillClimbing, batch: Batch) -> "_Chains":
        threat, clean, chains = attack.threat, batch.images, attack.chains
        start = handed(threat, batch)
        at = start[:, None].repeat(1, chains, *[1] * (start.ndim - 1))
        most = torch.full((len(clean),), -torch.inf, dtype=clean.dtype, device=clean.device)
        loss = most[:, None].repeat(1, chains)
        return cls(attack, replace(batch, reached=None), at, loss, start, most, torch.zeros_like(most), start)

    def keep(self, mask: Mask) -> "_Chains":
        columns = (self.at, self.loss, self.best, self.most, self.ties, self.start)
        return _Chains(self.attack, self.batch.keep(mask), *(column[mask] for column in columns))

    def give_up(self, turn: int) -> Mask:
        """Return where the trial met slopes, as if it had not run there: what follows begins where it did."""
        unsolved, tried = self.most < torch.inf, turn == _TRIAL and not self.attack.local
        steep: Mask = unsolved & (self.ties * _TIED < _TRIAL * self.attack.chains) & tried
        self.best = torch.where(per_image(steep, self.best), self.start, self.best)
        return steep

    def ask(self, model: Model, turn: int) -> Mask:
        """Query one proposal for each chain, or where it begins; keep those no worse, and return what is solved."""
        images, solved = self._proposed(turn) if turn else self._first(), self.attack.solved
        labels = self.batch.labels.repeat_interleave(self.attack.chains)
        logits = logits_in_parts(model, images.flatten(0, 1), self.batch.at_once)
        fooled = solved(logits, labels).reshape(self.loss.shape)
        loss = nearness(solved, logits, labels).to(self.loss).reshape(self.loss.shape)
        self.ties = self.ties + ((loss == self.loss) & (images != self.at).flatten(2).any(2)).sum(1)
        self._remember(images, torch.where(fooled, torch.inf, loss))
        kept = loss >= self.loss
        self.at = torch.where(_per_chain(kept, images), images, self.at)
        self.loss = torch.where(kept, loss, self.loss)
        return fooled.any(1)

    def _remember(self, images: Tensor, loss: Tensor) -> None:
        most, chain = loss.max(1)
        gained = most > self.most
        found = images[torch.arange(len(images), device=images.device), chain]
        self.best = torch.where(per_image(gained, self.best), found, self.best)
        self.most = torch.where(gained, most, self.most)

    def _first(self) -> Tensor:
        """Return where each chain begins: the first half at the start point, the others at corners of the ball."""
        if self.attack.local:
            return self.at
        corners = self._inside(self.batch.rng.signs(0, START, self.at.shape[1:], self.at.dtype))
        random = torch.arange(self.attack.chains, device=self.at.device) >= (self.attack.chains + 1) // 2
        return torch.where(_per_chain(random[None], self.at), corners, self.at)

    def _proposed(self, step: int) -> Tensor:
        """Return where each chain would go: one window changed, to the opposite where that would change nothing."""
        values, inside = self._values(step), self._windows(step)
        moved = torch.where(inside, self._inside(values), self.at)
        empty = (moved == self.at).flatten(2).all(2)
        if not bool(empty.any()):
            return moved
        return torch.where(_per_chain(empty, moved) & inside, self._inside(-values), moved)

    def _values(self, step: int) -> Tensor:
        """Return what each chain's window gets, in shares of the radius from -1 to 1."""
        rng, chains = self.batch.rng, self.attack.chains
        own = rng.uniform(step, SIGNS, self.at.shape[1:], self.at.dtype) * 2 - 1
        one = rng.uniform(step, START, (chains,), self.at.dtype) * 2 - 1
        alike = rng.uniform(step, FRESH, (chains,)) < _ALIKE
        inner = rng.uniform(step, NOISE, (chains,)) < _INNER
        values = torch.where(_per_chain(alike, own), _per_chain(one, own), own)
        return torch.where(_per_chain(inner, own), values, torch.where(values < 0, -1.0, 1.0).to(values))

    def _windows(self, step: int) -> Tensor:
        """Return the mask of a random square for each chain, to broadcast over where they are."""
        planes = as_planes(self.batch.images)
        height, width = planes.shape[-2:]
        side = 1 + (step - 1) % max(min(height, width) // 2, 1)
        drawn = self.batch.rng.uniform(step, PLACES, (2, self.attack.chains), torch.float64)
        lines = []
        for extent, uniform in zip((height, width), drawn.unbind(1), strict=True):
            first = (uniform * (extent - side + 1)).long()[..., None]
            at = torch.arange(extent, device=first.device)
            lines.append((at >= first) & (at < first + side))
        mask = (lines[0][..., :, None] & lines[1][..., None, :])[:, :, None].expand(-1, -1, *planes.shape[1:])
        return mask.reshape(self.at.shape)

    def _inside(self, values: Tensor) -> Tensor:
        """Return images at given shares of the radius from the clean ones, with shape (n, c, ...), in the threat."""
        chains, threat = values.shape[1], self.attack.threat
        clean = self.batch.images.repeat_interleave(chains, 0)
        radius = threat.radii(self.batch.images, self.batch.radius).repeat_interleave(chains, 0)
        moved = clean + values.flatten(0, 1) * threat.spread(radius, clean).to(clean)
        return threat.snap(threat.project(moved, clean, radius), clean, radius).reshape(values.shape)


def _per_chain(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values from (n, c) to broadcast over images of shape (n, c, ...)."""
    return values.reshape(*values.shape, *[1] * (like.ndim - 2))
