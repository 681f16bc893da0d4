"""The settings that identify a run: a run in a folder is resumed only by one with the same identity."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quantattack.record.description import stable
from quantattack.record.outcome import Subject

_ALWAYS = {"model", "data", "threat", "attacks"}
_KINDS = {"model": list, "data": list, "threat": dict, "attacks": dict, "part": list, "images": str, "speed": list}
_UNUSUAL = {"part", "images", "speed"}  # recorded only where they differ from the default
_SPLIT = ("model", "data", "threat", "attacks", "part", "images", "speed")  # named one by one when two runs differ


@dataclass(frozen=True)
class SubjectIdentity:
    """One model on one data set under one threat, and the attacks on it.

    Arguments:
        model: Name of the model.
        model_checksum: Checksum of its parameters.
        fingerprint: Checksum of its logits on the first images; None in the oldest records.
        data: Name of the data set.
        count: How many images of it the whole run attacks.
        data_checksum: Checksum of images and labels.
        index_digest: Digest of the images' indices in the data set.
        threat: The threat's description.
        attacks: The attacks' descriptions by name.
        part: (k, n) where the run attacks the k-th of n parts of the images, from 1; None where it attacks all.
        keep_images: Whether every attacked image is kept beside the record.
        speed: How the search may differ from the model as given.
    """

    model: str
    model_checksum: str
    fingerprint: str | None
    data: str
    count: int
    data_checksum: str
    index_digest: str
    threat: Mapping[str, Any]
    attacks: Mapping[str, Any]
    part: tuple[int, int] | None = None
    keep_images: bool = False
    speed: tuple[str, ...] = ()

    @property
    def subject(self) -> Subject:
        """The subject as the record names it."""
        return Subject(self.model, self.data, stable(self.threat))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that is recorded; `part`, `images` and `speed` only where they are not the default."""
        unusual = {
            "part": None if self.part is None else list(self.part),
            "images": "kept" if self.keep_images else None,
            "speed": list(self.speed),
        }
        return {
            "model": [name for name in (self.model, self.model_checksum, self.fingerprint) if name is not None],
            "data": [self.data, self.count, self.data_checksum, self.index_digest],
            "threat": self.threat,
            "attacks": self.attacks,
            **{name: value for name, value in unusual.items() if value},
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> "SubjectIdentity":
        """Rebuild the identity from what `to_json` returned."""
        (model, model_checksum, *fingerprint), (data, count, data_checksum, index_digest) = (
            about["model"],
            about["data"],
        )
        part = about.get("part")
        return cls(
            model=model,
            model_checksum=model_checksum,
            fingerprint=fingerprint[0] if fingerprint else None,
            data=data,
            count=count,
            data_checksum=data_checksum,
            index_digest=index_digest,
            threat=about["threat"],
            attacks=about["attacks"],
            part=None if part is None else (part[0], part[1]),
            keep_images="images" in about,
            speed=tuple(about.get("speed", ())),
        )


@dataclass(frozen=True)
class Identity:
    """The settings of a run.

    Arguments:
        subjects: What is attacked; None in a run without subjects, such as a diagnosis alone.
        seed: Seed of every random number; None in a run without one.
        other: Any other settings by name, such as those of a reproduction; plain JSON.
    """

    subjects: tuple[SubjectIdentity, ...] | None = None
    seed: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The settings as canonical JSON text, as it is recorded."""
        return stable(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON."""
        subjects = None if self.subjects is None else [subject.to_json() for subject in self.subjects]
        named = {"subjects": subjects, "seed": self.seed}
        return {**self.other, **{name: value for name, value in named.items() if value is not None}}

    @classmethod
    def from_json(cls, run: Mapping[str, Any]) -> "Identity":
        """Parse the settings of any kind of run; what is not a subject or an integer seed goes to `other`."""
        other, subjects, seed = dict(json.loads(stable(run))), None, None
        if _are_subjects(other.get("subjects")):
            subjects = tuple(SubjectIdentity.from_json(subject) for subject in other.pop("subjects"))
        if type(other.get("seed")) is int:
            seed = other.pop("seed")
        return cls(subjects, seed, other)

    def in_terms_of(self, recorded: "Identity") -> "Identity":
        """Return the settings with the marks of model and data as a record of the same has them, however old.

        Fingerprints and checksums have come to say more: those of an older record are the beginning of today's.
        """
        known = {subject.subject: subject for subject in recorded.subjects or ()}
        if self.subjects is None:
            return self
        return replace(self, subjects=tuple(_aged(each, known.get(each.subject, each)) for each in self.subjects))

    @property
    def whole(self) -> "Identity":
        """The identity of the whole run, that is, without the parts."""
        if self.subjects is None:
            return self
        return replace(self, subjects=tuple(replace(subject, part=None) for subject in self.subjects))

    def grown(self, wanted: "Identity") -> "Identity | None":
        """Return the union with another run's subjects and attacks; None where the two contradict."""
        if (self.seed, self._beside) != (wanted.seed, wanted._beside):
            return None
        wanted = wanted.in_terms_of(self)
        subjects = {subject.subject: subject for subject in self.subjects or ()}
        for more in wanted.subjects or ():
            both = _with_attacks(subjects.get(more.subject, replace(more, attacks={})), more)
            if both is None:
                return None
            subjects[more.subject] = both
        return Identity(tuple(subjects.values()), self.seed, self._beside)

    @property
    def _beside(self) -> dict[str, Any]:
        """The other settings, without subjects that are mere names: those of a diagnosis alone."""
        return {name: value for name, value in self.other.items() if name != "subjects"}

    def differing(self, wanted: "Identity") -> str:
        """Describe which settings of two runs differ."""
        mine, theirs = self._split(), wanted._split()
        names = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
        return "its " + ", ".join(names) + (" differs" if names in (["seed"], ["model"], ["threat"]) else " differ")

    def contradiction(self, wanted: "Identity") -> str:
        """Describe what two runs state differently of what both have; what the one has alone is no contradiction."""
        mine, theirs = self._shared(wanted), wanted._shared(self)
        pairs = [
            (had, _comparable(more, had)) for had, more in zip(mine.subjects or (), theirs.subjects or (), strict=True)
        ]
        details = [words for pair in pairs if (words := _detail(*pair))]
        says = mine.differing(replace(theirs, subjects=tuple(more for _, more in pairs)))
        return says + (f": {details[0]}" if details else "")

    def _shared(self, other: "Identity") -> "Identity":
        """Return the settings with the subjects and, of each, the attacks that another run has too, in one order."""
        theirs = {subject.subject: subject.attacks for subject in other.subjects or ()}
        kept = [subject for subject in self.subjects or () if subject.subject in theirs]
        alike = [
            replace(each, attacks={name: each.attacks[name] for name in each.attacks if name in theirs[each.subject]})
            for each in sorted(kept, key=lambda each: stable(each.subject.__dict__))
        ]
        return replace(self, subjects=tuple(alike))

    def _split(self) -> dict[str, Any]:
        """Return the settings by name, with each subject setting as the sorted list of its values over all subjects."""
        subjects = [subject.to_json() for subject in self.subjects or ()]
        parts = {name: sorted({stable(subject.get(name)) for subject in subjects}) for name in _SPLIT}
        return {**parts, "seed": self.seed, **self.other}


def begins(recorded: str | None, now: str | None) -> bool:
    """Return whether a recorded fingerprint or checksum is today's, or its beginning up to a colon."""
    return recorded == now or (recorded is not None and now is not None and now.startswith(f"{recorded}:"))


def _aged(subject: SubjectIdentity, recorded: SubjectIdentity) -> SubjectIdentity:
    marks = ("fingerprint", "data_checksum")
    pairs = {mark: (getattr(recorded, mark), getattr(subject, mark)) for mark in marks}
    return replace(subject, **{mark: had for mark, (had, now) in pairs.items() if begins(had, now)})


def _are_subjects(value: object) -> bool:
    """Return whether a value is a list of full subjects; a diagnosis alone records only their names."""
    return isinstance(value, list) and all(map(_is_subject, value))


def _is_subject(value: object) -> bool:
    if not isinstance(value, dict) or not _ALWAYS <= value.keys() <= _ALWAYS | _UNUSUAL:
        return False
    if not all(isinstance(value[name], kind) for name, kind in _KINDS.items() if name in value):
        return False
    (data, count, *digests), part = value["data"] or [None, None], value.get("part", [1, 1])
    texts, counts = [*value["model"], data, *digests, *value.get("speed", ())], [count, *part]
    lengths = len(value["model"]) in (2, 3) and len(value["data"]) == 4 and len(part) == 2
    return lengths and all(type(one) is str for one in texts) and all(type(one) is int for one in counts)


def _comparable(subject: SubjectIdentity, had: SubjectIdentity) -> SubjectIdentity:
    """Return a subject without its model's logits where they are on other images, and tell no two models apart."""
    same = (subject.count, subject.data_checksum) == (had.count, had.data_checksum)
    return subject if same else replace(subject, fingerprint=had.fingerprint)


def _detail(had: SubjectIdentity, more: SubjectIdentity) -> str:
    """Say of one subject what differs, where it is a number or a name."""
    if had.count != more.count:
        return f"it has {had.count} images of {had.data}, not {more.count}"
    return ", ".join(name for name in had.attacks if had.attacks[name] != more.attacks[name])


def _with_attacks(had: SubjectIdentity, more: SubjectIdentity) -> SubjectIdentity | None:
    """Return a subject with the union of two subjects' attacks; None where they conflict in any setting."""
    if replace(had, attacks={}) != replace(more, attacks={}):
        return None
    if any(had.attacks[name] != more.attacks[name] for name in had.attacks.keys() & more.attacks.keys()):
        return None
    return replace(had, attacks={**had.attacks, **more.attacks})
