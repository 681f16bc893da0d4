"""How an evaluation shows a model its images: padded to safe row counts, with every pass counted."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.data.sources import digest
from quantattack.errors import InputError
from quantattack.gradients import NoGradient, parts_of, placement
from quantattack.types import Images, Logits, Model

_FEWEST, _MULTIPLE = 16, 8


class Passes:
    """Counts of the rows that went forward and backward through a model; copies of the model share them.

    Arguments:
        watch: Told how many rows went forward so far, each time that some did; None for nobody.
    """

    def __init__(self, watch: Callable[[int], None] | None = None) -> None:
        self.forwards, self.backwards = 0, 0
        self._watch = watch

    def __deepcopy__(self, memo: dict[int, Any]) -> "Passes":  # a double-precision twin's passes count as well
        return self

    def forward(self, rows: int) -> None:
        """Count rows that went forward."""
        self.forwards += rows
        if self._watch is not None:
            self._watch(self.forwards)

    def snapshot(self) -> tuple[int, int]:
        return self.forwards, self.backwards


class CountedModel(nn.Module):
    """A model that never sees fewer than 16 rows, nor a count that is not a multiple of 8.

    With other counts matrix products take other paths, logits and gradients differ in their last bits, and a sign
    flips: the verdict would depend on how the images were cut into batches.  The missing rows are copies.

    Arguments:
        model: The model as given; it is called as it is, never cast.
        passes: Where the passes are counted; a count of its own by default.
        width: How many rows the model is shown at once without a gradient; None for any number.  Never changed: see
            `showing`.
    """

    def __init__(self, model: Model, passes: Passes | None = None, width: int | None = None) -> None:
        super().__init__()
        self.model, self.passes = model, passes or Passes()
        self.width = width
        self.eval()

    def showing(self, at_once: int | None, passes: Passes | None = None) -> "CountedModel":
        """Return a view of the same model that shows it so many rows at once; this one stays as it is.

        Arguments:
            at_once: How many rows the model is shown at once; None for any number.
            passes: Where the view's passes are counted; with this one's by default.
        """
        return CountedModel(self.model, passes or self.passes, at_once)

    def forward(self, images: Images) -> Logits:
        if torch.is_grad_enabled() or self.width is None or len(images) <= self.width:
            return self._shown(images)
        return torch.cat([self._shown(images[rows]) for rows in parts_of(len(images), self.width)])

    def _shown(self, images: Images) -> Logits:
        rows, shown = len(images), padded(images)
        logits: Tensor = self._answer(shown)
        check_rows(logits, len(shown))
        if len(logits) > rows:
            logits = logits[:rows]
        self.passes.forward(rows)
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]
        return logits

    def _answer(self, images: Images) -> Any:
        try:
            return self.model(images)
        except RuntimeError as error:
            if images.requires_grad and "requires grad" in str(error):  # the model leaves autograd, through NumPy
                raise NoGradient from None
            raise

    def _count(self, grad: Tensor) -> None:
        self.passes.backwards += len(grad)


def check_rows(logits: Any, rows: int) -> None:
    """Refuse anything but floating-point logits with one row an image."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
        got = f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the model must return floating-point logits of shape (n, classes), not {got}")
    if len(logits) != rows:
        raise InputError(f"the model returned {len(logits)} rows of logits for {rows} images; it must return one each")


def padded(images: Images) -> Tensor:
    """Add copies of the first image until the count is safe."""
    rows = len(images)
    missing = max(_FEWEST, -(-rows // _MULTIPLE) * _MULTIPLE) - rows
    return torch.cat([images, images[:1].expand(missing, *images.shape[1:])]) if missing else images


def fingerprint(model: CountedModel, images: Images) -> str:
    """Tell apart models that the same weights and the same text describe: by what they say of a few images.

    Coarse, so that another processor's rounding is no other model; a random model says nothing certain.

    Arguments:
        model: The model, which sees safe row counts.
        images: A few images with shape (m, ...).
    """
    device, dtype = placement(model)
    with torch.no_grad():
        logits, again = (model(images.to(device, dtype)).double() for _ in range(2))
    if not torch.equal(logits, again):
        return "random"
    return f"{logits.argmax(1).tolist()}:{float(logits.abs().mean()):.3g}:{float(logits.std()):.3g}"


def model_checksum(model: Model) -> str:
    """Return a checksum of a model's layers, parameters and buffers."""
    if not isinstance(model, nn.Module):
        return getattr(model, "__qualname__", type(model).__qualname__)
    return digest({**model.state_dict(), **dict(model.named_buffers())}, repr(model))
