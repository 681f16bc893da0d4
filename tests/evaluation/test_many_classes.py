"""A thousand classes: what a step costs, the largest tensor, and the page that is built from the records."""

import json
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import quantattack as qa
from quantattack.attacks.base import passes
from quantattack.attacks.scaling.njs import Njs
from quantattack.diagnostics.diagnose import diagnose
from quantattack.gradients import jacobian

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "thousand.py"))
CLASSES, COUNT, SHAPE = 1000, 8, (3, 8, 8)
PIXELS = 3 * 8 * 8
JACOBIAN = CLASSES * COUNT * PIXELS  # numbers in the Jacobians of all images
THREAT = qa.Threat("linf", 0.002)  # of random weights, margins are tiny


class Largest(TorchFunctionMode):
    """Notes how many numbers the largest tensor has that a call of PyTorch returns."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            self.numbers = max(self.numbers, each.numel() if isinstance(each, torch.Tensor) else 0)
        return made


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 64), nn.ReLU(), nn.Linear(64, CLASSES)).eval()
    images = torch.rand(COUNT, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network, images, network(images).argmax(1)


@pytest.mark.usefixtures("unchecked")
def test_hns_takes_22_passes_and_holds_21_rows(case):
    network, images, labels = case
    attack = qa.pgd_plus(THREAT, qa.Hns(rivals=20), steps=5)
    assert passes(attack, CLASSES) == 22 + 2 * 5
    with Largest() as seen:
        record = qa.evaluate(network, images, labels, {"pgd": attack}, THREAT)
    assert list(record.attacks) == ["pgd"]
    assert seen.numbers < JACOBIAN / 5


def test_njs_holds_no_row_of_the_jacobian(case):
    network, images, _ = case
    with Largest() as seen:
        found = Njs.fit(network, images)
    assert found.sketch is not None
    assert seen.numbers < JACOBIAN / 5
    with Largest() as seen:
        jacobian(network, images)
    assert seen.numbers >= JACOBIAN  # the test would see it


@pytest.mark.usefixtures("unchecked")
def test_a_suite_and_a_diagnosis_run(case):
    network, images, labels = case
    members = {name: part for name, part in qa.standard(THREAT).attacks.items() if name in ("pgd", "gap")}
    with Largest() as seen:
        record = qa.evaluate(network, images, labels, members, THREAT)
        found = diagnose(network, images, labels, THREAT, budget=200)
    assert 0 < record.worst_case < 1  # the run is real: not every image falls
    assert found.clean == 1.0
    assert found.forwards + found.backwards <= 200
    assert seen.numbers < JACOBIAN / 5


def test_the_page_is_built_from_the_records():
    text = SCRIPT["PAGE"].read_text(encoding="utf-8")
    assert SCRIPT["built"](text) == text, "run `make results`"


def test_few_rivals_reach_the_whole_hessian_on_average_within_a_hundredth():
    found = json.loads((SCRIPT["FOLDER"] / "rivals.json").read_text(encoding="utf-8"))
    assert len(found["networks"]) >= 2
    for entries in found["networks"].values():
        assert entries["20"]["mean"] >= 0.99
        assert entries["20"]["passes"] == qa.Hns(rivals=20).passes(found["classes"]) <= 25


def test_the_run_stayed_in_its_bounds():
    parts = json.loads((SCRIPT["FOLDER"] / "run.json").read_text(encoding="utf-8"))["parts"]
    assert all(entry["peak MiB"] < 4096 for entry in parts.values())
    assert all(entry["passes"] <= 25 for part, entry in parts.items() if part.endswith("/hns"))
