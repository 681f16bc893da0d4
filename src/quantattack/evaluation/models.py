"""The wrapper through which an evaluation calls a model: pads each batch and counts every pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.attacks.grid import Grid
from quantattack.data.sources import digest
from quantattack.errors import InputError, guarded
from quantattack.evaluation.source_code import source_digest
from quantattack.gradients import NoGradient, called, gradient, is_twinned, parts_of, placement
from quantattack.types import Images, Logits, Model, PerImage, oddity

_FEWEST, _MULTIPLE = 16, 8  # a batch has at least 16 rows, and a multiple of 8


class Passes:
    """Counters of the rows that went forward and backward through a model, shared by all copies of the model.

    Arguments:
        watch: Called after each forward pass with the number of rows that went forward and backward so far; None for
            no callback.
    """

    def __init__(self, watch: Callable[[int], None] | None = None) -> None:
        self.forwards, self.backwards = 0, 0
        self._watch = watch

    def __deepcopy__(self, memo: dict[int, Any]) -> "Passes":  # passes of a double-precision copy count too
        return self

    def forward(self, rows: int) -> None:
        """Add the rows of one forward pass."""
        self.forwards += rows
        if self._watch is not None:
            self._watch(self.forwards + self.backwards)

    def snapshot(self) -> tuple[int, int]:
        """Return the forward and the backward count."""
        return self.forwards, self.backwards


class CountedModel(nn.Module):
    """A model that is called as a stranger's: on copies, guarded, and counted, in batches of safe row counts.

    Each batch is padded to at least 16 rows and a multiple of 8, unless `rows` says otherwise.

    For other row counts matrix products use other kernels, so logits and gradients differ in their last bits and signs
    can flip: the verdict would depend on how the images were split into batches.  Padding repeats the first image.

    Arguments:
        model: The model to call; its dtype is never changed.
        passes: The counters to add to; new ones by default.
        width: Largest batch without gradients, in rows; longer ones are split.  None never splits.  To change it, make
            a view with `showing`.
        grid: Rounds the images before the model sees them, with derivative 1; None for no rounding.  So an attack that
            knows nothing of a grid searches on it all the same.
        rows: Rows of every call, for a model that takes no other count; 0 to pad nothing; None to pad as above.
    """

    def __init__(
        self,
        model: Model,
        passes: Passes | None = None,
        width: int | None = None,
        grid: Grid | None = None,
        rows: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.passes = model, passes or Passes()
        self.width, self.grid, self.rows = width, grid, rows
        self.training = False

    def train(self, mode: bool = True) -> "CountedModel":  # noqa: ARG002
        """Ignore the call: the model inside keeps the mode that it is in."""
        return self

    @property
    def as_given(self) -> Model:
        """The model inside, for what reads its modules."""
        return self.model

    @property
    def twinned(self) -> bool:
        """Whether the model's gradient and verdict come from two implementations; see `gradients.is_twinned`."""
        return is_twinned(self.model)

    def showing(self, at_once: int | None, passes: Passes | None = None, grid: Grid | None = None) -> "CountedModel":
        """Return a view of the same model with another width; this one is unchanged.

        Arguments:
            at_once: Width of the view, in rows; None never splits a batch.
            passes: The counters of the view; this model's by default.
            grid: Rounds the images that the view is shown; None for this model's grid.
        """
        return CountedModel(self.model, passes or self.passes, at_once, grid or self.grid, self.rows)

    def uncounted(self) -> "CountedModel":
        """Return a view that counts nothing and splits no batch, for rows in place of padding; see `attacks.ahead`."""
        return self.showing(None, Passes())

    def spare(self, rows: int) -> int:
        """Return how many rows a batch of so many is padded with."""
        return wanted_rows(rows, self.rows) - rows

    def count(self, rows: int) -> None:
        """Count rows that went forward through `uncounted`."""
        self.passes.forward(rows)

    def forward(self, images: Images) -> Logits:
        if self.rows:
            parts = [slice(first, first + self.rows) for first in range(0, max(1, len(images)), self.rows)]
        else:
            parts = parts_of(len(images), None if torch.is_grad_enabled() else self.width)
        if len(parts) == 1:
            return self._logits(images)
        return torch.cat([self._logits(images[rows]) for rows in parts])

    def _logits(self, images: Images) -> Logits:
        rows, batch = len(images), padded(images if self.grid is None else self.grid(images), self.rows)
        logits: Tensor = self._call_model(batch)
        check_rows(logits, len(batch))
        if len(logits) > rows:
            logits = logits[:rows]
        self.passes.forward(rows)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)  # type: ignore[no-untyped-call]
        return logits

    def _call_model(self, images: Images) -> Any:
        with guarded("the model"):
            try:
                return called(self.model, images)
            except RuntimeError as error:
                if images.requires_grad and "requires grad" in str(error):  # the model calls NumPy
                    raise NoGradient from None
                raise

    def _count_backward(self, grad: Tensor) -> None:
        self.passes.backwards += len(grad)


def check_rows(logits: Any, rows: int) -> None:
    """Raise `InputError` unless the logits are a floating-point tensor with shape (rows, k)."""
    if isinstance(logits, Tensor) and (odd := oddity(logits)):
        raise InputError(f"the model must return logits as a plain tensor, not as a {odd} one; convert them")
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
        got = f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        flat = isinstance(logits, Tensor) and logits.ndim == 1 and logits.is_floating_point()
        hint = "; of one sigmoid logit z an image return torch.stack([-z, z], 1)" if flat else ""
        raise InputError(f"the model must return floating-point logits of shape (n, classes), not {got}{hint}")
    if len(logits) != rows:
        raise InputError(f"the model returned {len(logits)} rows of logits for {rows} images; it must return one each")


def padded(images: Images, wanted: int | None = None) -> Tensor:
    """Append copies of the first image until there are at least 16 rows and a multiple of 8.

    Arguments:
        images: Images with shape (n, ...), n at least 1.
        wanted: Exactly how many rows instead; 0 for those that there are.
    """
    missing = wanted_rows(len(images), wanted) - len(images)
    return torch.cat([images, images[:1].expand(missing, *images.shape[1:])]) if missing else images


def wanted_rows(rows: int, wanted: int | None = None) -> int:
    """Return how many rows `padded` makes of so many.

    Arguments:
        rows: Number of rows.
        wanted: Exactly how many; 0 for those that there are; None for at least 16 and a multiple of 8.
    """
    usual = max(_FEWEST, -(-rows // _MULTIPLE) * _MULTIPLE)
    return max(rows, usual if wanted is None else wanted)


def fingerprint(model: CountedModel, images: Images) -> str:
    """Return a coarse summary of the logits and their gradient on a few images, or "random" if two passes differ.

    It tells apart models with equal weights and equal `repr`, also by their source.  Numbers are rounded, so that the
    same model has the same fingerprint on another processor.  What was added since comes after a colon, so that the
    fingerprint of an older record is the beginning of today's.

    Arguments:
        model: The model to evaluate.
        images: A few images with shape (m, ...).
    """
    device, dtype = placement(model)
    with torch.no_grad(), guarded("the model", f"the first {len(images)} images"):
        logits, again = (model(images.to(device, dtype)).double() for _ in range(2))
    if not torch.equal(logits, again):
        return "random"
    summary = f"{logits.argmax(1).tolist()}:{float(logits.abs().mean()):.3g}:{float(logits.std()):.3g}"
    about = (summary, _slopes(model, images.to(device, dtype)), source_digest(model.model))
    return ":".join(part for part in about if part)


def _slopes(model: CountedModel, images: Images) -> str:
    """Return the size of the gradient of the largest logit and its sign along each image; "none" without a gradient."""
    try:
        first, again = (gradient(model, images, _lead)[1].double().flatten(1) for _ in range(2))
    except (InputError, RuntimeError, NotImplementedError):
        return "none"
    if not torch.equal(first, again):
        return "random"
    along = (first * images.double().flatten(1)).sum(1)
    return f"{float(first.abs().mean()):.2g}{''.join('+' if value > 0 else '-' for value in along.tolist())}"


def _lead(logits: Logits) -> PerImage:
    return logits.amax(1) - logits.mean(1)


def model_checksum(model: Model) -> str:
    """Return a checksum of a model's layers, parameters and buffers; of a plain callable, its name."""
    if not isinstance(model, nn.Module):
        return getattr(model, "__qualname__", type(model).__qualname__)
    return digest({**model.state_dict(), **dict(model.named_buffers())}, repr(model))
