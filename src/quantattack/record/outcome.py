"""The rows of a record: one outcome for each image and attack, its subject, and files of attacked images."""

from dataclasses import dataclass, fields
from operator import attrgetter


@dataclass(frozen=True)
class Outcome:
    """What one attack did to one image.

    Arguments:
        image: Index of the image in its data set.
        label: True class.
        clean_prediction: Class predicted for the clean image.
        prediction: Class predicted for the attacked image, by the original model.
        margin: True logit minus the largest other logit of the attacked image; negative if fooled, 0 for a tie.
        size: Norm of the perturbation, in pixels of [0, 1].
        step: First iterate that fooled the model (0 is the start point); None if none did or it was not tracked.
        restart: Restart that the image comes from.
        forwards: Forward passes spent on the image.
        backwards: Backward passes spent on the image.
        seconds: Wall time spent on the image.
        inside: Whether the attacked image satisfies the threat model.

    """

    image: int
    label: int
    clean_prediction: int
    prediction: int
    margin: float | None
    size: float
    step: int | None
    restart: int
    forwards: float
    backwards: float
    seconds: float
    inside: bool


COLUMNS = tuple(field.name for field in fields(Outcome))
values_of = attrgetter(*COLUMNS)  # as `astuple`, which copies each value and takes ten times as long


@dataclass(frozen=True)
class Shard:
    """A file of attacked images beside a record.

    Arguments:
        file: Its path in the record's folder.
        images: How many images it holds.
        sha256: Its checksum.

    """

    file: str
    images: int
    sha256: str


@dataclass(frozen=True, order=True)
class Subject:
    """One model, data set and threat: the two names and the threat's description as JSON."""

    model: str
    data: str
    threat: str
