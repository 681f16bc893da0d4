"""The proofs of a record by intervals and CROWN, computed again."""

from quantattack.attacks.threat import Threat
from quantattack.certification.bounds import bounded
from quantattack.certification.program import program_of
from quantattack.certification.region import region_of
from quantattack.data.sources import Source
from quantattack.record.bounds import PROVED
from quantattack.record.record import Record
from quantattack.types import Model

AGAIN = ("ibp", "crown")  # methods that cost no search


def verify_proofs(record: Record, model: Model, source: Source, threat: Threat) -> tuple[int, list[str]]:
    """Compute the proofs by intervals and CROWN again; return how many, and a line for each that is none.

    Arguments:
        record: The record of one model, data set and threat.
        model: The model that was evaluated.
        source: The whole data set.
        threat: The threat of the record.
    """
    known = [bound for bound in record.bounds.values() if bound.verdict == PROVED and bound.method in AGAIN]
    if not known:
        return 0, []
    images, labels = source.take([bound.image for bound in known])
    program, wrong = program_of(model, images), list[str]()
    for at, bound in enumerate(known):
        least = bounded(program, region_of(threat, images[at : at + 1]), int(labels[at])).least
        if not least > 0:
            wrong.append(f"image {bound.image} is proved by {bound.method} in the record, and not again ({least:.4g})")
    return len(known), wrong
