"""Patterns of the first signs: they find slivers, keep to the budget, and leave other networks alone."""

import pytest
import torch
from torch import nn

import quantattack as qa
from networks import relu_network
from quantattack.attacks.base import batch_of, passes
from quantattack.attacks.first_signs import first_signs
from quantattack.attacks.hill_climbing import HillClimbing
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.sign_patterns import SignPatterns
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import Sign
from quantattack.rng import Rng

THREAT = Threat(Linf(), 0.1)
CLEAN = torch.full((3, 1, 2, 4), 0.5)
LABELS = torch.zeros(3, dtype=torch.long)


class Bands(nn.Module):
    """Wrong only where pixels 0 to 5 are all in a band from 0.010 to 0.012 above the clean image: a sliver."""

    def __init__(self, between=nn.Identity):
        super().__init__()
        self.flat, self.sign = nn.Flatten(), Projection(Sign())
        self.first, self.between, self.last = nn.Linear(8, 12), between(), nn.Linear(12, 2, bias=False)
        eye = torch.eye(8)[:6]
        with torch.no_grad():
            self.first.weight.copy_(torch.cat([eye, -eye]))
            self.first.bias.copy_(torch.cat([torch.full((6,), -0.510), torch.full((6,), 0.512)]))
            self.last.weight.copy_(torch.stack([torch.zeros(12), torch.full((12,), 0.5)]))
        self.eval()

    def forward(self, x):
        met = self.last(self.sign(self.between(self.first(self.flat(x)))))  # 6 where all are met
        return met + torch.tensor([5.5, 0.0])


def attack(queries=4000, **more):
    return SignPatterns(threat=THREAT, queries=queries, **more)


def test_a_sliver_is_found_that_hill_climbing_does_not_find():
    model = Bands()
    found = attack()(model, CLEAN, LABELS)
    assert (model(found).argmax(1) == 1).all()
    assert THREAT.contains(found, CLEAN, 1e-7).all()
    lost = HillClimbing(threat=THREAT, queries=4000)(model, CLEAN, LABELS)
    assert (model(lost).argmax(1) == 0).all()


def test_an_image_gets_the_same_alone_and_in_any_order():
    model, search, index = CountedModel(Bands()), attack(4000), torch.tensor([7, 8, 9])
    together = search.trace(model, batch_of(CLEAN, LABELS, rng=Rng(0, index)))
    assert len(together.step.unique()) > 1
    for rows in ([0], [1], [2], [2, 0, 1]):
        apart = search.trace(model, batch_of(CLEAN[rows], LABELS[rows], rng=Rng(0, index[rows])))
        assert torch.equal(apart.images, together.images[rows])
        assert torch.equal(apart.step, together.step[rows])


class Never(Bands):
    def forward(self, x):
        return super().forward(x) * 0 + torch.tensor([1.0, 0.0])


@pytest.mark.parametrize("queries", [20, 100, 555])
def test_the_budget_is_kept(queries):
    model, search = CountedModel(Never()), attack(queries)
    search(model, CLEAN[:1], LABELS[:1])
    forwards, backwards = model.passes.snapshot()
    assert queries // 2 < forwards <= queries
    assert backwards == 0
    assert passes(search, 10) == queries


def test_what_the_start_fools_costs_no_search():
    model = CountedModel(Bands())
    trace = attack().trace(model, batch_of(CLEAN, LABELS, start=CLEAN + 0.011))
    assert torch.equal(trace.images, CLEAN + 0.011)
    assert model.passes.forwards == 11 + 2 * len(CLEAN)  # 8 pixels and three probes; then where each starts


@pytest.mark.parametrize(
    ("model", "threat"),
    [
        (relu_network(0, (1, 2, 4)), THREAT),  # no signs
        (Bands(nn.Softplus), THREAT),  # what enters them is not affine
        (Bands(), Threat(Linf(), 25 / 255, levels=256)),
    ],
)
def test_where_it_cannot_work_it_returns_the_start(model, threat):
    clean, labels = torch.full((2, 1, 2, 4), 128 / 255), model(torch.full((2, 1, 2, 4), 128 / 255)).argmax(1)
    start = clean + 1 / 255
    found = SignPatterns(threat=threat, queries=500)(model, clean, labels, start=start)
    assert torch.equal(found, threat.snap(start, clean))


def test_nothing_is_asked_of_a_model_without_signs():
    model = CountedModel(relu_network(0, (1, 2, 4)))
    attack()(model, CLEAN, LABELS)
    assert model.passes.snapshot() == (0, 0)


def test_pixels_with_radii_of_their_own_are_kept():
    threat = Threat(Linf(), torch.tensor([[0.0, 0.005, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]])[None])
    found = SignPatterns(threat=threat, queries=500)(Bands(), CLEAN, LABELS)
    assert threat.contains(found, CLEAN, 1e-7).all()
    assert (found != CLEAN).any()


@pytest.mark.parametrize("norm", [L1(), L2()])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match="linf"):
        SignPatterns(threat=Threat(norm, 0.5))


@pytest.mark.parametrize("settings", [{"queries": 0}, {"pairs": 0}])
def test_settings_that_ask_nothing_are_refused(settings):
    with pytest.raises(InputError):
        SignPatterns(threat=THREAT, **settings)


@pytest.mark.parametrize("wrap", [lambda model: model, CountedModel])
def test_the_first_signs_of_a_network_are_read_and_set(wrap):
    model, images = qa.load_model("digits-bnn-waq"), qa.load_data("digits")[0][:5]
    signs = first_signs(wrap(model), images.shape[1:], images, at_once=24)
    before = model.features[1](model.features[0](model.normalize(images))).flatten(1).double()
    assert torch.allclose(signs.before(images), before, atol=1e-5)
    assert torch.allclose(signs.before(images), signs.before(images[:1]) + (images - images[:1]).flatten(1).double()
                          @ signs.slopes.T, atol=1e-4)  # fmt: skip
    assert torch.equal(signs.logits(images[:1], before >= 0), wrap(model)(images))
    assert not torch.equal(signs.logits(images[:1], before < 0), wrap(model)(images))


def test_a_sign_that_is_called_twice_is_set_the_first_time_only():
    class Twice(Bands):
        def forward(self, x):
            return self.last(
                self.sign(self.sign(self.first(self.flat(x))) + 2 * self.sign.quantizer.hard(x[:, 0, 0, :1]))
            )

    model = Twice()
    signs = first_signs(model, CLEAN.shape[1:], CLEAN)
    assert torch.equal(signs.logits(CLEAN[:1], torch.zeros(1, 12, dtype=torch.bool)), model(CLEAN[:1]))


def test_an_image_is_broken_that_gradients_and_random_changes_leave():
    images, labels = (part[53:54] for part in qa.load_data("digits"))
    model, threat = qa.load_model("digits-bnn-waq"), Threat(Linf(), 0.01)
    found = SignPatterns(threat=threat)(model, images, labels)
    assert model(found).argmax(1) != labels
    left = HillClimbing(threat=threat, queries=8000)(model, images, labels)
    assert model(left).argmax(1) == labels
