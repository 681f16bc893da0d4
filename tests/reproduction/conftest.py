"""A whole reproduction at the smallest scale, on carried networks of digits: run once for all tests."""

import tempfile
from pathlib import Path

import jaxtyping
import pytest

from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.run import fill
from quantattack.reproduction.scales import SCALES
from quantattack.reproduction.views import keep_missing

DIGITS = {
    "REF": "digits-float",
    "BNN-WQ": "digits-mdtanhs",
    "BNN-WAQ": "digits-bnn-waq",
    "XNOR": "digits-xnor",
    "TWN": "digits-ternary",
}


def digits(role):
    return DIGITS.get(role.kind.rstrip("*"), "digits-mdtanhs")


def silent(name, done, total):
    assert 0 <= done <= total


def plan_of(paper, out, *items, **parts):
    chosen = PAPERS[paper]
    given = {"stand_in": digits, **parts}
    return Plan(chosen, items or tuple(chosen.items), given.pop("scale", SCALES["smallest"]), out, **given)


@pytest.fixture(scope="session")
def memory():
    """A folder in memory where there is one: a record waits for the disk at each batch."""
    root = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=root if root.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def filled(memory):
    """The plans of all papers, every cell of them run; the shapes of their parts are checked elsewhere."""
    plans = {key: plan_of(key, memory / "reproduced") for key in PAPERS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        for plan in plans.values():
            keep_missing(plan, fill(plan, silent))
    return plans
