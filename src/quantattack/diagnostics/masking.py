"""The masking checks: images that survive plain PGD and not another search, and those that survive larger radii.

Source: Athalye, Carlini and Wagner, 2018, https://arxiv.org/abs/1802.00420; Gupta and Ajanthan, 2022,
https://arxiv.org/abs/2003.13511 (section 3).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack, default_rng
from quantattack.attacks.losses import log_odds
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import LinearDecay, fgsm
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.square import Square
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble, Restarts, Transfer
from quantattack.diagnostics.case import GAP, SHARE, Case, broken_by, many, percent
from quantattack.diagnostics.plain_pgd import STEPS, Trajectory, plain_pgd
from quantattack.errors import InputError
from quantattack.record.description import tagged
from quantattack.record.findings import Finding
from quantattack.rng import NOISE, Rng
from quantattack.types import Images, Labels, Mask, Model, PerImage

LONGER = 30
QUERIES = 80
DRAWS = 20


@tagged("RandomSearch")
@dataclass(frozen=True)
class RandomSearch:
    """Random points of the threat, on its surface, without any gradient: the first that fools the model is kept.

    Arguments:
        threat: Where to draw.
        draws: Number of points, each one forward pass.
    """

    threat: Threat
    draws: int = DRAWS

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        drawn, found = rng or Rng(0, torch.arange(len(clean))), clean.clone()
        left = torch.ones(len(clean), dtype=torch.bool, device=clean.device)
        for draw in range(self.draws):
            points = self._drawn(clean, drawn, draw, radius)
            with torch.no_grad():
                fooled = misclassified(model(points), labels) & left
            found[fooled], left = points[fooled], left & ~fooled
        return found

    def _drawn(self, clean: Images, rng: Rng, draw: int, radius: PerImage | None) -> Images:
        if self.threat.norm.needs_room:
            return self.threat.snap(self.threat.sample(clean, rng.restarted(draw), radius), clean, radius)
        noise = self.threat.norm.steepest(rng.normal(draw, NOISE, clean.shape[1:], clean.dtype))
        length = self.threat.spread(self.threat.radii(clean, radius).to(clean), clean)
        return self.threat.snap(self.threat.project(clean + length * noise, clean, radius), clean, radius)


@dataclass(frozen=True)
class Challenge:
    """A search on the images that survive plain PGD: each that it breaks is one that PGD's number counts wrongly.

    Arguments:
        check: The check's name.
        attack: Builds the search.
        passes: Forward and backward passes per attacked image.
        share: Share of the images from which on the number cannot be trusted.
        code: Reason, where it fails.
        search: Name of the search, for the evidence.
        advice: What to do, where it fails.
    """

    check: str
    attack: Callable[[Case, Trajectory], Attack]
    passes: int
    share: float
    code: str
    search: str
    advice: str

    def __call__(self, case: Case, trajectory: Trajectory) -> tuple[Finding, Mask]:
        """Return the finding, and which images are broken by now."""
        left = trajectory.survivors
        broken = ~left
        if bool(left.any()):
            broken[left] = broken_by(case.where(left), self.attack(case, trajectory))
        won, stood, total = int((broken & left).sum()), int(left.sum()), len(case)
        says = f"{self.search} breaks {won} of the {stood} images that PGD leaves, of {total}"
        says = says if stood else "PGD leaves no image, so there is nothing left to break"
        data = {"broken": won, "left": stood, "images": total}
        if many(won, total, self.share):
            return Finding(self.check, "fail", self.code, says, self.advice, data), broken
        return Finding(self.check, "pass", "", says, data=data), broken


def _exact(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    return plain_pgd(case.threat, loss=log_odds)


def _transfer(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    if case.relative is None:
        raise InputError("no float network was given; name it with --float")
    return Transfer(plain_pgd(case.threat, loss=log_odds), case.relative)


def _square(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    return Square(threat=case.threat, queries=QUERIES)


def _one_step(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    return fgsm(case.threat)


def _random(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    return RandomSearch(case.threat)


def _longer(case: Case, trajectory: Trajectory) -> Attack:
    return From(
        plain_pgd(case.threat, LONGER), trajectory.final[trajectory.survivors], case.rng.index[trajectory.survivors]
    )


def _restarted(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    return Later(Restarts(plain_pgd(case.threat), 2), first=1)


def _sized(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    sizes = (1 / 16, 1.0, 2.0)
    walks = {f"{size:g}": Ascent(threat=case.threat, step_size=size * case.threat.radius, steps=8) for size in sizes}
    return Ensemble(walks)


def _stronger(case: Case, trajectory: Trajectory) -> Attack:  # noqa: ARG001
    size = LinearDecay(2 * case.threat.radius, LONGER)
    return Ascent(threat=case.threat, step_size=size, steps=LONGER, loss=log_odds, temperature=Gap())


@dataclass(frozen=True, eq=False)
class From:
    """Start each image where an earlier walk of it ended.

    Arguments:
        attack: The attack to go on with.
        points: Where it starts, with shape (m, ...).
        index: The images' indices in their data set, with shape (m,).
    """

    attack: Attack
    points: Images
    index: Labels

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        if rng is None:
            raise InputError("From finds an image's start by its index; give the random numbers")
        at = (rng.index[:, None] == self.index[None]).int().argmax(1)
        return self.attack(model, clean, labels, self.points[at], rng, radius)


@dataclass(frozen=True)
class Later:
    """The same attack from other starts.

    Arguments:
        attack: The attack.
        first: Number of its first restart.
    """

    attack: Attack
    first: int

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        drawn = rng or default_rng(clean)
        return self.attack(model, clean, labels, start, drawn.restarted(drawn.restart + self.first), radius)


_BLIND = "the gradients do not show the way: take the black box's number, or the float network's gradients (--float)"
CHALLENGES: tuple[Challenge, ...] = (
    Challenge(
        "exact cross entropy", _exact, 2 * STEPS + 1, SHARE, "saturation",
        "the same PGD on the log-odds, which is cross entropy without rounding,",
        "climb the log-odds or scale the logits (pgd_log_odds, pgd_plus_gap): the softmax is saturated",
    ),
    Challenge(
        "transfer", _transfer, 2 * STEPS + 1, SHARE, "black_box_wins", "what was found on the float network", _BLIND
    ),
    Challenge(
        "square", _square, QUERIES + 1, SHARE, "black_box_wins", f"Square with {QUERIES} queries", _BLIND
    ),
    Challenge(
        "one step", _one_step, 3, SHARE, "one_step_wins", "one step",
        "PGD gets lost on its way: look at its step size, and at the check `ascent`",
    ),
    Challenge(
        "random search", _random, DRAWS + 1, SHARE, "random_search_wins", f"a random search of {DRAWS} points", _BLIND
    ),
    Challenge(
        "more iterations", _longer, 2 * LONGER + 1, GAP, "not_converged", f"PGD with {LONGER} more steps",
        f"report PGD with more than {STEPS} steps, or with a falling step size",
    ),
    Challenge(
        "stronger", _stronger, 2 * LONGER + 1, GAP, "weak_attack", "Gap scaling with falling steps",
        "report the standard attack's worst case (--attacks standard), not PGD's number",
    ),
    Challenge(
        "step size", _sized, 2 * 3 * 8 + 4, GAP, "step_size", "PGD with steps of 1/16, 1 and 2 radii",
        "report the best of several step sizes, or a falling one",
    ),
    Challenge(
        "restarts", _restarted, 2 * 2 * STEPS + 3, GAP, "restarts", "PGD from two more starts",
        "report PGD with restarts until they stop helping",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class LargerRadius:
    """Larger radii must break every image in the end: at the last one an all-gray image is in reach.

    PGD starts at the clean image: a random start could fool the model by itself.

    Arguments:
        steps: Steps at each radius.
        tolerated: Share of the images that may be left at the end.
    """

    steps: int = 10
    tolerated: float = SHARE

    @property
    def passes(self) -> int:
        return 2 * (2 * self.steps + 1)

    def __call__(self, case: Case) -> Finding:
        """Attack at twice the radius, then at the largest there is, each on what is left."""
        left = torch.ones(len(case), dtype=torch.bool, device=case.images.device)
        accuracy: dict[str, float] = {}
        for radius in self.radii(case):
            if bool(left.any()):
                threat = replace(case.threat, radius=radius, each=None)  # of each pixel, to a gray image
                left[left.clone()] = ~broken_by(replace(case.where(left), threat=threat), self._attack(threat))
            accuracy[f"{radius:.4g}"] = float(left.double().mean())
        count = int(left.sum())
        says = "PGD from the clean image leaves " + ", ".join(
            f"{percent(share)} at radius {radius}" for radius, share in accuracy.items()
        )
        data: Mapping[str, object] = {"accuracy": accuracy, "left": count, "images": len(case)}
        if not many(count, len(case), self.tolerated):
            return Finding("larger radius", "pass", "", says, data=data)
        advice = "no classifier holds at that radius: the attack does not move; see the gradient checks"
        return Finding("larger radius", "fail", "radius_not_zero", says, advice, data)

    def radii(self, case: Case) -> tuple[float, float]:
        """Return twice the radius, and half the way between the farthest images: any image can be made gray."""
        corner = torch.full((1, *case.images.shape[1:]), case.threat.high - case.threat.low, dtype=torch.float64)
        widest = float(case.threat.norm.size(corner))
        return min(2 * case.threat.radius, widest), widest

    def _attack(self, threat: Threat) -> Attack:
        size = threat.radius / 4 if isinstance(threat.norm, Linf) else 2.5 * threat.radius / self.steps
        return Ascent(threat=threat, step_size=size, steps=self.steps, random_start=False)
