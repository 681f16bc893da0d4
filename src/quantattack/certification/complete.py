"""Complete search of one image, rival by rival: relaxed for a proof, strict for a witness that the network confirms."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.base import Batch
from quantattack.attacks.success import misclassified
from quantattack.certification import cp_sat, milp
from quantattack.certification.bounds import Bounded
from quantattack.certification.encoded import Encoded
from quantattack.certification.extra import CP_SAT, HIGHS, solver_version
from quantattack.certification.found import Found
from quantattack.certification.program import Program
from quantattack.certification.region import Region
from quantattack.record.bounds import BROKEN, OPEN, PROVED, Bound
from quantattack.types import Images, Model

_MIXED = (
    "complete search takes networks of signs and k-bit activations, or of ReLU, ReLU6 and Hardtanh; this one mixes them"
)
_EDGE = "only images at the edge of a threshold, on which the network itself is right"


@dataclass(frozen=True, eq=False)
class Case:
    """One image that bounds have left open.

    Arguments:
        program: The network as steps.
        region: The images inside the threat.
        known: What bounds say of them.
        model: What judges.
        batch: The image, with its label.
    """

    program: Program
    region: Region
    known: Bounded
    model: Model
    batch: Batch

    @property
    def rivals(self) -> list[int]:
        """The classes that bounds do not rule out, the nearest first."""
        return [int(rival) for rival in self.known.margins.argsort() if self.known.margins[rival] <= 0]


def complete(case: Case, bound: Bound, seconds: int | float) -> tuple[Bound, Images | None]:
    """Search an image completely; return what is known of it, and an image that breaks the network if there is one.

    Arguments:
        case: The image.
        bound: What was known before.
        seconds: Deterministic time for all rivals together.
    """
    discrete = cp_sat.is_discrete(case.program)
    if not discrete and not milp.is_piecewise(case.program):
        return replace(bound, reason=_MIXED), None
    method, package = ("cp-sat", CP_SAT) if discrete else ("milp", HIGHS)
    bound = replace(bound, method=method, solver=solver_version(package))
    kind, most = (cp_sat.Discrete, cp_sat.MOST) if discrete else (milp.Piecewise, milp.MOST)
    encoded = kind(case.program, case.region, case.known, int(case.batch.labels[0]))
    if encoded.decisions > most:
        return replace(bound, reason=f"{encoded.decisions} open activations, more than {most}"), None
    return _over_rivals(case, bound, encoded, seconds)


def _over_rivals(case: Case, bound: Bound, encoded: Encoded, seconds: int | float) -> tuple[Bound, Images | None]:
    """Ask for each rival whether an image inside the threat is its."""
    left, slack, reason = seconds, 0.0, ""
    for rival in case.rivals:
        if left <= 0:
            reason = reason or "time"
            break
        for found in _asked(encoded, rival, left):
            left = max(left - found.spent, 0.0)
            image = _confirmed(case, found)
            if image is not None:
                return replace(bound, verdict=BROKEN), image
        slack, reason = max(slack, found.slack), reason or _why(found)
    return replace(bound, verdict=OPEN if reason else PROVED, slack=0.0 if reason else slack, reason=reason), None


def _asked(encoded: Encoded, rival: int, seconds: int | float) -> Iterator[Found]:
    """Yield what the relaxed search finds, and what the strict one does where the network withstood the first."""
    first = encoded.search(rival, seconds, strict=False)
    yield first
    if first.verdict == BROKEN and seconds > first.spent:
        strict = encoded.search(rival, seconds - first.spent, strict=True)
        yield replace(strict, verdict="open") if strict.verdict == PROVED else strict


@torch.no_grad()
def _confirmed(case: Case, found: Found) -> Images | None:
    """Return a candidate if it is inside the threat and the network is wrong on it, alone and in a batch."""
    if found.image is None:
        return None
    clean, labels, threat = case.batch.images, case.batch.labels, case.region.threat
    image = threat.snap(threat.project(found.image.to(clean.device, clean.dtype), clean), clean)
    company = torch.cat([image, clean, threat.low + threat.high - clean])
    network = getattr(case.model, "as_given", case.model)
    shown = (case.model(image), network(image), case.model(company)[:1], network(company)[:1])
    broken = all(bool(misclassified(logits, labels)[0]) for logits in shown)
    return image if broken and bool(threat.contains(image, clean)[0]) else None


def _why(found: Found) -> str:
    """Return why a rival is not ruled out; empty where it is."""
    return "" if found.verdict == PROVED else found.reason or _EDGE
