"""ParticleSets: sets that the batch has no say in."""

import copy
from dataclasses import replace

import pytest
import torch

import quantattack as qa
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import batch_of
from quantattack.attacks.particle_sets import ParticleSets
from quantattack.attacks.particles import Blob
from quantattack.attacks.recipes import blob_qg, daa_blob, daa_dgf
from quantattack.errors import InputError
from quantattack.evaluation.run import run
from quantattack.evaluation.task import prepare
from quantattack.record.store import Store
from quantattack.rng import Rng

THREAT = qa.Threat(qa.Linf(), 0.1)
WALK = Ascent(threat=THREAT, step_size=0.02, steps=6, transforms=(Blob(),))


def rng(count):
    return Rng(3, torch.arange(count))


def test_the_order_of_the_call_changes_no_image(network, images, labels):
    network, images = copy.deepcopy(network).double(), images.double()
    attack, order = ParticleSets(WALK, particles=7, steps=2), torch.randperm(len(images))
    ours = attack(network, images, labels, rng=rng(len(images)))
    other = attack(network, images[order], labels[order], rng=Rng(3, order))
    assert torch.equal(other, ours[order])


def test_one_set_for_one_round_is_the_walk(network, images, labels):
    """With all images in one set and no mixing it is the ascent itself."""
    walk = replace(WALK, last_iterate=True)
    count, seeds = len(images), rng(len(images))
    ours = ParticleSets(walk, particles=count, steps=6)(network, images, labels, rng=seeds)
    assert torch.allclose(ours, walk(network, images, labels, rng=seeds), atol=1e-6)


def test_sets_are_mixed_between_the_walks(images):
    rounds = ParticleSets(WALK, particles=8, steps=2)
    first, second = ([set(part.tolist()) for part in rounds._sets(rng(24), at)] for at in (0, 2))
    assert [len(part) for part in first] == [8, 8, 8]
    assert set.union(*first) == set(range(24))
    assert first != second


@pytest.mark.parametrize("broken", ["update", "freeze"])
def test_the_first_fooling_iterate_is_kept(network, images, labels, broken):
    attack = ParticleSets(replace(WALK, loss=qa.log_odds, steps=20), particles=8, steps=5, broken=broken)
    found = attack.trace(network, batch_of(images, labels, rng=rng(len(images))))
    seen = found.step < 20
    assert seen.any()
    fooled = network(found.images).argmax(1) != labels
    assert bool(fooled[seen].all())
    assert bool(THREAT.contains(found.images, images).all())


def test_frozen_images_stand_still(network, images, labels):
    """Everyone is wrong from the start: nobody moves, however many rounds there are."""
    wrong = (network(images).argmax(1) + 1) % 10
    walk = replace(WALK, random_start=False)
    ours = ParticleSets(walk, particles=8, steps=2, broken="freeze").trace(
        network, batch_of(images, wrong, rng=rng(len(images)))
    )
    assert torch.equal(ours.images, images)
    assert bool((ours.step == 0).all())


def test_the_engine_hands_over_the_whole_set(network, images, labels):
    attacks = {
        "blob": daa_blob(THREAT, steps=4, particles=7),
        "twice": daa_dgf(THREAT, steps=4, particles=7, restarts=2),
        "qg": blob_qg(THREAT, 50, steps=4, particles=7, broken="freeze"),
    }
    runs = [qa.evaluate(network, images, labels, attacks, THREAT, batch_size=size) for size in (5, 24)]
    for name in attacks:
        margins = [run.column(name, "margin").tolist() for run in runs]
        assert margins[0] == margins[1], name


@pytest.mark.parametrize("restarts", [1, 3])
def test_a_long_walk_tells_how_far_it_is(network, images, labels, restarts):
    attack = daa_blob(THREAT, steps=10, particles=12, restarts=restarts)
    job, told = prepare(network, images, labels, {"blob": attack}, THREAT), []
    run([job], Store.open(None, {}), [lambda name, done, total: told.append(done) if name == "blob" else None])
    count = len(images)
    assert told == sorted(told)
    assert told[-1] == count
    assert len({done for done in told if done < count}) >= count // 2


def test_wrong_numbers_are_refused():
    with pytest.raises(InputError, match="at least one"):
        ParticleSets(WALK, particles=0)
    with pytest.raises(InputError, match="linf"):
        blob_qg(qa.Threat(qa.L2(), 1.0))
