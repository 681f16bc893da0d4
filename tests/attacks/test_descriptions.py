"""What records hold of an attack is what version 0.1.0 wrote, byte by byte: a run of then is continued by this code."""

import json
from pathlib import Path

from attacks.compositions import descriptions

WRITTEN = Path(__file__).parent / "descriptions-0.1.0.json"


def test_every_attack_is_described_as_version_0_1_0_described_it():
    written, now = json.loads(WRITTEN.read_text(encoding="utf-8")), descriptions()
    assert len(written) > 150
    assert {name: now.get(name) for name in written} == written
