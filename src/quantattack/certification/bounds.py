r"""Lower bounds of a network's margins over a region: interval bounds and CROWN, each tightening the other.

Every step gets an interval from those of its inputs.  Where a nonlinear step follows whose value the interval leaves
open, CROWN bounds it again: rows of the step's values are replaced, step by step back to the image, by lines below
them.  The two intervals are intersected.  At the logits the rows are the differences :math:`z_y - z_j`.

Sources: Zhang, Weng, Chen, Hsieh & Daniel 2018, https://arxiv.org/abs/1811.00866; Gowal et al. 2018,
https://arxiv.org/abs/1810.12715.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.linear import Linear, Sum
from quantattack.certification.parts import Box, total
from quantattack.certification.program import Program
from quantattack.certification.region import Region

_AT_ONCE = 1 << 24  # coefficients of a chunk of rows
_MOST = 1 << 32  # multiply-adds, roughly, up to which the rows of a step are bounded again


@dataclass(frozen=True, eq=False)
class Bounded:
    """What is known of a network over a region.

    Arguments:
        boxes: An interval for each step's values.
        margins: Lower bounds of :math:`z_y - z_j`, with shape (k,); infinite at the class y itself.
        by_intervals: The same from intervals alone.
        whole: Whether every open step was bounded by CROWN too; false where that would cost too much.
    """

    boxes: tuple[Box, ...]
    margins: Tensor
    by_intervals: Tensor
    whole: bool

    @property
    def least(self) -> float:
        """The lower bound of the margin to all rivals."""
        return float(self.margins.min())

    @property
    def method(self) -> str:
        """What proved the margin positive: `ibp` where intervals alone do."""
        return "ibp" if float(self.by_intervals.min()) > 0 else "crown"


@torch.no_grad()
def bounded(program: Program, region: Region, label: int) -> Bounded:
    """Bound the steps and the margins of a network over a region.

    Arguments:
        program: The network.
        region: The images.
        label: The class y whose margin over the others is bounded.
    """
    boxes, whole = [region.box], True
    for place, step in enumerate(program.steps[1:], 1):
        box = step.part.interval(*(boxes[each] for each in step.inputs))
        boxes.append(box)
        if (rows := _open_rows(program, place, box)) is not None:
            worthwhile = len(rows) * _cost(program, place) <= _MOST
            whole &= worthwhile
            boxes[place] = tightened(program, boxes, place, rows, region) if worthwhile else box
    rows = differences(program.classes, label)
    margins = lower(program, boxes, program.last, rows, region)
    margins = torch.maximum(margins, _from_nonlinear(program, boxes, rows))
    alone = _from_nonlinear(program, _by_intervals(program, region), rows)
    outside = torch.arange(program.classes) == label
    return Bounded(tuple(boxes), margins.masked_fill(outside, torch.inf), alone.masked_fill(outside, torch.inf), whole)


def differences(classes: int, label: int) -> Tensor:
    """Return the rows of the differences of the label's logit and each other, with shape (k, k); 0 at itself."""
    rows = -torch.eye(classes, dtype=torch.float64)
    rows[:, label] += 1
    return rows


def _from_nonlinear(program: Program, boxes: Sequence[Box], rows: Tensor) -> Tensor:
    """Bound rows of the logits by the intervals of the nonlinear steps before them."""
    found, constant, off = to_nonlinear(program, boxes, program.last, rows)
    least = [total(row.clamp(min=0) * boxes[at].low + row.clamp(max=0) * boxes[at].high) for at, row in found.items()]
    return sum(least, constant - off)


def _by_intervals(program: Program, region: Region) -> list[Box]:
    boxes = [region.box]
    for step in program.steps[1:]:
        boxes.append(step.part.interval(*(boxes[each] for each in step.inputs)))
    return boxes


def _open_rows(program: Program, place: int, box: Box) -> Tensor | None:
    """Return which values of a step are worth bounding again, flat; None where there are none."""
    if not _is_mixed(program, place):
        return None
    followers = [step.part for step in program.steps if place in step.inputs]
    opens = [part.open(box) for part in followers if isinstance(part, Clip | Steps)]
    opens += [torch.ones_like(box.low, dtype=torch.bool) for part in followers if isinstance(part, MaxPool)]
    rows = torch.stack(opens).any(0).flatten().nonzero()[:, 0] if opens else torch.zeros(0)
    return rows if len(rows) else None


def _is_mixed(program: Program, place: int) -> bool:
    """Return whether intervals lose something on the way to a step: behind a nonlinear step, or two that mix values."""
    found, pending = 0, [place]
    while pending:
        step = program.steps[pending.pop()]
        if not step.inputs:
            continue
        found += isinstance(step.part, Linear) and step.part.terms > 8
        if not isinstance(step.part, Linear) or found > 1:
            return True
        pending += step.inputs
    return False


def _cost(program: Program, place: int) -> int:
    """Return roughly the multiply-adds of one row from a step back to the image."""
    sizes = [torch.Size(step.shape).numel() for step in program.steps[: place + 1]]
    terms = [step.part.terms if isinstance(step.part, Linear) else 1 for step in program.steps[: place + 1]]
    return sum(size * max(1, count) for size, count in zip(sizes, terms, strict=True))


def tightened(program: Program, boxes: Sequence[Box], place: int, rows: Tensor, region: Region) -> Box:
    """Return the box of a step, some values of which are bounded by CROWN too."""
    box, shape = boxes[place], program.steps[place].shape
    low, high = box.low.flatten().clone(), box.high.flatten().clone()
    chunk = max(1, _AT_ONCE // max(torch.Size(step.shape).numel() for step in program.steps))
    for chosen in torch.split(rows, chunk):
        unit = torch.zeros(len(chosen), low.numel(), dtype=torch.float64)
        unit[torch.arange(len(chosen)), chosen] = 1
        unit = unit.view(len(chosen), *shape[1:])
        low[chosen] = torch.maximum(low[chosen], lower(program, boxes, place, unit, region))
        high[chosen] = torch.minimum(high[chosen], -lower(program, boxes, place, -unit, region))
    return box.meet(Box(low.view(shape), high.view(shape)))


def lower(program: Program, boxes: Sequence[Box], place: int, rows: Tensor, region: Region) -> Tensor:
    """Bound rows of a step's values from below over a region, with shape (m,).

    Arguments:
        program: The network.
        boxes: An interval for each step before.
        place: The step.
        rows: Coefficients of its values, with shape (m, ...).
        region: The images.
    """
    pending, constant = {place: rows}, torch.zeros(len(rows), dtype=torch.float64)
    for at in range(place, 0, -1):
        if at in pending:
            step = program.steps[at]
            parts, shift = step.part.backward(pending.pop(at), *(boxes[each] for each in step.inputs))
            constant = constant + shift
            for each, part in zip(step.inputs, parts, strict=True):
                pending[each] = pending[each] + part if each in pending else part
    if 0 not in pending:  # no step depends on the image
        return constant
    return constant + region.least(pending[0])


def to_nonlinear(
    program: Program, boxes: Sequence[Box], place: int, rows: Tensor
) -> tuple[dict[int, Tensor], Tensor, Tensor]:
    """Write rows of a step's values in those of the nonlinear steps and the image before it.

    Arguments:
        program: The network.
        boxes: An interval for each step before.
        place: The step.
        rows: Coefficients of its values, with shape (m, ...).

    Returns:
        The coefficients by step, the constant of each row, and by how much float32 may be off, with shape (m,).
    """
    pending, found = {place: rows}, dict[int, Tensor]()
    exact = off = torch.zeros(len(rows), dtype=torch.float64)
    for at in range(place, -1, -1):
        if at not in pending:
            continue
        step, row = program.steps[at], pending.pop(at)
        if not step.inputs or not isinstance(step.part, Linear | Sum):
            found[at] = row
            continue
        inputs = [boxes[each] for each in step.inputs]
        parts, _ = step.part.backward(row, *inputs)
        off = off + total(row.abs() * step.part.error(*inputs))
        exact = exact + (total(row * step.part.shift) if isinstance(step.part, Linear) else 0)
        for each, part in zip(step.inputs, parts, strict=True):
            pending[each] = pending[each] + part if each in pending else part
    return found, exact, off
