"""The grid: snapped images are bytes, bit by bit, inside the ball, and as near as can be; attacks search there."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contracts import ATTACKS, STEPS
from networks import linear_model, relu_network
from quantattack.attacks.adapters.common import Shown, searched
from quantattack.attacks.base import batch_of, search
from quantattack.attacks.eot import Eot
from quantattack.attacks.grid import Grid
from quantattack.attacks.losses import margin
from quantattack.attacks.minimum_norm import MinimumNorm
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import apgd, daa_blob, pgd, square
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat, rounded_radius
from quantattack.attacks.wrappers import Ensemble, InFloat64, Restarts
from quantattack.errors import InputError
from quantattack.evaluation.saved_images import packed, unpacked
from quantattack.record.description import describe
from quantattack.rng import Rng

THREATS = (Threat(Linf(), 2 / 255, levels=256), Threat(L2(), 0.06, levels=256), Threat(L1(), 0.2, levels=256))
every_threat = pytest.mark.parametrize("threat", THREATS, ids=lambda threat: type(threat.norm).__name__)
PAIRS = [
    pytest.param(member, threat, id=f"{member.name}-{type(threat.norm).__name__}")
    for member in ATTACKS
    for threat in THREATS
    if type(threat.norm) in member.norms
]
every_attack = pytest.mark.parametrize(("member", "threat"), PAIRS)


def bytes_of(seed: int, count: int = 6, shape: tuple[int, ...] = (1, 4, 4)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8).float() / 255


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_byte_keeps_its_bits(dtype):
    every = (torch.arange(256, dtype=torch.uint8).float() / 255).to(dtype).reshape(1, 256)
    threat = Threat(Linf(), 1 / 255, levels=256)
    assert torch.equal(threat.snap(every, every), every)
    assert torch.equal(threat.grid(every + 0.4 / 255), every)
    assert torch.equal(unpacked(packed(threat.snap(every, every).float())).to(dtype), every)


def test_a_neighbor_is_the_next_byte():
    every = (torch.arange(256, dtype=torch.uint8).float() / 255).reshape(1, 256)
    moved = Threat(Linf(), 1 / 255, levels=256).snap(every + 1 / 255, every)
    assert torch.equal(packed(moved)[0], torch.arange(1, 257).clamp_max(255).to(torch.uint8))


@pytest.mark.parametrize(
    ("low", "high", "levels"), [(0.0, 1.0, 17), (-1.0, 1.0, 256), (0, 255, 256), (0.0, 1.0, 65536)]
)
def test_other_ranges_and_levels(low, high, levels):
    grid = Grid(low, high, levels)
    assert math.isclose(grid.step, (high - low) / (levels - 1))
    index = torch.arange(levels).reshape(1, -1)
    assert torch.equal(grid.positions(grid.values(index, torch.float32)).round(), index.double())
    assert grid.holds(grid.values(index, torch.float32)).all()


@every_threat
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 20), part=st.floats(0.01, 1))
def test_snapped_images_are_inside_and_on_the_grid(threat, seed, scale, part):
    clean = bytes_of(seed, 4)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed + 1))
    radius = torch.full((4,), part * threat.radius, dtype=torch.float64)
    found = threat.snap(clean + scale / 255 * noise, clean, radius)
    assert torch.equal(unpacked(packed(found)), found)
    assert packed(found).dtype == torch.uint8
    assert threat.contains(found, clean).all()
    assert (threat.distance(found, clean) <= threat.radii(clean, radius) * (1 + 1e-6)).all()
    assert torch.equal(threat.snap(found, clean, radius), found)


@every_threat
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_what_was_inside_moves_by_less_than_a_level(threat, seed):
    clean = bytes_of(seed, 3)
    inside = threat.sample(clean, Rng(seed, torch.arange(3)))
    assert float((threat.snap(inside, clean) - inside).abs().max()) < 1 / 255 + 1e-6


@every_threat
@pytest.mark.parametrize("seed", range(5))
def test_as_few_pixels_as_possible_are_put_back(threat, seed):
    """Every way to round four pixels up or down is tried."""
    clean = torch.full((1, 4), 100 / 255)
    inside = threat.project(clean + 0.03 * torch.randn(1, 4, generator=torch.Generator().manual_seed(seed)), clean)
    at = threat.grid.positions(inside)
    floor, nearest = at.floor(), at.round()
    flips = []
    for choice in range(16):
        up = torch.tensor([[float(choice >> k & 1) for k in range(4)]], dtype=torch.float64)
        image = threat.grid.values(floor + up, torch.float32)
        if threat.contains(image, clean):
            flips.append(int((floor + up != nearest).sum()))
    found = threat.grid.positions(threat.snap(inside, clean)).round()
    assert int((found != nearest).sum()) == min(flips)


def test_the_closest_of_the_fewest_is_chosen():
    """L1 of two levels: 0.7, 0.6 and 0.55 round to three levels; the nearest to the middle goes back."""
    clean = torch.full((1, 3), 0.4)
    threat = Threat(L1(), 2 / 255, levels=256)
    found = threat.snap(clean + torch.tensor([[0.7, 0.6, 0.55]]) / 255, clean)
    assert torch.equal(threat.grid.positions(found).round(), torch.tensor([[103.0, 103.0, 102.0]], dtype=torch.float64))


def test_a_radius_is_whole_under_linf():
    threat, clean = Threat(Linf(), 0.03, levels=256), bytes_of(0)
    assert threat.radius_in_levels == 7
    assert torch.equal(threat.radii(clean), torch.full((6,), 7 / 255, dtype=torch.float64))
    assert rounded_radius(threat) == "radius 0.03 is 7 levels of 255: 0.02745"
    assert rounded_radius(Threat(Linf(), 8 / 255, levels=256)) is None
    assert rounded_radius(Threat(Linf(), 0.03)) is None
    assert rounded_radius(Threat(L2(), 0.03, levels=256)) is None
    assert torch.equal(Threat(Linf(), 8 / 255, levels=256).radii(clean), Threat(Linf(), 8 / 255).radii(clean))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"radius": 0.003, "levels": 256}, "below one of 256 levels"),
        ({"radius": 0.1, "levels": 1}, "levels must be a whole number"),
        ({"radius": 0.1, "levels": True}, "levels must be a whole number"),
        ({"radius": 0.1, "levels": 1 << 17}, "levels must be a whole number"),
    ],
)
def test_bad_levels(settings, says):
    with pytest.raises(InputError, match=says):
        Threat(Linf(), **settings)


def test_clean_images_off_the_grid_are_refused():
    with pytest.raises(InputError, match="not on the grid of 256 levels"):
        THREATS[0].snap(torch.full((1, 4), 0.5), torch.full((1, 4), 0.5))
    with pytest.raises(InputError, match="no levels"):
        Threat(Linf(), 0.1).grid  # noqa: B018


def test_a_threat_without_levels_is_what_it_was():
    threat = Threat(Linf(), 8 / 255)
    assert describe(threat) == {"part": "Threat", "norm": "Linf", "radius": 8 / 255, "low": 0.0, "high": 1.0}
    assert describe(replace(threat, levels=256)) == {**describe(threat), "levels": 256}
    assert threat != replace(threat, levels=256)
    images = torch.rand(2, 3)
    assert threat.snap(images, torch.zeros(2, 3)) is images


def test_an_image_off_the_grid_is_outside():
    clean = bytes_of(3, 1)
    assert THREATS[0].contains(clean, clean).all()
    assert not THREATS[0].contains(clean + 0.2 / 255, clean, 1e-6).any()


def test_the_derivative_through_the_grid_is_one():
    images = torch.rand(2, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    shown = THREATS[0].grid(images)
    assert torch.equal(shown.detach(), THREATS[0].grid(images.detach()))
    (grad,) = torch.autograd.grad((shown * torch.arange(5)).sum(), images)
    assert torch.equal(grad, torch.arange(5.0).expand(2, 5))


@every_attack
def test_every_attack_returns_images_on_the_grid(member, threat):
    network, clean = relu_network(0, (1, 4, 4)), bytes_of(1)
    found = member.make(threat, network, clean, STEPS)(network, clean, torch.arange(6) % 10)
    assert torch.equal(unpacked(packed(found)), found)
    assert threat.contains(found, clean).all()


@pytest.mark.usefixtures("unchecked")
@every_attack
def test_cutting_the_batch_changes_nothing(member, threat):
    if member.whole:
        return
    network, clean, labels = relu_network(0, (1, 4, 4)), bytes_of(2, 8), torch.arange(8)
    attack = member.make(threat, network, clean, STEPS)
    whole = attack(network, clean, labels, rng=Rng(0, torch.arange(8)))
    parts = [attack(network, clean[i : i + 1], labels[i : i + 1], rng=Rng(0, torch.arange(i, i + 1))) for i in range(8)]
    off = (whole - torch.cat(parts)).abs().flatten(1).amax(1)
    assert int((off > 0).sum()) <= 1  # logits of one row differ in their last bits, and a sign may flip


def test_steps_shorter_than_a_level_add_up():
    """A quarter of one level a step: projected onto the grid after each step no iterate would ever move."""
    threat = Threat(Linf(), 1 / 255, levels=256)
    model, clean = linear_model(0, (1, 4, 4)), torch.full((1, 1, 4, 4), 100 / 255)
    found = pgd(threat, steps=8, random_start=False)(model, clean, torch.zeros(1, dtype=torch.int64))
    best = 100 + model.ascent.reshape(1, 1, 4, 4).sign()
    assert torch.equal(threat.grid.positions(found).round(), best.double())


@pytest.mark.parametrize("make", [pgd, apgd], ids=["pgd", "apgd"])
@pytest.mark.parametrize("radius", [1 / 255, 2 / 255, 0.03])
def test_the_optimum_of_a_linear_model_under_linf(make, radius):
    threat = Threat(Linf(), radius, levels=256)
    model, clean = linear_model(1, (1, 4, 4)), bytes_of(5, 4)
    labels = torch.zeros(4, dtype=torch.int64)
    found = make(threat, steps=20)(model, clean, labels)
    count = math.floor(radius * 255 + 1e-6)
    best = (clean * 255).round() + count * model.ascent.reshape(1, 1, 4, 4).sign()
    assert torch.equal((found * 255).round(), best.clamp(0, 255))


def test_a_large_l1_step_goes_to_the_strongest_pixels():
    """L1 of three levels on a linear model: the whole radius, on pixels of the largest weight."""
    threat = Threat(L1(), 3 / 255, levels=256)
    model, clean = linear_model(2, (1, 4, 4)), torch.full((1, 1, 4, 4), 100 / 255)
    found = pgd(threat, steps=20, random_start=False)(model, clean, torch.zeros(1, dtype=torch.int64))
    moved = (found - clean).flatten() * 255
    strongest = int(model.ascent.abs().argmax())
    assert round(float(moved[strongest] * model.ascent[strongest].sign())) == 3
    assert round(float(moved.abs().sum())) == 3


def test_wrappers_keep_to_the_grid():
    threat, network, clean = THREATS[0], relu_network(0, (1, 4, 4)), bytes_of(7)
    labels = torch.arange(6) % 10
    members = {"pgd": pgd(threat, steps=4), "square": square(threat, 20)}
    for attack in (
        Restarts(apgd(threat, steps=4), 2),
        Ensemble(members, onward=("square",)),
        InFloat64(pgd(threat, steps=4)),
        Eot(pgd(threat, steps=4), 2),
        MinimumNorm(pgd(threat, steps=4), threat),
        standard(threat),
    ):
        found = attack(network, clean, labels)
        assert threat.contains(found, clean).all()
        assert packed(found).dtype == torch.uint8


def test_the_smallest_perturbation_is_of_whole_levels():
    threat, network, clean = Threat(Linf(), 16 / 255, levels=256), relu_network(0, (1, 4, 4)), bytes_of(8, 8)
    labels = network(clean).argmax(1)
    found = MinimumNorm(pgd(threat, steps=20), threat, searches=6)(network, clean, labels)
    sizes = threat.distance(found, clean) * 255
    assert torch.equal(sizes.round(), sizes)
    fooled = network(found).argmax(1) != labels
    assert fooled.any()
    assert float(sizes[fooled].min()) < 16


@pytest.mark.usefixtures("unchecked")
def test_the_model_of_a_search_sees_only_the_grid():
    """Every image that the model is shown, with or without a gradient, is on the grid."""
    threat, network, clean = THREATS[0], relu_network(0, (1, 4, 4)), bytes_of(9)
    off = []

    def model(images: Tensor) -> Tensor:
        off.append(int((~threat.grid.holds(images)).sum()))
        return network(images)

    labels = network(clean).argmax(1)
    suite = [attack for name, attack in standard(threat).attacks.items() if name != "square"]
    for attack in (pgd(threat, steps=4), apgd(threat, steps=4), square(threat, 20), *suite):
        off.clear()
        attack(model, clean, labels)
        assert len(off) > 3
        assert sum(off) == 0


class Twin(nn.Module):
    """A network with another implementation for the verdict; counts the pixels off the grid that each is shown."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.climbed, self.asked = network, 0, 0
        self.off = 0

    @property
    def twinned(self) -> bool:
        return True

    def forward(self, images: Tensor) -> Tensor:
        self.off += int((~THREATS[0].grid.holds(images)).sum())
        self.climbed, self.asked = self.climbed + images.requires_grad, self.asked + (not images.requires_grad)
        logits = self.network(images)
        return logits if images.requires_grad else logits - 0.05 * nn.functional.one_hot(logits.argmax(1), 10)


def test_twin_and_runtime_see_only_the_grid_and_the_runtime_decides():
    threat, network, clean = replace(THREATS[0], radius=8 / 255), relu_network(0, (1, 4, 4)), bytes_of(9, 12)
    for attack in (pgd(threat, steps=6), apgd(threat, steps=6), daa_blob(threat, steps=6, particles=5)):
        model = Twin(network)
        labels = model(clean).argmax(1)
        trace = search(attack, model, batch_of(clean, labels))
        assert min(model.climbed, model.asked) > 0
        assert model.off == 0
        fooled = trace.step < 6
        assert fooled.any()
        with torch.no_grad():
            assert bool((model(trace.images[fooled]).argmax(1) != labels[fooled]).all())


@dataclass(frozen=True)
class Foreign:
    """An adapter of a library that knows no grid."""

    threat: Threat
    __call__ = searched

    def search(self, model: Shown, images: Tensor, labels: Tensor, radius: float, seed: int) -> Tensor:
        assert radius == pytest.approx(2 / 255)
        moved = (images + 0.3 / 255).requires_grad_()
        logits = model(moved)
        assert torch.equal(logits, model(images))
        (grad,) = torch.autograd.grad(logits.logsumexp(1).sum(), moved)
        assert bool((grad != 0).any())
        return images + 0.3 / 255


def test_an_adapter_is_shown_a_model_that_rounds():
    network, clean = relu_network(0, (1, 4, 4)), bytes_of(11).clamp_max(254 / 255)
    assert torch.equal(Foreign(THREATS[0])(network, clean, torch.arange(6)), clean + 0.3 / 255)


def test_steps_of_a_trace_are_those_of_the_rounded_images():
    threat, network, clean = Threat(Linf(), 8 / 255, levels=256), relu_network(0, (1, 4, 4)), bytes_of(10, 12)
    labels = network(clean).argmax(1)
    trace = search(pgd(threat, steps=10, loss=margin), network, batch_of(clean, labels))
    fooled = network(trace.images).argmax(1) != labels
    assert torch.equal(fooled, trace.step < 10)
