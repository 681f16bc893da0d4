"""The identity of a run: the same JSON as ever, of every kind of record, and what two runs differ in."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantattack.errors import InputError
from quantattack.record.description import stable
from quantattack.record.identity import Identity, SubjectIdentity
from quantattack.record.outcome import Subject
from quantattack.record.store import Store

THREAT = {"high": 1.0, "low": 0.0, "norm": "Linf", "part": "Threat", "radius": 0.2}
SUBJECT = SubjectIdentity("net", "aa", "ff", "digits", 40, "bb", "cc", THREAT, {"pgd": {"part": "Ascent", "steps": 10}})
RUN = Identity((SUBJECT,), seed=0)
USUAL = {
    "model": ["net", "aa", "ff"],
    "data": ["digits", 40, "bb", "cc"],
    "threat": THREAT,
    "attacks": {"pgd": {"part": "Ascent", "steps": 10}},
}
KINDS: dict[str, Any] = {
    "evaluation": {"seed": 0, "subjects": [USUAL]},
    "part": {"seed": 0, "subjects": [{**USUAL, "part": [2, 5]}]},
    "all options": {"seed": 3, "subjects": [{**USUAL, "images": "kept", "speed": ["fold", "compile"], "part": [1, 2]}]},
    "without a fingerprint": {"seed": 0, "subjects": [{**USUAL, "model": ["net", "aa"]}]},
    "several": {"seed": 0, "subjects": [USUAL, {**USUAL, "threat": {**THREAT, "radius": 0.1}}]},
    "reproduction of its own": {"item": "table13", "paper": "gupta2022", "seed": 0, "subjects": [USUAL]},
    "reproduction": {"images": 500, "network": ["net", "mnist", "cf"], "paper": "liu2020", "seed": 0},
    "signals": {"images": 200, "item": "figure2", "measured": [["net", "digits", "4c"]], "paper": "gupta2022"},
    "diagnosis": {"seed": 0, "subjects": [["net", "digits", stable(THREAT)]]},
    "nothing": {"seed": 0, "subjects": []},
    "empty": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_is_the_same_byte_for_byte(kind: str):
    identity = Identity.from_json(KINDS[kind])
    assert identity.text == stable(KINDS[kind])
    assert Identity.from_json(json.loads(identity.text)) == identity


def test_the_fields_are_named():
    assert Identity.from_json(KINDS["evaluation"]) == RUN
    assert RUN.to_json() == KINDS["evaluation"]
    all_options = replace(SUBJECT, part=(1, 2), keep_images=True, speed=("fold", "compile"))
    assert Identity.from_json(KINDS["all options"]) == Identity((all_options,), seed=3)
    assert SUBJECT.subject == Subject("net", "digits", stable(THREAT))
    assert Identity.from_json(KINDS["signals"]).subjects is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "other"}, "its model differs"),
        ({"fingerprint": "00"}, "its model differs"),
        ({"threat": {**THREAT, "radius": 0.1}}, "its threat differs"),
        ({"count": 41}, "its data differ"),
        ({"attacks": {}}, "its attacks differ"),
        ({"part": (1, 2), "speed": ("fold",)}, "its part, speed differ"),
        ({"keep_images": True}, "its images differ"),
    ],
)
def test_what_differs_is_said(change: dict[str, Any], words: str):
    assert RUN.differing(replace(RUN, subjects=(replace(SUBJECT, **change),))) == words
    assert RUN.differing(replace(RUN, seed=1)) == "its seed differs"


def test_a_diagnosis_alone_is_told_from_another():
    run = KINDS["diagnosis"]
    other = {**run, "subjects": [["other", "digits", stable(THREAT)]]}
    assert Identity.from_json(run).differing(Identity.from_json(other)) == "its subjects differ"


def test_the_whole_of_a_part_is_the_run_without_parts():
    assert Identity.from_json(KINDS["part"]).whole == RUN
    assert Identity.from_json(KINDS["reproduction"]).whole.text == stable(KINDS["reproduction"])


def test_a_run_grows_by_subjects_and_attacks_and_not_by_a_contradiction():
    gap = replace(SUBJECT, attacks={"gap": {"part": "Ascent", "steps": 20}})
    both = replace(SUBJECT, attacks={**SUBJECT.attacks, **gap.attacks})
    assert RUN.grown(replace(RUN, subjects=(gap,))) == Identity((both,), seed=0)
    other = replace(SUBJECT, model="other")
    assert RUN.grown(replace(RUN, subjects=(other,))) == Identity((SUBJECT, other), seed=0)
    assert RUN.grown(replace(RUN, seed=1)) is None
    assert RUN.grown(replace(RUN, other={"paper": "liu2020"})) is None
    assert RUN.grown(replace(RUN, subjects=(replace(SUBJECT, model_checksum="00"),))) is None
    steps = replace(SUBJECT, attacks={"pgd": {"part": "Ascent", "steps": 11}})
    assert RUN.grown(replace(RUN, subjects=(steps,))) is None


def test_a_contradiction_is_named_without_what_is_only_added():
    gap = replace(SUBJECT, attacks={"pgd": {"part": "Ascent", "steps": 11}, "gap": {"part": "Ascent"}})
    other = replace(SUBJECT, model="other")
    assert RUN.contradiction(replace(RUN, subjects=(other, gap))) == "its attacks differ: pgd"
    assert RUN.contradiction(replace(RUN, subjects=(other,), seed=1)) == "its seed differs"
    more = replace(SUBJECT, count=SUBJECT.count + 1, data_checksum="00")
    assert f"its data differ: it has {SUBJECT.count} images" in RUN.contradiction(replace(RUN, subjects=(more,)))


def test_a_store_takes_the_identity_and_its_json_alike(tmp_path: Path):
    Store.open(tmp_path, RUN).close()
    again = Store.open(tmp_path, KINDS["evaluation"])
    assert again.identity == KINDS["evaluation"]
    again.close()
    other = replace(RUN, subjects=(replace(SUBJECT, model="other"),))
    with pytest.raises(InputError, match=r"another run \(its model differs\)"):
        Store.open(tmp_path, other)
    finished = Store.open(tmp_path, RUN)
    finished.finish()
    finished.close()
    grown = Store.open(tmp_path, other, grow=True)
    assert Identity.from_json(grown.identity) == RUN.grown(other)
    assert not grown.finished  # what was added is still to be done
    grown.close()
