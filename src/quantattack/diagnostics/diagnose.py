"""The diagnosis: every check on one model within a budget of passes, and whether its number can be trusted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from quantattack.attacks.threat import Threat
from quantattack.data.sources import source_of
from quantattack.diagnostics import checks, failures, layers, masking
from quantattack.diagnostics.budget import Budget
from quantattack.diagnostics.case import Case, many
from quantattack.diagnostics.probe import Gradients, compare
from quantattack.diagnostics.reference import STEPS, Walk, watch
from quantattack.diagnostics.rounding import SAMPLES, SWEEPS, input_levels
from quantattack.errors import InputError, check_count
from quantattack.evaluation.checks import check_classes, check_logits, check_model, positions_of
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.task import usual_batch
from quantattack.gradients import NoGradient, placement
from quantattack.record.findings import Finding
from quantattack.rng import Rng
from quantattack.types import Mask, Model

BUDGET = 500
# A fault earlier in this list explains the ones behind it.
REASONS = ("probabilities", "nan", "batch_dependent", "random", "shattered", "no_gradient", "saturation")

# The attack is too weak for the network; its gradients are none the worse for it.
WEAK = ("weak_attack", "not_converged", "step_size", "restarts", "silent_success")


@dataclass(frozen=True)
class Diagnosis:
    """What the checks found.

    Arguments:
        findings: One for each check, in the order in which they ran.
        images: Number of images.
        clean: Share of them that the model has right, 0 to 1.
        pgd: Share that plain PGD leaves, 0 to 1.
        worst: Share that nothing tried here broke, 0 to 1.
        forwards: Forward passes spent, an image.
        backwards: Backward passes spent, an image.
    """

    findings: tuple[Finding, ...]
    images: int
    clean: float
    pgd: float
    worst: float
    forwards: float
    backwards: float

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(finding for finding in self.findings if finding.verdict == "fail")

    @property
    def trusted(self) -> bool:
        """Whether no check speaks against the robust accuracy that plain PGD finds."""
        return not self.failures

    @property
    def masked(self) -> bool:
        """Whether the network misleads gradient attacks; otherwise PGD is at most too weak for it."""
        return any(finding.code not in WEAK for finding in self.failures)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reason codes of the checks that failed, causes first."""
        found = dict.fromkeys(finding.code for finding in self.failures)
        causes = [code for code in REASONS if code in found]
        return (*causes, *(code for code in found if code not in causes))


def diagnose(
    model: Model,
    images: Any,
    labels: Any,
    threat: Threat,
    *,
    twin: Model | None = None,
    budget: int | float = BUDGET,
    seed: int = 0,
    batch_size: int | None = None,
    indices: Any = None,
    progress: Callable[[Finding], None] | None = None,
) -> Diagnosis:
    """Find out whether the robust accuracy that plain PGD finds can be trusted, and why not.

    Arguments:
        model: Maps images in [0, 1], with shape (n, ...), to logits with shape (n, k); in eval mode.
        images: Images with shape (n, ...), or a `Dataset` of (image, label).
        labels: True classes with shape (n,); None with a `Dataset`.
        threat: The threat whose robust accuracy is in doubt.
        twin: A differentiable relative, such as the float network, from which attacks are transferred.
        budget: Forward and backward passes an image; a check that does not fit says `cannot tell`.
        seed: Seed of every random number.
        batch_size: Images shown at once; chosen by their size where None.
        indices: The images' indices in their data set; their positions by default.
        progress: Called with each finding.

    Raises:
        InputError: If the model, the images, the labels or the threat cannot be used, or no image is right.
    """
    case, total = _case(model, images, labels, threat, twin, seed, batch_size, indices)
    run = _Run(case, Budget(case.host.passes, total, budget), progress)
    run.before()
    walk = run.reference()
    broken = torch.zeros(len(case), dtype=torch.bool, device=case.images.device)
    if walk is not None:
        broken = run.challenge(walk)
        run.indicate(walk)
    stood = len(case) if walk is None else int(walk.survivors.sum())
    clean, pgd, worst = (count / total for count in (len(case), stood, int((~broken).sum())))
    return Diagnosis(tuple(run.findings), total, clean, pgd, worst, *run.budget.spent)


def _case(
    model: Model,
    images: Any,
    labels: Any,
    threat: Threat,
    twin: Model | None,
    seed: int,
    size: int | None,
    indices: Any,
) -> tuple[Case, int]:
    """Return the images that the model has right as a case, and how many there were."""
    check_model(model)
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")
    host, source = CountedModel(model), source_of(images, labels, threat.low, threat.high)
    index = positions_of(indices, len(source))
    device, dtype = placement(model)
    shown, classes = source.take(range(len(source)))
    threat.check(tuple(shown.shape[1:]))
    chosen = usual_batch(tuple(shown.shape[1:]), device) if size is None else size
    check_count("batch_size", chosen)
    rng = Rng(seed, index.to(device))
    case = Case(host, shown.to(device, dtype), classes.to(device), threat, rng, chosen, _hosted(twin, host))
    right = _right(case)
    if not bool(right.any()):
        raise InputError(f"the model has none of the {len(right)} images right; there is no robustness to diagnose")
    return case.where(right), len(right)


def _hosted(twin: Model | None, host: CountedModel) -> CountedModel | None:
    if twin is None:
        return None
    check_model(twin)
    other = CountedModel(twin)
    other.passes = host.passes
    return other


def _right(case: Case) -> Mask:
    try:
        logits = case.logits()
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"the model does not take images of shape {tuple(case.images.shape[1:])}: {reason}") from None
    check_logits(logits, len(case))
    check_classes(case.labels, logits.shape[1])
    return logits.argmax(1) == case.labels


class _Run:
    """The checks one after the other, each with what it costs."""

    def __init__(self, case: Case, budget: Budget, progress: Callable[[Finding], None] | None) -> None:
        self.case, self.budget, self.progress = case, budget, progress
        self.findings = list[Finding]()

    def check(self, name: str, passes: int | float, look: Callable[[], Finding]) -> Finding:
        """Run one check if it fits, and keep what it found with what it cost.

        Arguments:
            name: The check's name.
            passes: What it costs at most, an image of the case.
            look: Runs it.
        """
        share = len(self.case) / self.budget.images
        before = self.budget.spent
        finding = self._looked(name, look) if self.budget.fits(passes * share) else self._unfit(name, passes * share)
        forwards, backwards = (now - was for now, was in zip(self.budget.spent, before, strict=True))
        self.findings.append(replace(finding, forwards=forwards, backwards=backwards))
        if self.progress is not None:
            self.progress(self.findings[-1])
        return self.findings[-1]

    def _looked(self, name: str, look: Callable[[], Finding]) -> Finding:
        try:
            return look()
        except NoGradient:
            says = "the model passes no gradient, which this check needs"
            return Finding(name, "cannot tell", "", says, "see `gradient path`")
        except InputError as error:
            says, _, advice = str(error).partition("; ")
            return Finding(name, "cannot tell", "", says, advice)

    def _unfit(self, name: str, passes: int | float) -> Finding:
        left = self.budget.limit - sum(self.budget.spent)
        says = f"it takes up to {passes:.0f} passes an image, and {left:.0f} of {self.budget.limit:g} are left"
        return Finding(name, "cannot tell", "", says, "give a larger --budget")

    def before(self) -> None:
        """What needs no attack."""
        case = self.case
        self.check("quantized", 1, lambda: layers.inventory_check(case))
        self.check("derivatives", 1, lambda: layers.derivative_check(case))
        self.check("logits", 1, lambda: checks.logits_check(case))
        random = self.check("randomness", 2, lambda: checks.randomness_check(case)).verdict == "fail"
        self.check("batch", 3, lambda: checks.batch_check(case))
        self._gradients(random)

    def _gradients(self, random: bool) -> None:
        case, seen = self.case, list[Gradients]()
        sweeps = SWEEPS * SAMPLES / len(case)

        def path() -> Finding:
            seen.append(compare(case))
            silent = many(int(seen[0].silent.sum()), len(case))
            levels = input_levels(case) if silent and self.budget.fits(sweeps) else None
            return checks.path_check(seen[0], levels)

        self.check("gradient path", 5, path)
        if not seen:
            return
        self.check("gradient values", 0, lambda: checks.values_check(seen[0]))
        self.check("margins", 0, lambda: checks.margins_check(case, seen[0]))
        self.check("precision", 2, lambda: _unless(random, "precision", lambda: checks.precision_check(case, seen[0])))
        self.check("ascent", 5, lambda: checks.ascent_check(case, seen[0]))

    def reference(self) -> Walk | None:
        """Plain PGD, whose number is in doubt; None where it does not fit."""
        seen = list[Walk]()

        def look() -> Finding:
            seen.append(watch(self.case))
            return failures.unavailable_gradients(self.case, seen[0])

        self.check("unavailable gradients", 2 * STEPS + 1, look)
        return seen[0] if seen else None

    def challenge(self, walk: Walk) -> Mask:
        """Search on what plain PGD leaves; returns what is broken in the end."""
        broken = [~walk.survivors]
        share = float(walk.survivors.double().mean())

        def look(challenge: masking.Challenge) -> Finding:
            finding, found = challenge(self.case, walk)
            broken[0] = broken[0] | found
            return finding

        larger = masking.LargerRadius()
        radius = self.check("larger radius", larger.passes, lambda: larger(self.case))
        self.check("unconstrained attack", 0, lambda: failures.unconstrained(radius))
        for challenge in masking.CHALLENGES:
            self.check(challenge.check, challenge.passes * share, lambda c=challenge: look(c))  # type: ignore[misc]
        return broken[0]

    def indicate(self, walk: Walk) -> None:
        """The remaining indicators of attack failure."""
        case = self.case
        gradient = not bool(walk.silent.all())
        self.check("unstable loss", 6, lambda: failures.unstable_loss(case, walk))
        self.check("silent success", 0, lambda: failures.silent_success(case, walk))
        self.check("incomplete optimization", 0, lambda: failures.incomplete(walk))
        passes = 0 if gradient or case.twin is None else 2 * STEPS + 2
        self.check("transfer failure", passes, lambda: failures.transfer_failure(case, gradient))


def _unless(random: bool, name: str, look: Callable[[], Finding]) -> Finding:
    if random:
        return Finding(name, "cannot tell", "", "the model is random, so two gradients differ anyway")
    return look()
