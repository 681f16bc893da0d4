"""The checks in their order, each within what is left of a budget of forward and backward passes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from quantattack.attacks.deployed import showing_outputs
from quantattack.diagnostics import checks, deployed, failures, layers, masking
from quantattack.diagnostics.case import Case, many
from quantattack.diagnostics.clean_gradients import CleanGradients, clean_gradients
from quantattack.diagnostics.plain_pgd import STEPS, Trajectory, follow_pgd
from quantattack.diagnostics.rounding import SAMPLES, SWEEPS, input_levels
from quantattack.errors import InputError
from quantattack.evaluation.models import Passes
from quantattack.gradients import NoGradient
from quantattack.record.findings import Finding
from quantattack.types import Mask


@dataclass(frozen=True, eq=False)
class Budget:
    """A limit on the passes through a model, and what is left of it.

    Arguments:
        passes: The model's count of images shown, forward and backward.
        images: Number of images that the limit is for.
        limit: Passes per image, forward and backward together.
    """

    passes: Passes
    images: int
    limit: int | float

    @property
    def spent(self) -> tuple[float, float]:
        """Forward and backward passes per image so far."""
        forwards, backwards = self.passes.snapshot()
        return forwards / self.images, backwards / self.images

    def fits(self, passes: int | float) -> bool:
        """Return whether this many more passes per image are within the limit."""
        return sum(self.spent) + passes <= self.limit


class Checklist:
    """Runs the checks one after the other and keeps each finding with its cost.

    Arguments:
        case: The model and the images that it classifies correctly.
        budget: What the checks may spend.
        progress: Called with each finding.
    """

    def __init__(self, case: Case, budget: Budget, progress: Callable[[Finding], None] | None) -> None:
        self.case, self.budget, self.progress = case, budget, progress
        self.findings = list[Finding]()

    def check(self, name: str, passes: int | float, run: Callable[[], Finding]) -> Finding:
        """Run a check if it fits into the budget, and keep its finding with its cost.

        Arguments:
            name: The check's name.
            passes: What it costs at most per image of the case.
            run: Runs it.
        """
        share = len(self.case) / self.budget.images
        before = self.budget.spent
        finding = self._ran(name, run) if self.budget.fits(passes * share) else self._too_costly(name, passes * share)
        forwards, backwards = (now - was for now, was in zip(self.budget.spent, before, strict=True))
        self.findings.append(replace(finding, forwards=forwards, backwards=backwards))
        if self.progress is not None:
            self.progress(self.findings[-1])
        return self.findings[-1]

    def _ran(self, name: str, run: Callable[[], Finding]) -> Finding:
        try:
            return run()
        except NoGradient:
            says = "the model passes no gradient, which this check needs"
            return Finding(name, "cannot tell", "", says, "see `gradient path`")
        except InputError as error:
            says, _, advice = str(error).partition("; ")
            return Finding(name, "cannot tell", "", says, advice)

    def _too_costly(self, name: str, passes: int | float) -> Finding:
        left = self.budget.limit - sum(self.budget.spent)
        says = f"it takes up to {passes:.0f} passes per image, and {left:.0f} of {self.budget.limit:g} are left"
        return Finding(name, "cannot tell", "", says, "give a larger --budget")

    def before(self) -> None:
        """Run the checks that need no attack."""
        case = self.case
        self.check("quantized", 1, lambda: layers.inventory_check(case))
        self.check("derivatives", 1, lambda: layers.derivative_check(case))
        self.check("logits", 1, lambda: checks.logits_check(case))
        random = self.check("randomness", 2, lambda: checks.randomness_check(case)).verdict == "fail"
        self.check("batch", 3, lambda: checks.batch_check(case))
        self._gradients(random)

    def deployed(self, everything: Case) -> None:
        """Run the checks of a deployed file; of any other model there are none.

        Arguments:
            everything: All images, those that are classified wrongly included.
        """
        model = deployed.model_of(self.case)
        if model is None:
            return
        self.check("twin", 2, lambda: deployed.twin_check(self.case, model))
        self.check("softmax", 0, lambda: deployed.softmax_check(everything, model))
        self.check("input grid", 0, lambda: deployed.input_check(everything, model))
        for variant in model.variants:
            share = len(everything) / len(self.case)
            self.check(f"kernels, {variant}", 2 * share, partial(deployed.kernels_check, everything, model, variant))

    def _gradients(self, random: bool) -> None:
        case, seen = self.case, list[CleanGradients]()  # filled by the first check, where it fits
        sweeps = SWEEPS * SAMPLES / len(case)

        def path() -> Finding:
            seen.append(clean_gradients(case))
            unexplained = many(int((seen[0].silent & ~seen[0].flat).sum()), len(case))
            levels = input_levels(case) if unexplained and self.budget.fits(sweeps) else None
            return checks.path_check(seen[0], levels)

        self.check("gradient path", 5, path)
        if not seen:
            return
        self.check("gradient values", 0, lambda: checks.values_check(seen[0]))
        self.check("margins", 0, lambda: checks.margins_check(case, seen[0]))
        self.check("precision", 2, lambda: _unless(random, "precision", lambda: checks.precision_check(case, seen[0])))
        self.check("ascent", 5, lambda: checks.ascent_check(case, seen[0]))

    def reference(self) -> Trajectory | None:
        """Run plain PGD, whose robust accuracy is in doubt; None where it does not fit into the budget."""
        seen = list[Trajectory]()

        def unavailable() -> Finding:
            host = showing_outputs(self.case.host)  # what an ordinary attack climbs
            seen.append(follow_pgd(replace(self.case, host=host)))
            return failures.unavailable_gradients(self.case, seen[0])

        self.check("unavailable gradients", 2 * STEPS + 1, unavailable)
        return seen[0] if seen else None

    def challenge(self, trajectory: Trajectory) -> Mask:
        """Attack the images that survive plain PGD; return which images are broken in the end."""
        broken = ~trajectory.survivors
        share = float(trajectory.survivors.double().mean())

        def run(challenge: masking.Challenge) -> Finding:
            nonlocal broken
            finding, also_broken = challenge(self.case, trajectory)
            broken = broken | also_broken
            return finding

        larger = masking.LargerRadius()
        radius = self.check("larger radius", larger.passes, lambda: larger(self.case))
        self.check("unconstrained attack", 0, lambda: failures.unconstrained(radius))
        for challenge in masking.CHALLENGES:
            self.check(challenge.check, challenge.passes * share, partial(run, challenge))
        return broken

    def indicate(self, trajectory: Trajectory) -> None:
        """Run the remaining indicators of attack failure."""
        case = self.case
        gradient = not bool(trajectory.silent.all())
        self.check("unstable loss", 6, lambda: failures.unstable_loss(case, trajectory))
        self.check("silent success", 0, lambda: failures.silent_success(case, trajectory))
        self.check("incomplete optimization", 0, lambda: failures.incomplete(trajectory))
        passes = 0 if gradient or case.relative is None else 2 * STEPS + 2
        self.check("transfer failure", passes, lambda: failures.transfer_failure(case, gradient))


def _unless(random: bool, name: str, look: Callable[[], Finding]) -> Finding:
    if random:
        return Finding(name, "cannot tell", "", "the model is random, so two gradients differ anyway")
    return look()
