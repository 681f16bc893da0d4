"""The six indicators of attack failure, on plain PGD's trajectory.

Source: Pintor et al., 2022, https://arxiv.org/abs/2106.09947; implemented independently.
"""

from dataclasses import replace

import torch

from quantattack.attacks.losses import log_odds
from quantattack.attacks.success import misclassified
from quantattack.diagnostics.case import GAP, Case, many, percent
from quantattack.diagnostics.plain_pgd import Trajectory, plain_pgd
from quantattack.record.findings import Finding
from quantattack.rng import FRESH
from quantattack.types import PerImage

UNSTABLE = 0.10  # relative change of the loss near the final point
_NEAR = 1e-3  # largest distance per pixel, in [0, 1]
_DRAWS = 5
_SHARES = 10  # bins of the share of the steps without a gradient
_WINDOW = 10  # last steps
_RISING = 0.05  # of the loss's range


def unavailable_gradients(case: Case, trajectory: Trajectory) -> Finding:
    """Indicator 1: steps whose gradient is exactly zero, on the images that PGD leaves."""
    left = trajectory.survivors
    zero = trajectory.silent[:, left].double().mean(0)
    stuck = int((zero > 0.5).sum())
    says = f"{stuck} of the {int(left.sum())} images that PGD leaves got no gradient in more than half of the steps"
    shares = torch.histc(zero, bins=_SHARES, min=0, max=1).int().tolist()
    data = {
        "stuck": stuck,
        "left": int(left.sum()),
        "mean": float(zero.mean()) if len(zero) else 0.0,
        "shares": shares if len(zero) else [],
    }
    if not many(stuck, len(case)):
        return Finding("unavailable gradients", "pass", "", says, data=data)
    advice = (
        "PGD stands still on them; see `gradient values` (climb the log-odds) and `gradient path` (use a surrogate)"
    )
    return Finding("unavailable gradients", "fail", "unavailable_gradients", says, advice, data)


def unstable_loss(case: Case, trajectory: Trajectory) -> Finding:
    """Indicator 2: how much the loss changes within 0.001 of the final point."""
    change = torch.cat(
        [_change(batch, final) for batch, final in zip(case.batches(), _split(case, trajectory), strict=True)]
    )
    unstable, total = int((change > UNSTABLE).sum()), len(case)
    data = {"unstable": unstable, "images": total, "mean": float(change.mean())}
    says = f"near {unstable} of {total} final points the loss changes by more than {percent(UNSTABLE)}"
    if not many(unstable, total, 0.25):
        return Finding("unstable loss", "pass", "", says, data=data)
    advice = "smooth the model for the attack: Eot(attack, draws=10) where it is random, a surrogate where it jumps"
    return Finding("unstable loss", "fail", "unstable_loss", says, advice, data)


def _split(case: Case, trajectory: Trajectory) -> tuple[torch.Tensor, ...]:
    return torch.split(trajectory.final, case.batch_size)


def _change(case: Case, final: torch.Tensor) -> PerImage:
    """Mean change of the log-odds over random points nearby, relative to the range of the image's logits."""
    logits = case.climbed(final)
    here, size = log_odds(logits, case.labels), (logits.amax(1) - logits.amin(1)).clamp_min(1e-30)
    total = torch.zeros_like(here)
    for draw in range(_DRAWS):
        offset = case.rng.uniform(draw, FRESH, final.shape[1:], final.dtype) * 2 - 1
        moved = (final + min(_NEAR, case.threat.radius) * offset).clamp(case.threat.low, case.threat.high)
        total += (log_odds(case.climbed(moved), case.labels) - here).abs() / size
    return total / _DRAWS


def silent_success(case: Case, trajectory: Trajectory) -> Finding:
    """Indicator 3: an iterate fooled the model, and the last one, which published attacks return, does not."""
    lost = trajectory.fooled.any(0) & ~trajectory.fooled[-1]
    count, total = int(lost.sum()), len(case)
    says = f"on {count} of {total} images an iterate of PGD fooled the model and the last one does not"
    data = {"lost": count, "images": total}
    if not many(count, total, GAP):
        return Finding("silent success", "pass", "", says, data=data)
    advice = "count the best iterate, as this toolkit does, not the last; where the model is random, average it"
    return Finding("silent success", "fail", "silent_success", says, advice, data)


def incomplete(trajectory: Trajectory) -> Finding:
    """Indicator 4: the loss was still rising, by more than 5 % of its range over the last 10 steps."""
    best = trajectory.values.cummax(0).values
    rise = best[-1] - best[-1 - min(_WINDOW, len(best) - 1)]
    still = (rise > _RISING * (best[-1] - best[0]).clamp_min(1e-30)) & trajectory.survivors
    count, left = int(still.sum()), int(trajectory.survivors.sum())
    total, data = len(still), {"rising": count, "left": left}
    says = f"on {count} of the {left} images that PGD leaves, of {total}, the loss was still rising"
    if not many(count, total, 0.25):
        return Finding("incomplete optimization", "pass", "", says, data=data)
    advice = "give PGD more steps, or a falling step size; see `more iterations`"
    return Finding("incomplete optimization", "fail", "not_converged", says, advice, data)


def transfer_failure(case: Case, gradient: bool) -> Finding:
    """Indicator 5: images that fool the differentiated model do not fool the model under test."""
    if gradient:
        return Finding("transfer failure", "pass", "", "PGD differentiates the model itself, nothing has to transfer")
    if case.relative is None:
        says = "the model passes no gradient and no float network was given"
        return Finding(
            "transfer failure",
            "cannot tell",
            "",
            says,
            "name the float network, or another differentiable one (--float)",
        )
    return _transferred(case)


def _transferred(case: Case) -> Finding:
    relative = case.relative
    assert relative is not None
    lost = fooled = 0
    for batch in case.batches():
        attack = replace(plain_pgd(case.threat, loss=log_odds), last_iterate=True)
        final = attack(relative, batch.images, batch.labels, rng=batch.rng)
        with torch.no_grad():
            there = misclassified(relative(final), batch.labels)
        here = misclassified(batch.logits(final), batch.labels)
        fooled, lost = fooled + int(there.sum()), lost + int((there & ~here).sum())
    says = f"{lost} of {fooled} images that fool the float network do not fool the model"
    data = {"lost": lost, "fooled": fooled}
    if fooled and not many(lost, fooled, 0.5):
        return Finding("transfer failure", "pass", "", says, data=data)
    advice = "the float network is too far from the model: distil one from it, or give the model a surrogate derivative"
    return Finding("transfer failure", "fail", "transfer_failure", says, advice, data)


def unconstrained(radius: Finding) -> Finding:
    """Indicator 6: an attack without a bound must break every image; read off the check of larger radii."""
    if radius.verdict == "cannot tell":
        return replace(radius, check="unconstrained attack", forwards=0.0, backwards=0.0)
    left, total = radius.data["left"], radius.data["images"]
    says = f"without a bound PGD leaves {left} of {total} images"
    if not many(left, total):
        return Finding("unconstrained attack", "pass", "", says, data={"left": left, "images": total})
    data = {"left": left, "images": total}
    return Finding("unconstrained attack", "fail", "unconstrained_fails", says, radius.advice, data)
