"""Cutting the work changes nothing: batches and order leave every start and every verdict as they are, to the bit."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from quantattack import (
    L1,
    L2,
    Ensemble,
    Gap,
    Hns,
    InFloat64,
    Linf,
    Record,
    Restarts,
    Threat,
    evaluate,
    load_data,
    load_model,
    margin,
    pgd,
    pgd_plus,
    square,
)
from quantattack.attacks.base import Attack
from quantattack.rng import Rng

THREAT = Threat(Linf(), 0.2)
NETWORKS = ["digits-mdtanhs", "digits-bnn-waq", "digits-float"]
CUTS = [(7, 1), (64, 2), (500, 3)]  # batch size, and the seed of the order


def attacks() -> dict[str, Attack]:
    return {
        "pgd": pgd(THREAT, steps=2),
        "gap": pgd_plus(THREAT, Gap(), steps=2),
        "hns": pgd_plus(THREAT, Hns(), steps=1),
        "margin": pgd(THREAT, steps=2, loss=margin),
        "square": square(THREAT, queries=2),
    }


def order(seed: int, count: int = 500) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch):
    """Shapes are checked by the other tests; here they would be checked ten thousand times."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@cache
def in_order(network: str) -> Record:
    images, labels = load_data("digits")
    return evaluate(load_model(network), images, labels, attacks(), THREAT, batch_size=500)


def outcomes(record: Record) -> Mapping[str, Any]:
    """Everything about each image that is no cost: costs are a batch's mean."""
    return {
        name: [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in record.outcomes(name)]
        for name in record.attacks
    }


def kept(record: Record, part: Tensor) -> Mapping[str, Any]:
    """The outcomes of some of the images."""
    return {name: [rows[at] for at in part.sort().values.tolist()] for name, rows in outcomes(record).items()}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("size", "seed"), CUTS)
def test_batches_and_order_change_no_outcome(network: str, size: int, seed: int):
    images, labels = load_data("digits")
    index = order(seed)[: 18 * size]
    cut = evaluate(load_model(network), images[index], labels[index], attacks(), THREAT, batch_size=size, indices=index)
    assert outcomes(cut) == kept(in_order(network), index)  # verdicts, margins, sizes and first steps, to the bit


def test_the_attacks_that_are_compared_leave_some_and_break_some():
    record = in_order("digits-mdtanhs")
    assert len(record.attacks) == 5
    assert all(0 < record.broken(name).sum() < 500 for name in record.attacks)


@pytest.mark.parametrize("norm", [Linf(), L2(), L1()], ids=repr)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_random_starts_belong_to_the_image(norm: Any, size: int):
    images, _ = load_data("digits")
    threat, index = Threat(norm, 0.2), order(size)
    whole = threat.sample(images, Rng(5, torch.arange(500), 1))
    parts = [threat.sample(images[at], Rng(5, at, 1)) for at in torch.split(index, size)]
    assert torch.equal(torch.cat(parts), whole[index])
    assert not torch.equal(whole, threat.sample(images, Rng(6, torch.arange(500), 1)))
    assert not torch.equal(whole, threat.sample(images, Rng(5, torch.arange(500), 2)))


def test_a_part_of_the_data_keeps_its_numbers():
    images, labels = load_data("digits")
    part = order(4)[:40]
    record = evaluate(load_model("digits-mdtanhs"), images[part], labels[part], attacks(), THREAT, indices=part)
    assert outcomes(record) == kept(in_order("digits-mdtanhs"), part)


def test_attacks_made_of_attacks_keep_their_numbers():
    images, labels = (part[:48] for part in load_data("digits"))
    model = load_model("digits-mdtanhs")
    made: dict[str, Attack] = {
        "restarts": Restarts(pgd(THREAT, steps=2), 3),
        "strongest": Ensemble(attacks()),
        "float64": InFloat64(pgd(THREAT, steps=2)),
    }
    records = [evaluate(model, images, labels, made, THREAT, batch_size=size) for size in (60, 24, 7)]
    assert outcomes(records[0]) == outcomes(records[1]) == outcomes(records[2])


def test_the_order_of_the_attacks_changes_nothing():
    images, labels = (part[:48] for part in load_data("digits"))
    model = load_model("digits-mdtanhs")
    turned = dict(reversed(attacks().items()))
    records = [evaluate(model, images, labels, found, THREAT) for found in (attacks(), turned)]
    assert outcomes(records[0]) == outcomes(records[1])
