"""Bounds of whole networks: no image inside the threat is below them, and both methods together are no looser."""

import pytest
import torch
from torch import nn

import quantattack as qa
from quantattack.certification.activations import Clip, Lines, Steps
from quantattack.certification.bounds import bounded, differences, lower
from quantattack.certification.program import program_of
from quantattack.certification.region import region_of
from quantattack.errors import InputError

from .networks import made, points

NETWORKS = [
    *(f"small-{how}" for how in ("float", "bc", "ternary", "bits", "signs")),
    *("perceptron-float", "perceptron-signs", "coarse-bc", "coarse-signs", "lenet-float", "lenet-signs"),
    *("residual", "binary-residual"),
]
THREATS = [
    *(qa.Threat("linf", radius) for radius in (1e-4, 0.02, 0.1)),
    qa.Threat("linf", 4 / 255, levels=256),
    qa.Threat("l2", 0.3),
    qa.Threat("l1", 0.5),
    qa.Threat("linf", [[[0.05]], [[0.0]]]),
]
IDS = [f"{threat.norm}-{threat.radius:.2g}-{threat.levels}" for threat in THREATS]


def clean_of(shape: tuple[int, ...], threat: qa.Threat) -> torch.Tensor:
    torch.manual_seed(3)
    image = (torch.rand(1, *shape) * 255).round() / 255
    return image.float()


def violations(model: nn.Module, threat: qa.Threat, clean: torch.Tensor, count: int = 128) -> float:
    """By how much the margins of sampled images are below the bound, at most; not positive where it is sound."""
    with torch.no_grad():
        label = int(model(clean).argmax(1)[0])
        bound = bounded(program_of(model, clean), region_of(threat, clean), label)
        inside = points(threat, clean, count)
        assert bool(threat.contains(inside, clean.expand_as(inside), 1e-6).all())
        logits = model(inside).double()
        margins = logits[:, label, None] - logits
        rivals = torch.arange(logits.shape[1]) != label
        return float((bound.margins[rivals] - margins[:, rivals]).max())


@pytest.mark.parametrize("threat", THREATS, ids=IDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_image_inside_the_threat_has_a_smaller_margin_than_the_bound(name: str, threat: qa.Threat):
    model, shape = made(name)
    if threat.each is not None:  # a radius for each channel: every other one stays as it is
        threat = qa.Threat("linf", [[[0.05 * (1 - channel % 2)]] for channel in range(shape[0])])
    assert violations(model, threat, clean_of(shape, threat)) <= 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_two_together_are_no_looser_than_either(name: str):
    model, shape = made(name)
    clean = clean_of(shape, THREATS[0])
    program = program_of(model, clean)
    region = region_of(THREATS[0], clean)
    label = int(model(clean).argmax(1)[0])
    both = bounded(program, region, label)
    boxes = [region.box]
    for step in program.steps[1:]:
        boxes.append(step.part.interval(*(boxes[each] for each in step.inputs)))
    crown = lower(program, boxes, program.last, differences(program.classes, label), region)  # on intervals alone
    rivals = torch.arange(program.classes) != label
    assert bool((both.margins >= both.by_intervals - 1e-9).all())
    assert bool((both.margins[rivals] >= crown[rivals] - 1e-9).all())
    assert both.least <= 0 or both.method in ("ibp", "crown")


def test_at_a_tiny_radius_the_bound_is_the_margin():
    for name in ("small-float", "residual", "lenet-float"):
        model, shape = made(name)
        clean = clean_of(shape, THREATS[0])
        logits = model(clean)[0].double()
        label = int(logits.argmax())
        bound = bounded(program_of(model, clean), region_of(qa.Threat("linf", 1e-9), clean), label)
        rivals = torch.arange(len(logits)) != label
        assert torch.allclose(bound.margins[rivals], (logits[label] - logits)[rivals], atol=1e-3)


def flipped_clip(self: Clip, box):
    """The relaxation with the line above a ReLU where the line below it belongs."""
    below, above = original_clip(self, box)
    return Lines(above, below)


def flipped_steps(self: Steps, box):
    below, above = original_steps(self, box)
    return Lines(above, below)


original_clip, original_steps = Clip.lines, Steps.lines


@pytest.mark.parametrize(
    ("kind", "names", "wrong"),
    [
        (Clip, ("small-float", "perceptron-float", "residual"), flipped_clip),
        (Steps, ("small-signs", "perceptron-signs", "small-bits"), flipped_steps),
    ],
)
def test_a_relaxation_with_a_flipped_sign_is_caught(kind, names, wrong, monkeypatch):
    cases = [(*made(name), qa.Threat("linf", radius)) for name in names for radius in (0.1, 0.3)]
    cases = [(model, threat, clean_of(shape, threat)) for model, shape, threat in cases]
    assert max(violations(*case) for case in cases) <= 0
    monkeypatch.setattr(kind, "lines", wrong)
    assert max(violations(*case) for case in cases) > 0


def test_a_bound_without_its_rounding_is_caught_where_a_network_stands_on_a_threshold(monkeypatch):
    """The sums of 0.1 in float32 are not 0.3 in reals: without the error term a sign is proved that float32 flips."""
    from quantattack.certification.linear import Linear

    model = nn.Sequential(nn.Flatten(), nn.Linear(400, 1, bias=True), nn.Identity(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        model[1].weight.fill_(0.1)
        model[3].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        clean = torch.full((1, 1, 20, 20), 0.3)
        exact = float((clean.double() * model[1].weight.double()[0, 0]).sum())
        model[1].bias.fill_(-exact)
    model = model.eval()
    threat = qa.Threat("linf", 1e-9)
    program = program_of(model, clean)
    bound = bounded(program, region_of(threat, clean), 0).least
    assert bound < 0
    monkeypatch.setattr(Linear, "error", lambda self, box: torch.zeros_like(self.apply(box.low)))
    assert bounded(program, region_of(threat, clean), 0).least > bound


class Branches(nn.Module):
    def forward(self, x):
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


class Softplus(nn.Module):
    def forward(self, x):
        return nn.functional.softplus(x).flatten(1)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.GELU()), r"no bound is known of 1 \(GELU\)"),
        (Softplus(), "no bound is known of the operation softplus"),
        (Branches(), "no bound is known of the operation sum"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).bfloat16(), "give it in float32"),
        (lambda images: images, "not function"),
        (nn.Conv2d(1, 2, 3), "not one of logits"),
    ],
)
def test_what_has_no_bound_is_refused_in_words(model, words):
    with pytest.raises(InputError, match=words):
        program_of(model, torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_of_fewer_bits_are_refused(precision):
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        with pytest.raises(InputError, match="set_float32_matmul_precision"):
            program_of(network, torch.rand(1, 1, 2, 2))
    finally:
        torch.set_float32_matmul_precision(before)
    assert program_of(network, torch.rand(1, 1, 2, 2)).classes == 2


def test_tf32_on_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with pytest.raises(InputError, match="allow_tf32"):
        program_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval(), torch.rand(1, 1, 2, 2))
