"""The attack `exact`: bounds first, then complete search, on the images that all other attacks left."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.arguments import check_threat
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images
from quantattack.attacks.norms import Linf
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.certification import cp_sat, milp
from quantattack.certification.bounds import Bounded, bounded
from quantattack.certification.extra import CP_SAT, HIGHS, has_solvers, solver_version
from quantattack.certification.found import Found
from quantattack.certification.program import Program, program_of
from quantattack.certification.region import Region, region_of
from quantattack.errors import InputError, is_number
from quantattack.record.bounds import BROKEN, OPEN, PROVED, Bound
from quantattack.record.description import tagged
from quantattack.types import Images, Model

MISSING = "complete search is not installed: pip install 'quantattack[certify]' would search on"


@tagged("Exact")
@dataclass(frozen=True)
class Exact:
    """Decide each image: a proof that nothing inside the threat breaks it, an image that does, or neither in time.

    Intervals and CROWN bound the margin first.  What they leave is searched completely, rival by rival in the order of
    their bounds: by CP-SAT where activations take few values, by HiGHS where they are ReLU.  What a solver returns
    counts as broken only if the network itself is wrong on it, alone and in a batch.

    Arguments:
        threat: Set of admissible images; complete search needs Linf.
        seconds: Time for the complete search of an image, in the solver's deterministic measure.
        complete: Whether to search completely, or to bound alone.

    Raises:
        InputError: If the seconds are no positive number.
    """

    threat: Threat
    seconds: int | float = 10.0
    complete: bool = True
    __call__ = attacked_images

    def __post_init__(self) -> None:
        check_threat(self.threat)
        if not is_number(self.seconds) or self.seconds <= 0:
            raise InputError(f"the seconds for each image must be a positive number, not {self.seconds!r}")

    def trace(self, model: Model, batch: Batch) -> Trace:
        program = program_of(model, batch.images)
        images, bounds = batch.images.clone(), []
        for at in range(len(batch)):
            bound, image = self._decide(program, model, batch.keep(slice(at, at + 1)))
            bounds.append(bound)
            images[at] = batch.images[at] if image is None else image[0]
        unknown = torch.full((len(batch),), -1, device=images.device)
        return Trace(images, unknown, torch.zeros_like(unknown), tuple(bounds))

    @property
    def traits(self) -> Traits:
        return Traits(solved=misclassified, last=True)

    def passes(self, classes: int) -> int:
        """Return the largest number of passes per image: two candidates for each rival, shown alone and in a batch."""
        return 4 * classes

    def to_the_end(self) -> Attack:
        return self

    def _decide(self, program: Program, model: Model, batch: Batch) -> tuple[Bound, Images | None]:
        begun, label = time.perf_counter(), int(batch.labels[0])
        region = region_of(self.threat, batch.images.cpu())
        known = bounded(program, region, label)
        bound = Bound(int(batch.rng.index[0]), PROVED, known.method, min(known.least, 1e30))
        image = None
        if known.least <= 0:
            bound, image = self._searched(replace(bound, verdict=OPEN, method="crown"), program, region, known, model, batch)
        return replace(bound, seconds=time.perf_counter() - begun), image

    def _searched(
        self, bound: Bound, program: Program, region: Region, known: Bounded, model: Model, batch: Batch
    ) -> tuple[Bound, Images | None]:
        """Search an image completely, if that can be."""
        discrete = cp_sat.is_discrete(program)
        if reason := self._reason(program, discrete):
            return replace(bound, reason=reason), None
        solver = solver_version(CP_SAT if discrete else HIGHS)
        bound = replace(bound, method="cp-sat" if discrete else "milp", solver=solver)
        encode = cp_sat.Discrete if discrete else milp.Piecewise
        encoded = encode(program, region, known, int(batch.labels[0]))
        most = cp_sat.MOST if discrete else milp.MOST
        if encoded.decisions > most:
            return replace(bound, reason=f"{encoded.decisions} open activations, more than {most}"), None
        return self._over_rivals(bound, encoded, known, model, batch)

    def _reason(self, program: Program, discrete: bool) -> str:
        """Return why there is no complete search; empty where there is."""
        if not self.complete:
            return "complete search was left out" if has_solvers() else MISSING
        if not isinstance(self.threat.norm, Linf):
            return f"complete search needs the norm Linf, not {self.threat.norm!r}"
        if not discrete and not milp.is_piecewise(program):
            return "complete search takes networks of signs and k-bit activations, or of ReLU; this one mixes them"
        return ""

    def _over_rivals(
        self, bound: Bound, encoded: cp_sat.Discrete | milp.Piecewise, known: Bounded, model: Model, batch: Batch
    ) -> tuple[Bound, Images | None]:
        """Ask for each rival whether an image inside the threat is its; the nearest by the bounds first."""
        left, slack, reason = self.seconds, 0.0, ""
        rivals = [int(rival) for rival in known.margins.argsort() if known.margins[rival] <= 0]
        for rival in rivals:
            for found in self._asked(encoded, rival, left):
                left = max(left - found.spent, 0.0)
                image = self._confirmed(found, model, batch)
                if image is not None:
                    return replace(bound, verdict=BROKEN), image
            slack, reason = max(slack, found.slack), reason or _why(found)
            if left <= 0 and rival != rivals[-1]:
                reason = reason or "time"
                break
        return replace(bound, verdict=OPEN if reason else PROVED, slack=0.0 if reason else slack, reason=reason), None

    def _asked(self, encoded: cp_sat.Discrete | milp.Piecewise, rival: int, seconds: int | float) -> Iterator[Found]:
        """Yield what the relaxed search finds, and what the strict one does where the network withstood the first."""
        search = cp_sat.search if isinstance(encoded, cp_sat.Discrete) else milp.search
        first = search(encoded, rival, seconds, False)  # type: ignore[arg-type]
        yield first
        if first.verdict == BROKEN and seconds > first.spent:
            strict = search(encoded, rival, seconds - first.spent, True)  # type: ignore[arg-type]
            yield replace(strict, verdict=OPEN if strict.verdict == PROVED else strict.verdict)

    @torch.no_grad()
    def _confirmed(self, found: Found, model: Model, batch: Batch) -> Images | None:
        """Return a candidate if it is inside the threat and the network is wrong on it, alone and in a batch."""
        if found.image is None:
            return None
        clean = batch.images
        image = self.threat.project(found.image.to(clean.device, clean.dtype), clean)
        image = self.threat.snap(image, clean)
        company = torch.cat([image, clean, self.threat.low + self.threat.high - clean])
        network = getattr(model, "as_given", model)
        shown = (model(image), network(image), model(company)[:1], network(company)[:1])
        broken = all(bool(misclassified(logits, batch.labels)[0]) for logits in shown)
        return image if broken and bool(self.threat.contains(image, clean)[0]) else None


def _why(found: Found) -> str:
    """Return why a rival is not ruled out; empty where it is."""
    if found.verdict == PROVED:
        return ""
    return found.reason or "only images at the edge of a threshold, on which the network itself is right"
