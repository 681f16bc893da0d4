"""The diagnosis: every check on one model within a budget of passes, and whether its number can be trusted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source, source_of
from quantattack.deployed import adopted
from quantattack.diagnostics import BUDGET, checks
from quantattack.diagnostics.case import Case
from quantattack.diagnostics.checklist import Budget, Checklist
from quantattack.errors import InputError, check_count
from quantattack.evaluation.batching import usual_batch
from quantattack.evaluation.checks import check_classes, check_logits, check_model, counted_model, dataset_indices
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.pixels import check_clean, levels_named, usual_threat
from quantattack.evaluation.reach import restored, since, state_of
from quantattack.gradients import placement
from quantattack.record.findings import Finding
from quantattack.rng import Rng
from quantattack.types import Indices, Mask, Model

_FIRST = 16  # images of the trial batch
# A fault earlier in this list explains the ones behind it.
REASONS = (
    "probabilities",
    "nan",
    "model_changed",
    "batch_dependent",
    "random",
    "shattered",
    "no_gradient",
    "saturation",
)

# The attack is too weak for the network; its gradients are none the worse for it.
WEAK = ("weak_attack", "not_converged", "step_size", "restarts", "silent_success")


@dataclass(frozen=True)
class Diagnosis:
    """What the checks found.

    Arguments:
        findings: One for each check, in the order in which they ran.
        threat: The threat that was searched, with its levels.
        images: Number of images.
        clean: Clean accuracy, 0 to 1.
        pgd: Robust accuracy against plain PGD, 0 to 1.
        worst: Robust accuracy against everything tried here together, 0 to 1.
        forwards: Forward passes spent per image.
        backwards: Backward passes spent per image.
    """

    findings: tuple[Finding, ...]
    threat: Threat
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
        codes = dict.fromkeys(finding.code for finding in self.failures)
        causes = [code for code in REASONS if code in codes]
        return (*causes, *(code for code in codes if code not in causes))


@torch.inference_mode(False)
def diagnose(
    model: Model,
    images: Any,
    labels: Any,
    threat: Threat,
    *,
    float_model: Model | None = None,
    budget: int | float = BUDGET,
    seed: int = 0,
    batch_size: int | None = None,
    indices: Any = None,
    pixels: bool | None = None,
    progress: Callable[[Finding], None] | None = None,
) -> Diagnosis:
    """Find out whether the robust accuracy that plain PGD finds can be trusted, and why not.

    Arguments:
        model: Maps images in [0, 1], with shape (n, ...), to logits with shape (n, k); in eval mode.
        images: Images with shape (n, ...), or a `Dataset` of (image, label).
        labels: True classes with shape (n,); None with a `Dataset`.
        threat: The threat whose robust accuracy is in doubt.
        float_model: The float network, or another differentiable one, from which attacks are transferred.
        budget: Forward and backward passes per image; a check that does not fit says `cannot tell`.
        seed: Seed of every random number.
        batch_size: Images shown at once; chosen by their size where None.
        indices: The images' indices in their data set; their positions by default.
        pixels: Where the threat states no levels, True for the 256 of bytes and False for none; None for what is usual:
            256 for a deployed model whose images are bytes, none for others.
        progress: Called with each finding.

    Raises:
        InputError: If the model, the images, the labels or the threat cannot be used, or no image is
            classified correctly.
    """
    model, relative = adopted(model), adopted(float_model)
    source, index = _checked(model, images, labels, threat, indices)
    threat = _on_pixels(model, source, threat, pixels)
    with restored(model):
        before = state_of(model)
        everything = _case(model, source, threat, Rng(seed, index), relative, batch_size)
        before = since(model, before)
        case = everything.where(_correct(everything))
        return _diagnosed(case, everything, Budget(case.host.passes, len(source), budget), progress, before)


def _checked(model: Model, images: Any, labels: Any, threat: Threat, indices: Any) -> tuple[Source, Indices]:
    """Return the images as a source, and their indices, after checking what was given."""
    check_model(model)
    if not isinstance(threat, Threat):
        raise InputError(f"the threat must be Threat(Linf(), 8 / 255) or alike, not {threat!r}")
    source = source_of(images, labels, threat.low, threat.high)
    return source, dataset_indices(indices, len(source))


def _on_pixels(model: Model, source: Source, threat: Threat, pixels: bool | None) -> Threat:
    """Return the threat with the levels that it states, that are asked for, or that are usual for the model."""
    if pixels is None:
        return usual_threat(model, source, threat)
    return replace(threat, levels=threat.levels or levels_named(pixels))


def _case(model: Model, source: Source, threat: Threat, rng: Rng, relative: Model | None, size: int | None) -> Case:
    """Return all images as a case, where the model is and as its parameters are."""
    device, dtype = placement(model)
    images, labels = source.take(range(len(source)))
    shape = tuple(images.shape[1:])
    threat.check(shape)
    check_clean(threat, images, rng.index.tolist())
    chosen = usual_batch(shape, device) if size is None else size
    check_count("batch_size", chosen)
    rng = Rng(rng.seed, rng.index.to(device))
    images = images.to(device, dtype)
    tried, _ = counted_model(model, images[:_FIRST], size)
    host = CountedModel(model, rows=tried.rows)  # which has not counted the trial
    return Case(host, images, labels.to(device), threat, rng, chosen, _counted_relative(relative, host))


def _diagnosed(
    case: Case,
    everything: Case,
    budget: Budget,
    progress: Callable[[Finding], None] | None,
    before: Mapping[str, str],
) -> Diagnosis:
    """Run the checks on the images that the model classifies correctly, and some of a deployed file on all.

    `before` is the model's state at the start.
    """
    checklist = Checklist(case, budget, progress)
    checklist.deployed(everything)
    checklist.before()
    trajectory = checklist.reference()
    broken = torch.zeros(len(case), dtype=torch.bool, device=case.images.device)
    if trajectory is not None:
        broken = checklist.challenge(trajectory)
        checklist.indicate(trajectory)
    checklist.check("unchanged", 0, lambda: checks.unchanged_check(case, before))
    robust = len(case) if trajectory is None else int(trajectory.survivors.sum())
    clean, pgd, worst = (count / budget.images for count in (len(case), robust, int((~broken).sum())))
    return Diagnosis(tuple(checklist.findings), case.threat, budget.images, clean, pgd, worst, *budget.spent)


def _counted_relative(relative: Model | None, host: CountedModel) -> CountedModel | None:
    if relative is None:
        return None
    check_model(relative)
    return CountedModel(relative, host.passes)


def _correct(case: Case) -> Mask:
    """Return which images the model classifies correctly; at least one, or there is nothing to diagnose."""
    logits = case.logits()
    check_logits(logits, len(case))
    check_classes(case.labels, logits.shape[1])
    correct = logits.argmax(1) == case.labels
    if not bool(correct.any()):
        raise InputError(f"the model has none of the {len(case)} images right; there is no robustness to diagnose")
    return correct
