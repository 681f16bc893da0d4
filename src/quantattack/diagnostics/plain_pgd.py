"""The attack whose robust accuracy is in doubt: plain PGD on cross entropy, followed step by step."""

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
class Trajectory:
    """The steps of plain PGD for n images.

    Arguments:
        values: Log-odds at each point, with shape (steps + 1, n).
        fooled: Whether the point fools the model, with shape (steps + 1, n).
        silent: Whether the gradient of cross entropy was zero at each step, with shape (steps, n).
        final: The last points, with shape (n, ...).
    """

    values: Tensor
    fooled: Tensor
    silent: Tensor
    final: Images

    @property
    def survivors(self) -> Mask:
        """The images that fool the model at no point."""
        return ~self.fooled.any(0)


def plain_pgd(threat: Threat, steps: int = STEPS, loss: Loss = cross_entropy) -> Ascent:
    """Return PGD as in every library: steps of radius / 4 under Linf, else 2.5 radius / steps, from a random start."""
    return Ascent(threat=threat, step_size=usual_step(threat, steps), steps=steps, loss=loss)


def follow_pgd(case: Case, steps: int = STEPS) -> Trajectory:
    """Run all steps of plain PGD on every image; without a gradient the images stay clean."""
    batches = [_followed(batch, steps) for batch in case.batches()]
    columns = zip(*(vars(trajectory).values() for trajectory in batches), strict=True)
    values, fooled, silent, final = columns
    return Trajectory(torch.cat(values, 1), torch.cat(fooled, 1), torch.cat(silent, 1), torch.cat(final))


def _followed(case: Case, steps: int) -> Trajectory:
    walk = plain_pgd(case.threat, steps).walk(case.host, Batch(case.images, case.labels, case.rng))
    values, fooled, silent = list[Tensor](), list[Tensor](), list[Tensor]()
    while True:
        try:
            step = next(walk)
        except StopIteration as end:
            return _ended(case, end.value, values, fooled, silent)
        except NoGradient:
            still = torch.ones(steps, len(case), dtype=torch.bool, device=case.images.device)
            start = log_odds(case.climbed(), case.labels).expand(steps + 1, -1)
            return Trajectory(start, torch.zeros_like(start, dtype=torch.bool), still, case.images)
        values.append(log_odds(step.logits, case.labels))
        fooled.append(misclassified(step.logits, case.labels))
        silent.append(step.grad.flatten(1).abs().amax(1) == 0)


def _ended(case: Case, final: Images, values: list[Tensor], fooled: list[Tensor], silent: list[Tensor]) -> Trajectory:
    logits = case.logits(final)
    values = [*values, log_odds(logits, case.labels)]
    fooled = [*fooled, misclassified(logits, case.labels)]
    return Trajectory(torch.stack(values), torch.stack(fooled), torch.stack(silent), final)
