"""How the file's input becomes levels: the one rule of the twin and of what feeds the runtime."""

import torch
from torch import Tensor, nn

from quantattack.deployed.tflite.grid import Grid, settled


def input_levels(inputs: Tensor, grid: Grid) -> Tensor:
    """Return the levels of real inputs, half rounded to even, the zero point subtracted.

    Arguments:
        inputs: Float inputs of any shape.
        grid: The input's grid.
    """
    levels = (inputs.float() / torch.tensor(grid.scale, dtype=torch.float32)).round()
    return levels.clamp(grid.low, grid.high)


class InputLevels(nn.Module):
    """Real inputs as levels of the input's grid, with a straight-through derivative.

    Arguments:
        grid: The input's grid.
    """

    scale: Tensor

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.register_buffer("scale", torch.tensor(grid.scale))

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            levels = input_levels(inputs, self.grid)
        return settled(inputs, 1 / self.scale, inputs.detach() / self.scale, levels, self.grid)
