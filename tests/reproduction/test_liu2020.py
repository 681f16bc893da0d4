"""Paper B's settings, runs and directions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from quantattack.attacks.base import passes
from quantattack.attacks.directions import Quantized, raw, steepest
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Restarts
from quantattack.data.sets import SETS, load_data
from quantattack.nn.zoo import load_model
from quantattack.record.signals import read_signals
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network, Run, runs
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.cells import images_of
from quantattack.reproduction.liu2020.attacks import (
    independent,
    merged,
    merged_levels,
    over_radii,
    sweep,
    two_radii,
)
from quantattack.reproduction.liu2020.histograms import kept
from quantattack.rng import Rng


def bench(data, scale="full"):
    network = Network("net", load_model("digits-float"), data, "REF")
    return Bench((network,), scale=PAPERS["liu2020"].scale(scale)), network


@pytest.mark.parametrize(
    ("data", "radius", "step", "steps"),
    [("mnist", 0.3, 0.01, 200), ("fashion-mnist", 0.2, 0.01, 100), ("cifar10", 8 / 255, 2 / 255, 100)],
)
def test_settings_are_the_papers(data, radius, step, steps):
    ((threat, attacks),) = independent(*bench(data))
    assert threat == Threat(Linf(), radius)
    assert len(attacks) == 6 * 5
    walk = attacks["pqgd 200 run 5"].attack
    assert (walk.step_size, walk.steps, walk.direction) == (step, steps, Quantized(200))
    blob = attacks["blob_qg 100 run 1"].attack
    assert (blob.particles, blob.steps, blob.attack.transforms[0].c) == (200, 10, 1.1)


def test_the_full_restarts_are_the_papers():
    ((_, attacks),) = merged(*bench("mnist"))
    assert attacks["pgd merged"].restarts == 50
    assert attacks["blob_qg 200 merged twice"].restarts == 100
    ((_, quick),) = merged(*bench("mnist", "quick"))
    assert quick["pgd merged"].restarts == 50
    radii = over_radii(*bench("mnist"))
    assert [threat.radius for threat, _ in radii] == [0.1, 0.15, 0.2, 0.25, 0.3]
    # figure 3 has 100 steps; at the standard radius it is read off the 200 of table 2
    assert [attacks["pgd run 1"].attack.steps for _, attacks in radii] == [100, 100, 100, 100, 200]
    assert {column.step for column in PAPERS["liu2020"].items["figure3"].columns} == {100}
    assert [threat.radius for threat, _ in two_radii(*bench("cifar10"))] == [8 / 255, 16 / 255]
    ((_, fashion),) = merged_levels(*bench("fashion-mnist"))
    assert {(one.restarts, one.attack.attack.steps) for one in fashion.values()} == {(10, 200)}
    ((_, levels),) = sweep(*bench("mnist"))
    assert {"pqgd 1 run 1", "pqgd 5000 run 1"} < set(levels)


def test_a_run_is_the_restart_of_its_number():
    model = load_model("digits-float")
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = model(images).argmax(1)
    walk = pgd(Threat(Linf(), 0.2), steps=3)
    rng = Rng(7, torch.arange(6))
    third = runs("pgd", walk, 3)["pgd run 3"]
    assert third == Run(walk, 2)
    assert torch.equal(third(model, images, labels, rng=rng), walk(model, images, labels, rng=rng.restarted(2)))
    broken = [model(run(model, images, labels, rng=rng)).argmax(1) != labels for run in runs("", walk, 3).values()]
    merged_images = Restarts(walk, 3)(model, images, labels, rng=rng)
    assert torch.equal(model(merged_images).argmax(1) != labels, torch.stack(broken).any(0))


def test_what_a_direction_keeps_is_measured():
    grad = torch.tensor([[[[0.5, -1.0], [0.0, 0.001]]]])
    quantized = kept(grad, Quantized(10)(grad, Linf()), 0.01)
    assert quantized["sign"] == 1.0
    assert quantized["applicable"] == 1.0  # one level of 0.01 is over 1/255
    assert quantized["magnitude"] > 0.99
    sign = kept(grad, steepest(grad, Linf()), 0.01)
    assert sign["sign"] == 1.0
    assert sign["magnitude"] < quantized["magnitude"]
    plain = kept(grad, raw(grad, Linf()), 0.01)
    assert plain["applicable"] == pytest.approx(2 / 3)
    assert plain["magnitude"] == pytest.approx(1.0)
    assert sum(quantized["counts"]) == 3  # the zero has no direction
    assert quantized["counts"][30 - 10] == 1
    assert quantized["counts"][31] == 1


def test_the_raw_gradients_shape_is_what_the_levels_round():
    grad = torch.tensor(
        [[[[0.002, -0.01], [0.0, 0.0]]], [[[0.4, 1.0], [-0.001, 0.0]]]]
    )  # shares 0.2, -1; 0.4, 1, -0.001
    plain = kept(grad, raw(grad, Linf()), 0.01)
    filled = {place - 30: count for place, count in enumerate(plain["shape"]) if count}
    assert filled == {-30: 1, 0: 1, 20: 1, 30: 2}  # 40 and 100 lie beyond the ball's end
    assert set(np.flatnonzero(plain["counts"]) - 30) == {0, 1}  # as a step it moves next to nothing


def test_the_pictures_are_the_attacked_images_of_each_class(filled):
    store = Store.load(filled["liu2020"].folder("digits-mdtanhs", "perturbed-10"))
    signals = read_signals(store.connection)
    store.close()
    assert [signal.temperature for signal in signals] == [
        "clean", "pgd run 1", "pqgd 100 run 1", "daa_blob run 1", "blob_qg 100 run 1",
    ]  # fmt: skip
    clean, *changed = (
        np.array([list(bytes.fromhex(one)) for one in signal.numbers["pixels"]]) / 255 for signal in signals
    )
    images, labels = load_data("digits")
    shown = signals[0].numbers["image"]
    assert sorted(labels[shown].tolist()) == sorted(set(labels[:10].tolist()))
    assert clean == pytest.approx(images[shown].flatten(1).numpy(), abs=0.5 / 255)
    model = load_model("digits-mdtanhs")
    for signal, pixels in zip(signals[1:], changed, strict=True):
        assert 0.05 < np.abs(pixels - clean).max() <= SETS["digits"].linf + 1 / 255
        again = model(torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)).argmax(1).tolist()
        assert np.mean(np.equal(again, signal.numbers["predicted"])) > 0.7  # rounding to gray levels changes a few


def test_what_an_attack_costs_is_read_off_its_settings():
    threat = Threat(Linf(), 0.3)
    assert passes(pgd(threat, steps=20), 10) == 40
    assert passes(pgd(threat, steps=20, restarts=5), 10) == 5 * 41
    ((_, attacks),) = merged(*bench("mnist", "quick"))
    assert passes(attacks["daa_blob merged"], 10) == 50 * 401
    assert passes(attacks["multi_targeted merged"], 10) == 9 * (5 * 402 + 1)  # a look at the start point each
    assert passes(Run(pgd(threat, steps=7), 1), 10) == 14
    assert passes(lambda *given: None, 10) == 2000


@pytest.mark.parametrize("name", ["pgd merged", "multi_targeted merged"])
def test_restarts_get_fewer_images_where_the_scale_says_so(name):
    ((_, attacks),) = merged(*bench("mnist", "quick"))
    assert images_of(PAPERS["liu2020"].scale("quick"), name, attacks[name]) == 200
    assert images_of(replace(PAPERS["gupta2022"].scale("quick"), merged=100), name, attacks[name]) == 100
    assert images_of(PAPERS["gupta2022"].scale("quick"), "pgd", pgd(Threat(Linf(), 0.3))) == 200
    assert images_of(PAPERS["gupta2022"].scale("quick"), "deepfool", None) == 50


def test_every_quick_cell_is_within_its_budget():
    for run in (independent, merged, merged_levels, two_radii, sweep):
        for data in ("mnist", "cifar10"):
            for _, attacks in run(*bench(data, "quick")):
                for name, attack in attacks.items():
                    scale = PAPERS["liu2020"].scale("quick")
                    assert images_of(scale, name, attack) * passes(attack, 10) <= scale.budget
