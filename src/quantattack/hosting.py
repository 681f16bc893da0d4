"""How the engine shows a model its images: padded to safe row counts, with every pass counted."""

from typing import Any

import torch
from torch import Tensor, nn

from quantattack.shapes import Images, Logits, Model

_FEWEST, _MULTIPLE = 16, 8


class Passes:
    """Counts of the rows that went forward and backward through a model; copies of the model share them."""

    def __init__(self) -> None:
        self.forwards, self.backwards = 0, 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Passes":  # a double-precision twin's passes count as well
        return self

    def snapshot(self) -> tuple[int, int]:
        return self.forwards, self.backwards


class Hosted(nn.Module):
    """A model that never sees fewer than 16 rows, nor a count that is not a multiple of 8.

    With other counts matrix products take other paths, logits and gradients differ in their last bits, and a sign
    flips: the verdict would depend on how the images were cut into batches.  The missing rows are copies.

    Arguments:
        model: The model as given; it is called as it is, never cast.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model, self.passes = model, Passes()
        self.eval()

    def forward(self, images: Images) -> Logits:
        rows = len(images)
        logits: Tensor = self.model(padded(images))
        if len(logits) > rows:
            logits = logits[:rows]
        self.passes.forwards += rows
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]
        return logits

    def _count(self, grad: Tensor) -> None:
        self.passes.backwards += len(grad)


def padded(images: Images) -> Images:
    """Add copies of the first image until the count is safe."""
    rows = len(images)
    missing = max(_FEWEST, -(-rows // _MULTIPLE) * _MULTIPLE) - rows
    return torch.cat([images, images[:1].expand(missing, *images.shape[1:])]) if missing else images


def placement(model: Model) -> tuple[torch.device, torch.dtype]:
    """Return the device and the floating-point type of a model's parameters; the CPU and float32 where it has none."""
    tensors = [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []
    for tensor in tensors:
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32
