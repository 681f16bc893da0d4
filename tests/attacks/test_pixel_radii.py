"""Radii per channel or pixel: every attack keeps each pixel within its own, and the judge asks each."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import quantattack as qa
from attacks.adapters.peers import need
from contracts import ATTACKS, STEPS
from networks import relu_network
from quantattack.attacks import adapters
from quantattack.attacks.pixel_radii import PixelRadii
from quantattack.attacks.threat import rounded_radius
from quantattack.diagnostics.diagnose import diagnose
from quantattack.record.description import describe, stable
from quantattack.report.tables import threat_words
from quantattack.rng import Rng

SHAPE = (3, 4, 4)
CHANNELS = [[[8 / 255]], [[4.6 / 255]], [[0.0]]]
PIXELS = torch.linspace(0, 0.3, 48, dtype=torch.float64).reshape(SHAPE)
EDGE = torch.tensor([0.0, 0.0, 0.3, 0.3])  # of each row, the last two pixels
RADII = {"channels": CHANNELS, "pixels": PIXELS, "rows": EDGE, "array": PIXELS.numpy()}


def pictures(count: int = 12) -> Tensor:
    drawn = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(3))
    return qa.Threat("linf", 0.1, levels=256).grid(drawn)


def allowed(radii: object, levels: int | None) -> Tensor:
    """Return each pixel's largest change, computed apart from the threat: whole levels where there are any."""
    values = torch.as_tensor(np.asarray(radii), dtype=torch.float64).expand(SHAPE)
    return values if levels is None else (values * 255 + 1e-6).floor() / 255


@pytest.mark.parametrize(("radii", "levels"), [(CHANNELS, None), (PIXELS, 256)], ids=["channels", "pixels in bytes"])
@pytest.mark.parametrize(
    "member", [each for each in ATTACKS if qa.Linf in each.norms and each.general], ids=lambda each: each.name
)
def test_every_attack_keeps_each_pixel_within_its_own(member, radii, levels):
    images = pictures()
    network = relu_network(0, SHAPE)
    threat = qa.Threat(qa.Linf(), radii, levels=levels)
    attack = member.make(threat, network, images, STEPS)
    found = attack(network, images, network(images).argmax(1), None, Rng(0, torch.arange(len(images))))
    moved = (found.double() - images.double()).abs()
    assert bool((moved <= allowed(radii, levels) + (0 if levels is None else 1e-7)).all())
    assert bool(moved.any())
    assert bool(threat.contains(found, images, 0.0).all())
    assert bool((found >= 0).all())
    assert bool((found <= 1).all())


@pytest.mark.parametrize("member", [each for each in ATTACKS if qa.Linf in each.norms], ids=lambda each: each.name)
def test_equal_radii_are_one_number(member):
    images, network = pictures(), relu_network(0, SHAPE)
    labels = network(images).argmax(1)
    found = [
        member.make(qa.Threat(qa.Linf(), radius), network, images, STEPS)(network, images, labels)
        for radius in (0.125, torch.full(SHAPE, 0.125))
    ]
    assert torch.allclose(*found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("radii", RADII.values(), ids=RADII)
def test_a_step_is_each_pixels_own(radii):
    images = torch.full((2, *SHAPE), 0.5)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2)).eval()
    labels = network(images).argmax(1)
    found = qa.fgsm(qa.Threat("linf", radii), random_start=False)(network, images, labels)
    weight = network[1].weight.detach()
    expected = (weight[1 - labels] - weight[labels]).sign().reshape(2, *SHAPE) * allowed(radii, None)
    assert torch.allclose((found - images).double(), expected, atol=1e-6)


@pytest.mark.parametrize("build", [lambda t: qa.square(t, queries=400), lambda t: qa.pgd(t, steps=20)])
def test_the_corner_of_the_box_is_reached(build):
    images = torch.full((4, *SHAPE), 0.5)
    weight = torch.randn(48, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2, bias=False)).eval()
    with torch.no_grad():
        network[1].weight.copy_(torch.stack([-weight, weight]))
    most = float((weight.abs().reshape(SHAPE) * allowed(CHANNELS, None)).sum())
    threat = qa.Threat("linf", CHANNELS)
    model = nn.Sequential(network, Raised(2 * 0.5 * float(weight.sum()) + 1.5 * most))  # no image is broken
    found = build(threat)(model, images, torch.zeros(4, dtype=torch.long))
    gained = ((found - images).flatten(1) @ weight) / most
    assert bool((gained > 0.7).all())


class Raised(nn.Module):
    """Raises class 0 above class 1."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, logits: Tensor) -> Tensor:
        return logits + torch.tensor([2 * self.by, 0.0])


def test_samples_fill_each_pixels_interval():
    threat, clean = qa.Threat("linf", CHANNELS), torch.full((4000, *SHAPE), 0.5)
    drawn = (threat.sample(clean, Rng(0, torch.arange(4000))) - clean).abs().amax((0, 2, 3))
    assert torch.allclose(drawn.double(), torch.tensor(CHANNELS)[:, 0, 0].double(), atol=1e-4)


def test_the_judge_asks_every_pixel():
    threat, clean = qa.Threat("linf", CHANNELS), torch.full((3, *SHAPE), 0.5)
    moved = clean.clone()
    moved[0, 0, 0, 0] += 7 / 255  # within the first channel's
    moved[1, 1, 0, 0] += 7 / 255  # within the largest, and not within the second channel's
    moved[2, 2, 0, 0] += 1 / 255  # the third channel must stay
    assert threat.contains(moved, clean).tolist() == [True, False, False]
    assert threat.contains(moved, clean, 1e-6).tolist() == [True, False, False]
    assert not threat.contains(clean * torch.nan, clean, 1e-6).any()
    assert not threat.contains(clean - 0.6, clean, 100.0).any()
    edge = clean.double() + torch.tensor(CHANNELS, dtype=torch.float64)
    assert threat.contains(edge - 0.0, clean.double(), 1e-12).all()


def test_whole_levels_per_pixel_and_less_than_one_stays():
    threat = qa.Threat("linf", [[[8.4 / 255]], [[4 / 255]], [[0.7 / 255]]], levels=256)
    clean = pictures()
    far = threat.snap(torch.ones_like(clean), clean)
    levels = ((far - clean) * 255).round().amax((0, 2, 3))
    assert levels.tolist() == [8, 4, 0]
    assert threat.contains(far, clean).all()
    assert rounded_radius(threat) == (
        "radii per channel 0.03294, 0.01569, 0.002745 are rounded down to whole levels of 255; 1 of 3 are 0"
    )
    assert rounded_radius(qa.Threat("linf", [[[8 / 255]], [[0.0]]], levels=256)) is None


REFUSED = {
    "L2": (lambda: qa.Threat("l2", CHANNELS), "are for Linf"),
    "L1": (lambda: qa.Threat("l1", CHANNELS), "are for Linf"),
    "negative": (lambda: qa.Threat("linf", [0.1, -0.1]), "numbers from 0 on"),
    "zeros": (lambda: qa.Threat("linf", torch.zeros(3, 1, 1)), "one above it"),
    "NaN": (lambda: qa.Threat("linf", [0.1, float("nan")]), "numbers from 0 on"),
    "none": (lambda: qa.Threat("linf", []), "numbers from 0 on"),
    "ragged": (lambda: qa.Threat("linf", [[0.1], [0.1, 0.2]]), "must be a positive number"),
    "words": (lambda: qa.Threat("linf", ["8/255"]), "must be a positive number"),
    "word": (lambda: qa.Threat("linf", "8/255"), "must be a positive number"),
    "complex": (lambda: qa.Threat("linf", torch.ones(3, dtype=torch.complex64)), "must be a positive number"),
    "range": (lambda: qa.Threat("linf", [0.1, 1.1]), "over the pixel range"),
    "levels": (lambda: qa.Threat("linf", [0.001, 0.002], levels=256), "below one of 256 levels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case):
    build, says = REFUSED[case]
    with pytest.raises(qa.InputError, match=says) as refused:
        build()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("radii", [[[[0.1]], [[0.2]]], torch.full((4, 5), 0.1), torch.full((2, 3, 4, 4), 0.1)])
def test_radii_that_fit_no_image_are_refused(radii):
    threat, images = qa.Threat("linf", radii), pictures()
    network = relu_network(0, SHAPE)
    for call in (
        lambda: qa.pgd(threat)(network, images, network(images).argmax(1)),
        lambda: qa.evaluate(network, images, network(images).argmax(1), {"pgd": qa.pgd(threat)}, threat),
    ):
        with pytest.raises(qa.InputError, match="do not fit images of shape"):
            call()


@pytest.mark.parametrize("one", [0.1, np.float32(0.1), torch.tensor(0.1), np.array(0.1)])
def test_one_number_is_a_number(one):
    threat = qa.Threat("linf", one)
    assert threat.each is None
    assert threat.radius == pytest.approx(0.1)
    assert "each" not in describe(threat)


def test_descriptions_hold_few_radii_and_the_digest_of_many():
    few, many = describe(qa.Threat("linf", CHANNELS)), describe(qa.Threat("linf", PIXELS))
    assert few["each"]["numbers"] == [8 / 255, 4.6 / 255, 0.0]
    assert few["radius"] == few["each"]["most"] == 8 / 255
    assert "numbers" not in many["each"]
    assert (many["each"]["shape"], many["each"]["least"], many["each"]["most"]) == ([3, 4, 4], 0.0, 0.3)
    other = PIXELS.clone()
    other[1, 1, 1] += 1e-9
    assert stable(describe(qa.Threat("linf", other))) != stable(many)
    assert len(stable(many)) < 300
    assert threat_words(few) == "Linf per channel 8/255, 0.01804, 0"
    assert threat_words(many) == "Linf per pixel, at most 0.3"
    assert "per" not in threat_words(describe(qa.Threat("linf", 8 / 255)))


def test_threats_compare_by_their_radii():
    threat = qa.Threat("linf", CHANNELS)
    same = [qa.Threat("linf", torch.tensor(CHANNELS, dtype=torch.float64)), copy.deepcopy(threat), replace(threat)]
    same += [pickle.loads(pickle.dumps(threat)), qa.Threat("linf", torch.tensor([CHANNELS], dtype=torch.float64))]
    assert all(each == threat and hash(each) == hash(threat) for each in same)
    assert threat != qa.Threat("linf", 8 / 255)
    assert threat != qa.Threat("linf", CHANNELS[::-1])
    assert "PixelRadii" in repr(threat)
    assert repr(qa.Threat("linf", 0.1)) == "Threat(norm=Linf(), radius=0.1, low=0.0, high=1.0, levels=None)"


def test_a_larger_radius_scales_all():
    threat, clean = replace(qa.Threat("linf", CHANNELS), radius=16 / 255), torch.full((1, *SHAPE), 0.5)
    reached = (threat.project(torch.ones_like(clean), clean) - clean).amax((0, 2, 3)) * 255
    assert torch.allclose(reached, torch.tensor([16.0, 9.2, 0.0]), atol=1e-3)


def test_a_later_change_of_the_callers_tensor_changes_no_threat():
    given = torch.tensor(CHANNELS)
    threat = qa.Threat("linf", given)
    given.zero_()
    assert threat == qa.Threat("linf", torch.tensor(CHANNELS))


def test_evaluate_judges_each_pixel_and_refuses_attacks_of_other_radii():
    images, network = pictures(), relu_network(0, SHAPE)
    labels = network(images).argmax(1)
    threat = qa.Threat("linf", CHANNELS)

    def beyond(model: nn.Module, shown: Tensor, truth: Tensor) -> Tensor:
        return (shown + 8 / 255 * (shown < 0.5)).clamp(0, 1)

    record = qa.evaluate(network, images, labels, {"beyond": beyond, "pgd": qa.pgd(threat)}, threat)
    assert not record.column("beyond", "inside").any()
    assert record.column("pgd", "inside").all()
    assert bool((record.column("pgd", "size") <= 8 / 255 + 1e-6).all())
    with pytest.raises(qa.InputError, match=r"made for Linf per channel .* judge's threat is Linf 0.03137"):
        qa.evaluate(network, images, labels, {"pgd": qa.pgd(threat)}, qa.Threat("linf", 8 / 255))


def test_diagnose_takes_them():
    images, network = pictures(32), relu_network(0, SHAPE)
    labels = network(images).argmax(1)
    diagnosis = diagnose(network, images, labels, qa.Threat("linf", CHANNELS))
    assert diagnosis.clean == 1.0
    assert {finding.check for finding in diagnosis.findings} >= {"larger radius", "ascent"}


@pytest.mark.peers
def test_adapters_refuse_them():
    need("torchattacks")
    threat, images = qa.Threat("linf", CHANNELS), pictures()
    attack = adapters.Torchattacks(threat, "PGD")
    with pytest.raises(qa.InputError, match="one radius for all pixels"):
        attack(relu_network(0, SHAPE), images, torch.zeros(len(images), dtype=torch.long))


def test_radii_are_kept_exactly():
    assert PixelRadii(CHANNELS).values.flatten().tolist() == [8 / 255, 4.6 / 255, 0.0]
