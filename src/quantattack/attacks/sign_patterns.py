"""Search over the patterns of a network's first signs, each with an image that linear programming finds."""

from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from quantattack.attacks.arguments import check_linf
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images, without_steps
from quantattack.attacks.cells import Cells, Pattern, Patterns
from quantattack.attacks.first_signs import READING, FirstSigns, SignsLost, first_signs
from quantattack.attacks.starts import handed
from quantattack.attacks.success import Criterion, misclassified, nearness
from quantattack.attacks.threat import Threat
from quantattack.errors import check_count
from quantattack.gradients import logits_in_parts
from quantattack.record.description import tagged
from quantattack.rng import NOISE, PLACES, START
from quantattack.types import Images, Model

_ENTRIES = 1 << 16  # undecided signs times pixels, beyond which a linear program takes too long
_PROGRAMS = 60  # linear programs of one step
_LEVEL = 10  # steps without a gain that end a walk
_SHARES = (1.0, 0.1, 0.2, 0.3)  # of the way from the best image to a random corner, where walks begin in turn
_IDLE = 8  # walks in a row that meet no new pattern and end the search


@tagged("SignPatterns")
@dataclass(frozen=True, kw_only=True)
class SignPatterns:
    r"""Walk from one pattern of the first signs to the next, each time to the one of least margin that an image has.

    .. math:: s \leftarrow \arg\min_{s'} m(s') \quad \text{over } s' \text{ that differ in one or two signs, with }
        m(s') \le m(s) \text{ and an } x \text{ in the ball with } \operatorname{sign}(W x + b) = s'

    where :math:`W x + b` enters the first signs and :math:`m(s)` is the margin of the label where they are s.  In a
    network whose first activations are signs, an image matters only by their pattern, and few of them change inside a
    small ball.  The margins of hundreds of patterns are those of a batch; which of them an image has is asked from the
    least margin upward, by a linear program that returns an image well inside the cell, or a conflict: a few signs that
    no image of the ball has together but by rounding, which rules out other patterns.  A walk ends where no neighbour
    is left, or ten steps have gained nothing.  The first begins at the start point, the others where the best image is
    moved toward a random corner of the ball by 10, 20 or 30 percent of the way, or all of it.

    Counterexamples of such networks can lie in slivers of the ball, away from its corners, which neither gradients nor
    random changes of pixels find.  It returns the start where it cannot work: no activations of `Sign`, a network that
    does not call the first ones once for all images, something that is not affine before them, more than 2^24 weights
    from pixels to signs, more than 2^16 in the linear program (the signs that change inside the ball times the pixels),
    or a threat with levels.

    Source: ours.  Exact search does the same by constraint programming: "In Search of a SAT-friendly Binarized Neural
    Network Architecture", Narodytska, Zhang, Gupta and Walsh, 2020, https://openreview.net/forum?id=SJx-j64FDr.

    Arguments:
        threat: Set of admissible images, under Linf.
        queries: Largest number of forward passes per image; one for each pixel reads the first layer.
        pairs: Number of times that each step draws two signs to change, beside changing each one alone.
        solved: Success criterion.

    Raises:
        InputError: If the norm is not Linf, or there is no query.
    """

    threat: Threat
    queries: int = 100_000
    pairs: int = 150
    solved: Criterion = misclassified
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_linf(self.threat, "the search of sign patterns")
        check_count("queries", self.queries)
        check_count("pairs", self.pairs)

    @property
    def traits(self) -> Traits:
        return Traits(refills=True, solved=self.solved)

    def passes(self, classes: int) -> int:  # noqa: ARG002
        return self.queries

    def to_the_end(self) -> Attack:
        """Return the attack itself: it has no variant without early stopping."""
        return self

    def trace(self, model: Model, batch: Batch) -> Trace:
        """Search the patterns of one image after the other, until it is solved or its query budget is spent."""
        threat, clean = self.threat, batch.images
        trace = without_steps(handed(threat, batch).clone())
        if not len(batch) or threat.levels is not None or clean[:1].numel() + READING >= self.queries:
            return trace
        signs = first_signs(model, clean.shape[1:], clean, batch.at_once)
        if signs is None:
            return trace
        for row in range(len(batch)):
            with suppress(SignsLost):
                walks = _Walks.begin(self, model, signs, batch.keep(slice(row, row + 1)), trace.images[row : row + 1])
                trace.images[row], trace.step[row] = walks.search(), walks.fooled_at
        return trace


@dataclass(eq=False)
class _Walks:
    """The walks of one image.

    Arguments:
        attack: Its settings.
        model: Judges the images.
        signs: Gives the logits of patterns.
        batch: The image and its label.
        low: The image's lower ends in the ball, with shape (1, ...).
        high: Its upper ends.
        pattern: A pattern of all signs; those that are decided in the ball are the same in every pattern.
        undecided: Index of the others.
        cells: Their cells.
        best: The best image so far, with shape (1, ...).
        most: Its `nearness`.
        spent: Number of forward passes so far.
        turn: Number of steps so far.
        visited: The patterns that walks have been at.
        fooled_at: Number of the forward passes before the one that solved the image, or of all; 0 for the start.
    """

    attack: SignPatterns
    model: Model
    signs: FirstSigns
    batch: Batch
    low: Images
    high: Images
    pattern: Pattern
    undecided: Tensor
    cells: Cells
    best: Images
    most: float = -torch.inf
    spent: int = 0
    turn: int = 0
    visited: set[bytes] = field(default_factory=set)
    fooled_at: int = 0
    solved: bool = field(default=False, init=False)

    @classmethod
    def begin(cls, attack: SignPatterns, model: Model, signs: FirstSigns, batch: Batch, start: Images) -> "_Walks":
        threat, clean = attack.threat, batch.images
        reach = threat.spread(threat.radii(clean, batch.radius), clean).to(clean)
        low, high = (threat.project(clean + side * reach, clean, batch.radius) for side in (-1, 1))
        slopes = signs.slopes * (high - low).flatten().double().cpu()
        offsets = signs.before(low)[0]
        least, largest = (offsets + slopes.clamp(**side).sum(1) for side in ({"max": 0.0}, {"min": 0.0}))
        undecided = ((least < 0) & (largest > 0)).nonzero()[:, 0]
        cells = Cells(slopes[undecided], offsets[undecided])
        spent = slopes.shape[1] + READING
        return cls(attack, model, signs, batch, low, high, least >= 0, undecided, cells, start, spent=spent)

    @property
    def left(self) -> int:
        return 0 if self.solved else self.attack.queries - self.spent

    def search(self) -> Images:
        """Walk from the start, then from elsewhere, until the image is solved, the budget spent, or nothing is new."""
        self.judge(self.best)
        if self.solved or not 0 < self.cells.slopes.numel() <= _ENTRIES:
            return self.best
        number = idle = 0
        while self.left > 1 and idle < _IDLE:
            known = len(self.visited)
            self.walk(self._begun(number) if number else self.best)
            number, idle = number + 1, idle + 1 if len(self.visited) == known else 0
        self.fooled_at = self.spent - self.solved
        return self.best

    def walk(self, image: Images) -> None:
        """Go on from the pattern of an image to neighbours of no larger margin, never twice to the same."""
        at, near, seen, level = self._pattern_of(image), self.judge(image), set[bytes](), 0
        while self.left > 0 and level < _LEVEL:
            seen.add(at.numpy().tobytes())
            step = self._step(at, near, seen)
            if step is None:
                break
            level = level + 1 if step[1] <= near else 0
            at, near = step
        self.visited |= seen

    def judge(self, image: Images) -> float:
        """Return an image's `nearness` and remember the image if it is the best."""
        logits, solved = logits_in_parts(self.model, image), self.attack.solved
        self.spent += 1
        near = float(nearness(solved, logits, self.batch.labels)[0])
        self.solved = self.solved or bool(solved(logits, self.batch.labels)[0])
        if near > self.most or self.solved:
            self.best, self.most = image, near
        return near

    def _step(self, at: Pattern, near: float, seen: set[bytes]) -> tuple[Pattern, float] | None:
        """Return the neighbour of least margin that an image has and that is no worse; None if there is none."""
        patterns = self._neighbours(at, seen)
        if not len(patterns):
            return None
        nearnesses, programs = self._nearness(patterns), 0
        for index in self._order(nearnesses):
            if nearnesses[index] < near or programs == _PROGRAMS or self.left <= 0:
                return None
            if not self.cells.may_hold(patterns[index][None])[0]:
                continue
            programs += 1
            point = self.cells.point(patterns[index])
            if point is None:
                continue
            reached = self.judge(self._image(point))
            if self.solved or reached >= near:
                return patterns[index], reached
            self.cells.forbid(patterns[index], torch.ones_like(at))  # its image does not keep what it promised
        return None

    def _neighbours(self, at: Pattern, seen: set[bytes]) -> Patterns:
        """Return patterns that differ in one or two signs and may have an image, no more than the budget allows."""
        self.turn += 1
        units, pairs = len(at), self.attack.pairs
        flips = torch.eye(units, dtype=torch.bool)
        drawn = (self.batch.rng.uniform(self.turn, PLACES, (2, pairs), torch.float64)[0] * units).long().cpu()
        patterns = at ^ torch.cat([flips, flips[drawn[0]] | flips[drawn[1]]])
        patterns = patterns[self.cells.may_hold(patterns)]
        new = [pattern.numpy().tobytes() not in seen for pattern in patterns]
        return patterns[torch.tensor(new, dtype=torch.bool)][: self.left]

    def _nearness(self, patterns: Patterns) -> Tensor:
        """Return the `nearness` of patterns, with shape (n,)."""
        whole = self.pattern.repeat(len(patterns), 1)
        whole[:, self.undecided] = patterns
        self.spent += len(patterns)
        logits = self.signs.logits(self.best, whole)
        return nearness(self.attack.solved, logits, self.batch.labels.expand(len(logits))).cpu()

    def _order(self, nearnesses: Tensor) -> list[int]:
        """Return indices from the nearest to success, ties in random order."""
        shuffled = self.batch.rng.uniform(self.turn, NOISE, (len(nearnesses),))[0].cpu().argsort()
        order: list[int] = shuffled[nearnesses[shuffled].argsort(descending=True, stable=True)].tolist()
        return order

    def _pattern_of(self, image: Images) -> Pattern:
        self.spent += 1
        pattern: Pattern = self.signs.before(image)[0][self.undecided] >= 0
        return pattern

    def _begun(self, number: int) -> Images:
        """Return a random corner of the ball, or the best image moved toward it."""
        upper = self.batch.rng.signs(number, START, self.low.shape[1:], self.low.dtype) > 0
        corner, share = torch.where(upper, self.high, self.low), _SHARES[number % len(_SHARES)]
        return (self.best + share * (corner - self.best)).clamp(self.low, self.high)

    def _image(self, point: Tensor) -> Images:
        moved = self.low + (self.high - self.low) * point.to(self.low).reshape(self.low.shape)
        return moved.clamp(self.low, self.high)
