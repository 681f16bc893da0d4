"""What is described alike is resumed as one run: so different things must read differently, and all as JSON."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from quantattack.record.description import describe, stable


class Held:
    def __init__(self, value):
        self.value = value


def adding(value):
    return lambda images: images + value


PAIRS = {
    "tensors": (torch.zeros(2), torch.ones(2)),
    "bfloat16": (torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
    "arrays": (np.zeros(2), np.ones(2)),
    "networks": (torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)),
    "partials": (partial(max, key=1), partial(max, key=2)),
    "closures": (adding(1), adding(2)),
    "objects": (Held(1), Held(2)),
    "devices": (torch.device("cpu"), torch.device("meta")),
    "numbers": (np.int64(3), np.int64(4)),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_different_things_read_differently_and_the_same_thing_the_same(kind):
    one, other = PAIRS[kind]
    assert stable(describe(one)) != stable(describe(other))
    assert stable(describe(one)) == stable(describe(one))
    assert json.loads(stable(describe(one))) == describe(one)


def test_numbers_of_numpy_read_as_numbers():
    assert describe(np.int64(3)) == 3
    assert describe(np.float32(0.5)) == 0.5


def test_an_object_reads_without_its_address():
    assert describe(Held(1)) == describe(Held(1)) == {"part": "Held", "value": 1}
