"""A whole reproduction at the smallest scale, on carried networks of digits: run once for all tests."""

import jaxtyping
import numpy as np
import pytest

from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.numbers import Pair
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


def pair(first, second, images=200):
    return Pair(np.array([1.0] * first + [-1.0] * second + [0.0] * (images - first - second)))


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """The plans of all papers, every cell of them run; the shapes of their parts are checked elsewhere."""
    folder = tmp_path_factory.mktemp("reproduced")
    plans = {key: plan_of(key, folder) for key in PAPERS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        for plan in plans.values():
            keep_missing(plan, fill(plan, silent))
    return plans


@pytest.fixture
def gupta(tmp_path):
    return plan_of("gupta2022", tmp_path)


@pytest.fixture
def liu(tmp_path):
    return plan_of("liu2020", tmp_path)
