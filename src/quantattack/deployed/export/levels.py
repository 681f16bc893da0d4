"""The integer grids that a network's own weights and activations lie on, so that its int8 form has the same levels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantattack.deployed.export.graph import attribute, initializers

Array = NDArray[np.float64]
_MOST = 127  # the largest integer of a symmetric int8 grid
_MOVING = ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "MaxPool")
_SLACK = 1e-4  # of a step: how far a level may lie off its grid
_SUMS = 2**24 / 255  # so that sums of products with 8-bit inputs are exact in float32


@dataclass(frozen=True)
class Grid:
    """The grid of a weight: every entry is a whole multiple, of 127 at most, of its channel's step.

    Arguments:
        steps: The step of each output channel, with shape (c,).
        shared: Whether all channels have one step.
    """

    steps: tuple[float, ...]
    shared: bool


def weight_grids(graph: Any) -> dict[str, Grid]:
    """Return the grids of a graph's convolutions and linear layers, by weight; float weights have none."""
    arrays = initializers(graph)
    names = [node.input[1] for node in graph.node if _is_layer(node) and node.input[1] in arrays]
    found = {name: grid_of(arrays[name].astype(np.float64)) for name in dict.fromkeys(names)}
    return {name: grid for name, grid in found.items() if grid is not None}


def grid_of(weight: Array) -> Grid | None:
    """Return the coarsest grid that a weight's entries lie on; None for float.

    The steps are halved as long as int8 and exact sums allow it: a bias is rounded to the product of its weight's
    and its input's step.

    Arguments:
        weight: With the output channels in the first dimension.
    """
    rows = weight.reshape(len(weight), -1)
    whole = _step(rows)
    steps = [whole] * len(rows) if whole is not None else [_step(row) for row in rows]
    if any(step is None for step in steps):
        return None
    column = np.array(steps, np.float64)[:, None]
    counts = np.abs(np.round(rows / column))
    fineness = min(_MOST / max(1.0, float(counts.max())), _SUMS / max(1.0, float(counts.sum(1).max())))
    halvings = max(0, int(np.floor(np.log2(fineness))))
    return Grid(tuple((column[:, 0] / 2**halvings).tolist()), whole is not None)


def _step(values: Array) -> float | None:
    """The step of the grid from 0 on that values lie on, if there is one of at most 127 steps."""
    sizes = np.unique(np.abs(values))
    largest = float(sizes[-1])
    if largest == 0:
        return 1.0
    gaps = np.diff(np.concatenate([[0.0], sizes]))
    step = float(gaps[gaps > 1e-6 * largest].min())
    count = round(largest / step)
    if count > _MOST:
        return None
    step = largest / count
    return step if bool((np.abs(sizes / step - np.round(sizes / step)) < _SLACK).all()) else None


@dataclass(frozen=True)
class Steps:
    """The grid of an activation.

    Arguments:
        step: Its step.
        signed: Whether it lies around 0, as signs do; otherwise from 0 on.
        makers: Names of the nodes that put it on the grid, whose own values stay float.
    """

    step: float
    signed: bool
    makers: tuple[str, ...]


def activation_grids(graph: Any) -> dict[str, Steps]:
    """Return the tensors that activation quantizers put on a grid of 8 bits or less: signs, and rounded activations.

    Rounded activations are the operators Clip, Div, Round and Mul in a row, as `PlainUniform` has them.  What only
    moves or picks values keeps their grid.
    """
    arrays, grids = initializers(graph), {}
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        before = makers.get(node.input[0]) if node.input else None
        if node.op_type == "Sign":
            own = (before.name,) if before is not None and before.op_type == "Add" else ()
            grids[node.output[0]] = Steps(1.0, True, own)
        elif node.op_type == "Mul" and before is not None and before.op_type == "Round":
            grid = _rounded(node, makers.get(before.input[0]), makers, arrays)
            grids.update({} if grid is None else {node.output[0]: grid})
        elif node.op_type in _MOVING and node.input[0] in grids:
            grids[node.output[0]] = replace(grids[node.input[0]], makers=())
    return grids


def _rounded(times: Any, over: Any, makers: Mapping[str, Any], arrays: Mapping[str, Any]) -> Steps | None:
    """The grid of what was clipped, divided and rounded before it was multiplied, if it has at most 256 levels."""
    clip = makers.get(over.input[0]) if over is not None and over.op_type == "Div" else None
    if clip is None or clip.op_type != "Clip" or len(clip.input) != 3:
        return None
    numbers = [arrays.get(name) for name in (over.input[1], times.input[1], *clip.input[1:])]
    if any(number is None or np.size(number) != 1 for number in numbers):
        return None
    under, factor, low, high = (float(number) for number in numbers if number is not None)
    if under != factor or low != 0 or not high <= 255.5 * factor:
        return None
    return Steps(factor, False, (over.name, times.name))


def _is_layer(node: Any) -> bool:
    return node.op_type == "Conv" or bool(node.op_type == "Gemm" and attribute(node, "transB", 0) == 1)
