"""A run written by hand: two evaluations of a binary network at two radii, and one of a float network."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from quantattack.record.description import stable
from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store
from quantattack.report.page import write_page

IMAGES = 40
WRONG = {0}  # wrong before any attack
RUN = {"seed": 7, "images": IMAGES, "attacks": ["pgd", "pgd_plus_gap", "square"]}
MASKED = "PGD says 90.0% where the worst case is 2.5%: its loss is flat & its gradient is zero"


def threat(radius):
    return stable({"norm": {"part": "Linf"}, "radius": radius, "low": 0.0, "high": 1.0})


def subject(model="binary <net>", radius=0.2):
    return Subject(model, "digits", threat(radius))


def outcome(image, *, step=None, fooled=False, attack_cost=40.0):
    label, wrong = image % 10, image in WRONG
    prediction = (label + 1) % 10 if fooled or wrong else label
    margin = -float(image + 1) if fooled or wrong else float(image + 1)
    return Outcome(
        image=image,
        label=label,
        clean_prediction=(label + 1) % 10 if wrong else label,
        prediction=prediction,
        margin=margin,
        size=0.2,
        step=0 if wrong else step,
        restart=0,
        forwards=attack_cost,
        backwards=attack_cost,
        seconds=0.01,
        inside=True,
    )


def write(store, who, attack, broken, *, steps=40, images=range(IMAGES)):
    """Write one attack; `broken` maps an image to the step that fooled it (None: nobody looked)."""
    settings = {"part": "Ascent", "steps": steps, "loss": {"part": "cross_entropy"}, "chain": [1, {"momentum": 0.5}]}
    cell = store.cell(who, attack, settings, IMAGES)
    store.write(cell, [outcome(i, step=broken.get(i), fooled=i in broken) for i in images])


def write_gallery(folder, who, place=1, count=16):
    clean = np.linspace(0, 1, count * 64, dtype=np.float32).reshape(count, 1, 8, 8)
    sign = np.where(np.arange(64).reshape(8, 8) % 2, 1, -1).astype(np.float32)
    adversarial = np.clip(clean + 0.2 * sign, 0, 1)
    index = np.arange(count, dtype=np.int64)
    tensors = {"clean": clean, "adversarial": adversarial, "index": index, "label": index % 10}
    tensors |= {"clean_prediction": index % 10, "prediction": (index + 1) % 10}
    notes = {"model": who.model, "data": who.data, "threat": who.threat, "attack": "pgd_plus_gap"}
    save_file(tensors, folder / f"gallery-{place}.safetensors", notes)


def build(folder):
    store = Store.open(folder, RUN)
    masked, small, plain = subject(), subject(radius=0.1), subject(model="float")
    write(store, masked, "pgd", {1: 10, 2: 20, 3: None})
    write(store, masked, "pgd_plus_gap", {i: i % 5 for i in range(1, 38)})
    write(store, masked, "square", dict.fromkeys(range(30, 39)), steps=5000)
    store.flag(masked, {"masked": MASKED})
    write(store, small, "pgd", {1: 10})
    write(store, small, "pgd_plus_gap", dict.fromkeys(range(1, 20), 3))
    write(store, plain, "pgd", dict.fromkeys(range(1, 31), 2))
    write(store, plain, "pgd_plus_gap", dict.fromkeys(range(1, 32), 3))
    store.note(device="cpu", versions={"numpy": "2"})
    store.finish()
    store.close()
    if folder is not None:
        write_gallery(folder, masked)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture
def records(run):
    store = Store.load(run)
    yield store.records()
    store.close()


@pytest.fixture(scope="session")
def page(run):
    return write_page(run).read_text(encoding="utf-8")
