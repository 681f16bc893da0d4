"""The attack whose number is in doubt: PGD on cross entropy, watched step by step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Batch
from quantattack.attacks.losses import Loss, cross_entropy, log_odds
from quantattack.attacks.recipes import usual_step
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.diagnostics.case import Case
from quantattack.gradients import NoGradient
from quantattack.types import Images, Mask

STEPS = 20


@dataclass(frozen=True, eq=False)
class Walk:
    """What was seen on the way of every image.

    Arguments:
        values: Log-odds at each point, with shape (steps + 1, n).
        fooled: Whether the point fooled the model, with shape (steps + 1, n).
        silent: Whether the gradient of cross entropy was zero at each step, with shape (steps, n).
        final: The last point.
    """

    values: Tensor
    fooled: Tensor
    silent: Tensor
    final: Images

    @property
    def survivors(self) -> Mask:
        """The images that no point of the walk fooled."""
        return ~self.fooled.any(0)


def plain(threat: Threat, steps: int = STEPS, loss: Loss = cross_entropy) -> Ascent:
    """PGD as every library has it: steps of radius / 4 under Linf, else 2.5 radius / steps, from a random start."""
    return Ascent(threat=threat, step_size=usual_step(threat, steps), steps=steps, loss=loss)


def watch(case: Case, steps: int = STEPS) -> Walk:
    """Walk all steps with every image; a model without a gradient path stands still at the clean images."""
    parts = [_watched(part, steps) for part in case.batches()]
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    values, fooled, silent, final = columns
    return Walk(torch.cat(values, 1), torch.cat(fooled, 1), torch.cat(silent, 1), torch.cat(final))


def _watched(case: Case, steps: int) -> Walk:
    walk = plain(case.threat, steps).walk(case.host, Batch(case.images, case.labels, case.rng))
    values, fooled, silent = list[Tensor](), list[Tensor](), list[Tensor]()
    while True:
        try:
            step = next(walk)
        except StopIteration as end:
            return _ended(case, end.value, values, fooled, silent)
        except NoGradient:
            still = torch.ones(steps, len(case), dtype=torch.bool, device=case.images.device)
            start = log_odds(case.logits(), case.labels).expand(steps + 1, -1)
            return Walk(start, torch.zeros_like(start, dtype=torch.bool), still, case.images)
        values.append(log_odds(step.logits, case.labels))
        fooled.append(misclassified(step.logits, case.labels))
        silent.append(step.grad.flatten(1).abs().amax(1) == 0)


def _ended(case: Case, final: Images, values: list[Tensor], fooled: list[Tensor], silent: list[Tensor]) -> Walk:
    logits = case.logits(final)
    values = [*values, log_odds(logits, case.labels)]
    fooled = [*fooled, misclassified(logits, case.labels)]
    return Walk(torch.stack(values), torch.stack(fooled), torch.stack(silent), final)
