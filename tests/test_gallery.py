"""Every program of the gallery runs and prints what the page shows, where its libraries and its data are."""

import os
import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "gallery.py"))
PAGE = SCRIPT["PAGE"].read_text(encoding="utf-8")
SHOWN = SCRIPT["shown_on"](PAGE)
NEEDS = {
    "huggingface_vit": "transformers",
    "deployed_onnx": "onnxruntime",
    "deployed_tflite": "ai_edge_litert",
    "beside_autoattack": "pyautoattack",
}
NUMBER = re.compile(r"\d+(?:\.\d+)?")
FILE = Path(os.environ.get("QUANTATTACK_DATA", "nowhere")) / "mlperf-tiny"


def test_the_page_shows_the_programs_as_they_are():
    assert SCRIPT["built"](SHOWN) == PAGE, "docs/gallery.md is stale: run `python scripts/gallery.py`"
    assert set(SHOWN) == set(SCRIPT["PROGRAMS"])
    assert all(SHOWN.values())


def test_every_example_is_short_and_shown():
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert names - set(SCRIPT["PROGRAMS"]) == {"judge_onnx", "judge_tflite", "mine"}  # which pages run
    assert all(len(SCRIPT["path_of"](name).read_text().splitlines()) < 60 for name in names)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SCRIPT["PROGRAMS"])
def test_a_program_prints_what_the_page_shows(name):
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    if name == "deployed_tflite" and not FILE.is_dir():
        pytest.skip("MLPerf Tiny's files are not in QUANTATTACK_DATA")
    printed = SCRIPT["printed_by"](name)
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", SHOWN[name])
    # another processor's rounding may turn a few images, and more of them in a training: shares and means may differ a
    # little, counts and places more
    near = 0.2 if name == "adversarial_training" else 0.05
    for ours, theirs in zip(NUMBER.findall(printed), NUMBER.findall(SHOWN[name]), strict=True):
        assert "." not in theirs or float(ours) == pytest.approx(float(theirs), abs=near, rel=0.15)
