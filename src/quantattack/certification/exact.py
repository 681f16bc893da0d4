"""The attack `exact`: bounds first, then complete search, on the images that all other attacks left."""

import time
from dataclasses import dataclass, replace

import torch

from quantattack.attacks.arguments import check_threat
from quantattack.attacks.base import Attack, Batch, Trace, Traits, attacked_images
from quantattack.attacks.norms import Linf
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.certification.bounds import Bounded, bounded
from quantattack.certification.extra import has_solvers
from quantattack.certification.program import Program, program_of
from quantattack.certification.region import Region, region_of
from quantattack.errors import InputError, is_number
from quantattack.record.bounds import OPEN, PROVED, Bound
from quantattack.record.description import tagged
from quantattack.types import Images, Model

MISSING = "complete search is not installed: pip install 'quantattack[certify]' would search on, in a run of its own"


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
        return Traits(solved=misclassified, turn=2, singly=True)

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
        if not known.least > 0:  # so that NaN is no proof
            bound = replace(bound, verdict=OPEN, method="crown")
            bound, image = self._searched(bound, program, region, known, model, batch)
        return replace(bound, seconds=time.perf_counter() - begun), image

    def _searched(
        self, bound: Bound, program: Program, region: Region, known: Bounded, model: Model, batch: Batch
    ) -> tuple[Bound, Images | None]:
        """Search an image completely, if that can be."""
        if not self.complete:
            return replace(bound, reason="complete search was left out" if has_solvers() else MISSING), None
        if not isinstance(self.threat.norm, Linf):
            return replace(bound, reason=f"complete search needs the norm Linf, not {self.threat.norm!r}"), None
        from quantattack.certification.complete import Case, complete  # with SciPy, which most uses do not need

        return complete(Case(program, region, known, model, batch), bound, self.seconds)
