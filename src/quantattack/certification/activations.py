r"""Bounds of the nonlinear modules: each is bounded from below and above by lines over the interval of its input.

Sources: Zhang, Weng, Chen, Hsieh & Daniel 2018 (CROWN), https://arxiv.org/abs/1811.00866; Gowal et al. 2018 (interval
bounds), https://arxiv.org/abs/1810.12715.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from quantattack.certification.parts import Box, total

_MANY = 8  # thresholds
_NARROW = 1e-4  # width of an interval, in units of its size, below which its lines are level


class Lines(NamedTuple):
    """A line below a function and one above it, each as slope and shift, one of each for every value."""

    below: tuple[Tensor, Tensor]
    above: tuple[Tensor, Tensor]


def through(rows: Tensor, lines: Lines) -> tuple[Tensor, Tensor]:
    """Bound rows of a function's values from below: the rows of its input, and a constant for each."""
    positive, negative = rows.clamp(min=0), rows.clamp(max=0)
    (slope, shift), (steep, lift) = lines
    return positive * slope + negative * steep, total(positive * shift + negative * lift)


def _line(x: Tensor, y: Tensor, to_x: Tensor, to_y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lines through two points each; level where these are the same."""
    slope = torch.where(to_x > x, (to_y - y) / (to_x - x), 0.0)
    return slope, y - slope * x


def _better(box: Box, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], sign: int) -> tuple[Tensor, Tensor]:
    """Return of two lines each the one that is tighter at the middle of the interval."""
    middle = (box.low + box.high) / 2
    chosen = sign * (first[0] * middle + first[1]) >= sign * (second[0] * middle + second[1])
    return torch.where(chosen, first[0], second[0]), torch.where(chosen, first[1], second[1])


@dataclass(frozen=True, eq=False)
class Clip:
    r""":math:`\min(\max(x, a), b)`: ReLU, ReLU6, Hardtanh, and the range of a quantizer.

    Arguments:
        bottom: a.
        top: b; infinite for ReLU.
    """

    bottom: int | float = 0.0
    top: int | float = inf

    def interval(self, *boxes: Box) -> Box:
        (box,) = boxes
        return Box(box.low.clamp(self.bottom, self.top), box.high.clamp(self.bottom, self.top))

    def backward(self, rows: Tensor, *boxes: Box) -> tuple[list[Tensor], Tensor]:
        rows, constant = through(rows, self.lines(boxes[0]))
        return [rows], constant

    def open(self, box: Box) -> Tensor:
        """Return which values lie on no single piece of the function."""
        return ((box.low < self.bottom) & (box.high > self.bottom)) | ((box.low < self.top) & (box.high > self.top))

    def lines(self, box: Box) -> Lines:
        """Return the lines: of the chord and the tighter of the tangents, or of the level ends."""
        low, high = box.low, box.high
        value = self.interval(box)
        level, diagonal = torch.zeros_like(low), (torch.ones_like(low), torch.zeros_like(low))
        floor, ceiling = (level, value.low), (level, value.high)
        below = _better(box, self._under(box), floor, 1)
        above = _better(box, self._over(box), ceiling, -1)
        inside = (low >= self.bottom) & (high <= self.top)
        return Lines(_where(inside, diagonal, below), _where(inside, diagonal, above))

    def _under(self, box: Box) -> tuple[Tensor, Tensor]:
        """Return the line below: the chord to the top corner, or the diagonal where the top is not reached."""
        value = self.interval(box)
        start = torch.maximum(box.low, torch.full_like(box.low, self.bottom))
        chord = _line(start, start, box.high, value.high)
        reached = (box.high > self.top) & (start < self.top)
        below = (box.low >= self.top) | (box.high <= self.bottom)
        diagonal = torch.ones_like(box.low), torch.zeros_like(box.low)
        level = torch.zeros_like(box.low), value.low
        return _where(below, level, _where(reached, chord, diagonal))

    def _over(self, box: Box) -> tuple[Tensor, Tensor]:
        """Return the line above: the chord from the bottom corner, or the diagonal where the bottom is not reached."""
        value = self.interval(box)
        end = torch.minimum(box.high, torch.full_like(box.high, self.top))
        chord = _line(box.low, value.low, end, end)
        reached = (box.low < self.bottom) & (end > self.bottom)
        beyond = (box.low >= self.top) | (box.high <= self.bottom)
        diagonal = torch.ones_like(box.low), torch.zeros_like(box.low)
        level = torch.zeros_like(box.low), value.high
        return _where(beyond, level, _where(reached, chord, diagonal))


def _where(chosen: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.where(chosen, first[0], second[0]), torch.where(chosen, first[1], second[1])


@dataclass(frozen=True, eq=False)
class Steps:
    """A function of few values that never falls: the sign, or activations of k bits.

    Arguments:
        thresholds: Where it rises, ascending, with shape (m,).
        values: Its values as float32 returns them, with shape (m + 1,): of index i from the i-th threshold on.
        tolerance: By how much rounding may move each threshold, with shape (m,); 0 where it is exact.
    """

    thresholds: Tensor
    values: Tensor
    tolerance: Tensor

    def interval(self, *boxes: Box) -> Box:
        (box,) = boxes
        return Box(self.at_least(box.low), self.at_most(box.high))

    def at_least(self, x: Tensor) -> Tensor:
        """Return the least value that rounding may return."""
        return self.values[torch.bucketize(x, self.thresholds + self.tolerance, right=True)]

    def at_most(self, x: Tensor) -> Tensor:
        """Return the largest value that rounding may return."""
        return self.values[torch.bucketize(x, self.thresholds - self.tolerance, right=True)]

    def backward(self, rows: Tensor, *boxes: Box) -> tuple[list[Tensor], Tensor]:
        rows, constant = through(rows, self.lines(boxes[0]))
        return [rows], constant

    def open(self, box: Box) -> Tensor:
        """Return which values are not known from the interval."""
        return self.at_least(box.low) < self.at_most(box.high)

    def lines(self, box: Box) -> Lines:
        """Return the lines: level ones at the ends, or the slanted ones where these are tighter in the middle."""
        value, level = self.interval(box), torch.zeros_like(box.low)
        below, above = self._slanted(box, value)
        known = ~self.open(box)
        floor, ceiling = (level, value.low), (level, value.high)
        lower, upper = _better(box, below, floor, 1), _better(box, above, ceiling, -1)
        return Lines(_where(known, floor, lower), _where(known, ceiling, upper))

    def _slanted(self, box: Box, value: Box) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return a line below and one above: of the chord's slope, moved past all corners of the steps."""
        late, soon = self.thresholds + self.tolerance, self.thresholds - self.tolerance
        if len(late) > _MANY:  # as good as a slope: its lines, moved by the most that a step is away from it
            lines = Clip(float(self.values[0]), float(self.values[-1])).lines(box)
            down, up = (late - self.values[:-1]).amax(), (self.values[1:] - soon).amax()
            (slope, shift), (steep, lift) = lines
            return (slope, shift - down), (steep, lift + up)
        below = self._past(_slope(box, value), box, late, self.values[:-1], -1)
        above = self._past(_slope(box, value), box, soon, self.values[1:], 1)
        return below, above

    def _past(self, slope: Tensor, box: Box, corners: Tensor, values: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """Return the line of a slope that touches the extreme of the corners and ends inside the interval.

        Below, the corners are the points just before a rise, with the value before it, and the upper end; above,
        those at a rise, with the value after it, and the lower end.
        """
        inside = (corners > box.low[..., None]) & (corners <= box.high[..., None])
        shift = torch.where(inside, values - slope[..., None] * corners, -sign * inf)
        end, other = (box.low, box.high) if sign > 0 else (box.high, box.low)
        at_end = (self.at_most(end) if sign > 0 else self.at_least(end)) - slope * end
        at_other = (self.at_most(other) if sign > 0 else self.at_least(other)) - slope * other
        ends = torch.maximum(at_end, at_other) if sign > 0 else torch.minimum(at_end, at_other)
        extreme = shift.amax(-1) if sign > 0 else shift.amin(-1)
        return slope, torch.maximum(extreme, ends) if sign > 0 else torch.minimum(extreme, ends)


def _slope(box: Box, value: Box) -> Tensor:
    """Return the slope of the chord; 0 over a narrow interval, where a steep line's constant would cancel."""
    width = box.high - box.low
    narrow = width < _NARROW * box.size.clamp(min=1)
    return torch.where(narrow, 0.0, (value.high - value.low) / torch.where(narrow, 1.0, width))


@dataclass(frozen=True, eq=False)
class MaxPool:
    """The maximum over windows.

    Arguments:
        kernel: Sides of a window.
        stride: Distances of the windows.
        padding: How far windows reach over the edge.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maxima and where in the flattened image they are."""
        found: tuple[Tensor, Tensor] = max_pool2d(x, self.kernel, self.stride, self.padding, return_indices=True)
        return found

    def interval(self, *boxes: Box) -> Box:
        return Box(self.pool(boxes[0].low)[0], self.pool(boxes[0].high)[0])

    def backward(self, rows: Tensor, *boxes: Box) -> tuple[list[Tensor], Tensor]:
        """Take the input with the largest lower end for the maximum; above, the largest upper end unless it is sure."""
        (box,) = boxes
        (_, winner), most = self.pool(box.low), self.pool(box.high)[0]
        sure = self._without(box, winner) <= box.low.flatten(2).gather(2, winner.flatten(2)).view(winner.shape)
        kept = torch.where(sure, rows, rows.clamp(min=0))
        flat = torch.zeros(len(rows), *box.low.flatten(2).shape[1:], dtype=rows.dtype)
        places = winner.flatten(2).expand(len(rows), -1, -1)
        moved = flat.scatter_add(2, places, kept.flatten(2)).view(len(rows), *box.low.shape[1:])
        return [moved], total(torch.where(sure, 0.0, rows.clamp(max=0) * most))

    def _without(self, box: Box, winner: Tensor) -> Tensor:
        """Return the largest upper end of each window without its winner."""
        windows = self.windows(box.high, -inf)
        places = self.windows(torch.arange(box.high[0, 0].numel()).view(1, 1, *box.high.shape[2:]).double(), -1.0)
        others = torch.where(places == winner.flatten(2)[:, :, None], -inf, windows)
        return others.amax(2).view(winner.shape)

    def windows(self, x: Tensor, fill: float) -> Tensor:
        """Return the values of each window, with shape (1, channels, window, positions)."""
        (top, left) = self.padding
        padded = torch.nn.functional.pad(x, (left, left, top, top), value=fill)
        unfolded = torch.nn.functional.unfold(padded, self.kernel, stride=self.stride)
        return unfolded.view(1, x.shape[1], -1, unfolded.shape[-1])
