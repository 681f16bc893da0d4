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
from quantattack.attacks.success import hits
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


@pytest.mark.parametrize("queries", [14, 15, 16, 17, 20, 37, 100, 555, 1382])
def test_the_budget_is_kept(queries):
    model, search = CountedModel(Never()), attack(queries)
    search(model, CLEAN[:1], LABELS[:1])
    forwards, backwards = model.passes.snapshot()
    assert queries - 1 <= forwards <= queries
    assert backwards == 0
    assert passes(search, 10) == queries


def test_what_the_start_fools_costs_no_search():
    model = CountedModel(Bands())
    trace = attack().trace(model, batch_of(CLEAN, LABELS, start=CLEAN + 0.011))
    assert torch.equal(trace.images, CLEAN + 0.011)
    assert trace.step.tolist() == [0, 0, 0]
    assert model.passes.forwards == 8 + 4 + 2 * len(CLEAN)  # pixels and four probes; then where each starts


class Chunks(Bands):
    """Its signs see two images at a time."""

    def forward(self, x):
        return torch.cat([super(Chunks, self).forward(part) for part in x.split(2)])


class Unused(Bands):
    def forward(self, x):
        return self.last(self.first(self.flat(x)))


class Fickle(Bands):
    """It leaves out its signs where the image is not one of the probes."""

    def forward(self, x):
        met = self.sign(self.first(self.flat(x))) if x.sum() % 0.5 == 0 else self.first(self.flat(x))
        return self.last(met) + torch.tensor([5.5, 0.0])


@pytest.mark.parametrize("model", [relu_network(0, (1, 2, 4)), Bands(nn.Softplus), Chunks(), Unused()])
def test_networks_without_first_signs_to_read_have_none(model):
    assert first_signs(model.eval(), CLEAN.shape[1:], CLEAN) is None
    found = attack()(model.eval(), CLEAN, LABELS, start=CLEAN + 0.01)
    assert torch.equal(found, CLEAN + 0.01)


def test_weights_of_signs_are_no_activations():
    model = qa.quantize(relu_network(0, (1, 2, 4)), weights=Sign()).eval()
    assert first_signs(model, CLEAN.shape[1:], CLEAN) is None


def test_a_matrix_that_is_too_large_is_not_read(monkeypatch):
    assert first_signs(Bands(), CLEAN.shape[1:], CLEAN) is not None
    monkeypatch.setattr("quantattack.attacks.first_signs._LARGEST", 95)  # it has 12 x 8
    assert first_signs(Bands(), CLEAN.shape[1:], CLEAN) is None


def test_programs_that_are_too_large_are_not_solved(monkeypatch):
    monkeypatch.setattr("quantattack.attacks.sign_patterns._ENTRIES", 95)
    model = CountedModel(Bands())
    assert torch.equal(attack()(model, CLEAN[:1], LABELS[:1]), CLEAN[:1])
    assert model.passes.forwards == 8 + 4 + 2


def test_signs_that_get_lost_leave_the_start():
    start = CLEAN + 0.013
    assert torch.equal(attack()(Fickle(), CLEAN, LABELS, start=start), start)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_model_that_takes_few_images_at_once_is_searched(rows):
    found = attack()(CountedModel(Bands(), rows=rows), CLEAN[:1], LABELS[:1])
    assert Bands()(found).argmax(1) == 1


def test_what_is_changed_in_place_after_the_signs_is_read_before():
    class InPlace(Bands):
        def forward(self, x):
            before = self.first(self.flat(x))
            met = self.sign(before)
            before += met
            return self.last(met) + torch.tensor([5.5, 0.0])

    assert torch.equal(attack()(InPlace(), CLEAN[:1], LABELS[:1]), attack()(Bands(), CLEAN[:1], LABELS[:1]))


def test_the_default_dtype_changes_nothing():
    torch.set_default_dtype(torch.float64)
    try:
        found = attack()(Bands().float(), CLEAN[:1], LABELS[:1])
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, attack()(Bands(), CLEAN[:1], LABELS[:1]))


def test_a_target_is_reached_as_a_label_is_left():
    targeted = attack(solved=hits)(Bands(), CLEAN[:1], LABELS[:1] + 1)
    assert torch.equal(targeted, attack()(Bands(), CLEAN[:1], LABELS[:1]))


def test_each_image_keeps_its_own_radius():
    radius = torch.tensor([0.1, 0.005, 0.1])
    found = attack(1500)(Bands(), CLEAN, LABELS, radius=radius)
    assert ((found - CLEAN).abs().flatten(1).amax(1) <= radius + 1e-7).all()
    assert Bands()(found).argmax(1).tolist() == [1, 0, 1]


@pytest.mark.parametrize("radius", [0.0003, 0.0005, 0.001])
def test_a_search_ends_where_the_ball_has_few_patterns(radius):
    images, labels = (part[9:10] for part in qa.load_data("digits"))
    model = CountedModel(qa.load_model("digits-bnn-waq"))
    SignPatterns(threat=Threat(Linf(), radius), queries=20_000)(model, images, labels)
    assert model.passes.forwards < 16_000


def test_levels_are_left_to_others():
    threat, clean = Threat(Linf(), 25 / 255, levels=256), torch.full((2, 1, 2, 4), 128 / 255)
    model = CountedModel(Bands())
    found = SignPatterns(threat=threat, queries=500)(model, clean, LABELS[:2], start=clean + 1 / 255)
    assert torch.equal(found, threat.snap(clean + 1 / 255, clean))
    assert model.passes.snapshot() == (0, 0)


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


@pytest.mark.usefixtures("unchecked")
def test_an_image_is_broken_that_gradients_and_random_changes_leave():
    images, labels = (part[53:54] for part in qa.load_data("digits"))
    model, threat = qa.load_model("digits-bnn-waq"), Threat(Linf(), 0.01)
    found = SignPatterns(threat=threat)(model, images, labels)
    assert model(found).argmax(1) != labels
    for other in (HillClimbing(threat=threat, queries=8000), qa.apgd_plus(threat, qa.Gap()), qa.square(threat, 5000)):
        assert model(other(model, images, labels)).argmax(1) == labels
