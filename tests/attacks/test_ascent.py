"""The one loop: against a loop by hand, watched step by step, and with images that leave it."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from networks import named, relu_network
from quantattack.attacks.apgd import Apgd
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import batch_of, search
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.directions import Quantized
from quantattack.attacks.losses import cross_entropy, log_odds, margin, targeted
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import LinearDecay, pgd
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.success import hits, misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Momentum
from quantattack.errors import InputError
from quantattack.record.description import describe
from quantattack.rng import Rng

NORMS = pytest.mark.parametrize(
    "threat",
    [Threat(Linf(), 0.05), Threat(L2(), 0.2), Threat(L1(), 0.5)],
    ids=lambda threat: type(threat.norm).__name__,
)


def ascent(threat: Threat, **settings) -> Ascent:
    return Ascent(**{"threat": threat, "step_size": threat.radius / 4, "steps": 8, "loss": log_odds, **settings})


class Counted(torch.nn.Module):
    """A model that counts the images it is shown."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model, self.rows = model, []

    def forward(self, images):
        self.rows.append(len(images))
        return self.model(images)


def test_last_iterate_is_a_plain_pgd_loop_bit_for_bit(network, images, labels):
    """In float64 with steps that sum exactly, so that no rounding hides a difference."""
    model, clean = relu_network(0, (1, 4, 4), dtype=torch.float64), (images * 256).round().double() / 256
    threat = Threat(Linf(), 1 / 16)
    attack = Ascent(threat=threat, step_size=1 / 64, steps=10, random_start=False, last_iterate=True)
    x = clean.clone()
    for _ in range(10):
        x.requires_grad_()
        loss = functional.cross_entropy(model(x), labels, reduction="sum")
        (grad,) = torch.autograd.grad(loss, x)
        x = x.detach() + grad.sign() / 64
        x = torch.minimum(torch.maximum(x, clean - 1 / 16), clean + 1 / 16).clamp(0, 1)
    assert torch.equal(attack(model, clean, labels), x)
    assert torch.equal(attack(model, clean, labels, start=clean), x)


@NORMS
def test_walk_drops_nobody_under_a_plain_loop(threat, network, images, labels):
    steps = list(ascent(threat).walk(network, batch_of(images, labels)))
    assert [step.index for step in steps] == list(range(8))
    for step in steps:
        assert step.x.shape == step.grad.shape == images.shape
        assert torch.allclose(step.logits, network(step.x))
        assert threat.contains(step.x, images, 1e-6).all()
    assert misclassified(steps[-1].logits, labels).sum() > 2


@NORMS
@pytest.mark.parametrize(
    "settings", [{}, {"transforms": (Momentum(),)}, {"temperature": Hns()}, {"loss": margin}], ids=named
)
def test_the_trace_tells_the_first_iterate_that_fooled(threat, settings, images, labels):
    network = relu_network(0, (1, 4, 4), dtype=torch.float64)
    attack, clean, rng = ascent(threat, **settings), images.double(), Rng(9, torch.arange(len(images)))
    found = attack.trace(network, batch_of(clean, labels, rng=rng))
    steps = list(attack.walk(network, batch_of(clean, labels, rng=rng)))  # nobody leaves here
    wrong = torch.stack([misclassified(step.logits, labels) for step in steps])
    first = torch.where(wrong.any(0), wrong.int().argmax(0), 8)
    assert torch.equal(found.step, first)
    assert (found.restart == 0).all()
    assert int((first < 8).sum()) > 2
    for i, at in enumerate(first.tolist()):
        if at < 8:
            assert torch.allclose(found.images[i], steps[at].x[i], atol=1e-12)
            assert misclassified(network(found.images[i : i + 1]), labels[i : i + 1]).all()
    assert torch.equal(attack(network, clean, labels, rng=rng), found.images)


def test_the_last_point_is_returned_though_nobody_looked_at_it(network, images, labels):
    attack = ascent(Threat(Linf(), 1e-6), random_start=False)  # fools nobody
    found = attack.trace(network, batch_of(images[2:], labels[2:]))
    assert (found.step == 8).all()
    walk = attack.walk(network, batch_of(images[2:], labels[2:]))
    for _ in range(8):
        next(walk)
    with pytest.raises(StopIteration) as end:
        next(walk)
    assert torch.equal(end.value.value, found.images)


def test_an_image_that_was_fooled_costs_nothing_more(network, images, labels):
    counted = Counted(network)
    found = ascent(Threat(Linf(), 0.05)).trace(counted, batch_of(images, labels))
    assert sum(counted.rows) == int((found.step + 1).clamp_max(8).sum())
    together = Counted(network)
    ascent(Threat(Linf(), 0.05), last_iterate=True)(together, images, labels)
    assert together.rows == [24] * 8


def test_a_coupled_transform_keeps_everybody_in_the_walk(network, images, labels):
    class Centered:
        coupled = True

        def __call__(self, grad, x, previous):
            return grad - grad.mean(0)

    counted = Counted(network)
    attack = ascent(Threat(Linf(), 0.05), transforms=(Centered(),))
    found = attack.trace(counted, batch_of(images, labels))
    assert counted.rows == [24] * 8
    wrong = misclassified(network(found.images), labels)
    assert torch.equal(found.step < 8, wrong & (found.step < 8))
    assert (found.step < 8).sum() > 2


def test_without_a_random_start_the_walk_begins_at_the_clean_image(network, images, labels):
    first = next(ascent(Threat(Linf(), 0.05), random_start=False).walk(network, batch_of(images, labels)))
    assert torch.equal(first.x, images)
    given = next(ascent(Threat(Linf(), 0.05)).walk(network, batch_of(images, labels, start=images + 1)))
    assert torch.equal(given.x, Threat(Linf(), 0.05).project(images + 1, images))


def test_the_temperature_looks_at_the_start_point(network, images, labels):
    seen = []

    def watching(model, x, y):
        seen.append(x)
        return lambda logits, labels: logits

    attack = ascent(Threat(L2(), 0.2), temperature=watching)
    first = next(attack.walk(network, batch_of(images, labels)))
    assert len(seen) == 1
    assert torch.equal(seen[0], first.x)
    assert not torch.equal(seen[0], images)


def test_transforms_work_in_order_and_remember(network, images, labels):
    class Doubled:
        def __call__(self, grad, x, previous):
            calls.append((grad, previous))
            return 2 * grad

    calls = []
    attack = ascent(Threat(L2(), 0.2), steps=2, transforms=(Doubled(), Doubled()), last_iterate=True)
    first, _ = list(attack.walk(network, batch_of(images, labels)))
    assert torch.equal(calls[0][0], first.grad)
    assert torch.equal(calls[1][0], 2 * first.grad)
    assert not calls[0][1].any()
    assert torch.equal(calls[2][1], 2 * first.grad)
    assert torch.equal(calls[3][1], 4 * first.grad)


def test_a_step_size_may_fall(network, images, labels):
    falling = LinearDecay(0.02, 4)
    assert [falling(i) for i in range(4)] == pytest.approx([0.02, 0.015, 0.01, 0.005])
    attack = ascent(Threat(Linf(), 0.5), step_size=falling, steps=4, random_start=False)
    clean = 0.25 + images / 2
    points = [step.x for step in attack.walk(network, batch_of(clean, labels))]
    moves = [(later - earlier).abs().amax().item() for earlier, later in pairwise(points)]
    assert moves == pytest.approx([0.02, 0.015, 0.01], abs=1e-6)


def test_quantized_steps_take_the_signs_place(network, images, labels):
    threat = Threat(Linf(), 0.05)
    one, sign = ascent(threat, direction=Quantized(1)), ascent(threat)
    assert torch.equal(one(network, images, labels), sign(network, images, labels))
    assert not torch.equal(
        ascent(threat, direction=Quantized(100))(network, images, labels), sign(network, images, labels)
    )


@NORMS
def test_each_image_may_have_a_radius_of_its_own(threat, network, images, labels):
    radius = torch.linspace(0, threat.radius, 24, dtype=torch.float64)
    found = ascent(threat, last_iterate=True)(network, images, labels, radius=radius)
    size = threat.norm.size(found.double() - images.double())
    assert (size <= radius * (1 + 1e-6)).all()
    assert torch.equal(found[0], images[0])
    assert (size[1:] > radius[1:] / 2).all()
    own = ascent(threat, last_iterate=True)(
        network, images, labels, radius=torch.full((24,), threat.radius, dtype=torch.float64)
    )
    assert torch.equal(own, ascent(threat, last_iterate=True)(network, images, labels))


def test_targeted_attacks_are_given_their_targets(network, images, labels):
    targets = network(images).topk(2, dim=1).indices[:, 1]
    attack = ascent(Threat(Linf(), 0.2), loss=targeted(log_odds), solved=hits, steps=30)
    found = attack.trace(network, batch_of(images, targets))
    reached = network(found.images).argmax(1) == targets
    assert reached.float().mean() > 0.5
    assert reached[found.step < 30].all()
    assert attack.solved is hits


def test_the_restart_moves_the_start(network, images, labels):
    attack, index = ascent(Threat(Linf(), 0.05), last_iterate=True), torch.arange(24)
    starts = [
        next(attack.walk(network, batch_of(images, labels, rng=Rng(0, index, restart)))).x for restart in range(3)
    ]
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])


def test_a_model_may_live_on_images_of_any_scale(network, images, labels):
    """The pixel range is the threat's: 0 to 255 walks as 0 to 1 does."""
    small, large = Threat(Linf(), 1 / 16), Threat(Linf(), 16.0, 0.0, 256.0)
    scaled = lambda x: network(x / 256)  # noqa: E731
    start = small.sample(images, Rng(0, torch.arange(24)))
    found = pgd(large)(scaled, images * 256, labels, start=start * 256)
    assert torch.allclose(found / 256, pgd(small)(network, images, labels, start=start), atol=1e-6)


def test_any_callable_is_traced(network, images, labels):
    attack = lambda model, clean, labels, start=None, rng=None, radius=None: clean + 0.01  # noqa: E731
    found = search(attack, network, batch_of(images, labels))
    assert torch.equal(found.images, images + 0.01)
    assert (found.step == -1).all()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": -2}, "steps"),
        ({"steps": True}, "steps"),
        ({"step_size": 0.0}, "step_size"),
        ({"step_size": -0.1}, "step_size"),
        ({"step_size": float("nan")}, "step_size"),
        ({"step_size": float("inf")}, "step_size"),
    ],
    ids=named,
)
def test_settings_that_make_no_walk_are_refused(settings, match):
    with pytest.raises(InputError, match=match):
        ascent(Threat(Linf(), 0.1), **settings)


def test_attacks_are_varied_by_replacing_a_field():
    attack = ascent(Threat(Linf(), 0.1))
    assert replace(attack, loss=cross_entropy) == ascent(Threat(Linf(), 0.1), loss=cross_entropy)
    assert replace(attack, temperature=Gap()) != attack
    with pytest.raises(AttributeError):
        attack.steps = 3


@pytest.mark.parametrize("kind", [Ascent, Apgd])
def test_a_pair_beside_a_temperature_is_refused(kind):
    size = {"step_size": 0.1} if kind is Ascent else {}
    with pytest.raises(InputError, match="takes the temperature's place"):
        kind(threat=Threat(Linf(), 0.1), steps=3, temperature=Gap(), pair=ClassPair(1), **size)
    assert "pair" not in describe(kind(threat=Threat(Linf(), 0.1), steps=3, **size))
    described = describe(kind(threat=Threat(Linf(), 0.1), steps=3, pair=ClassPair(2), **size))
    assert described["temperature"] == {"part": "Rival", "rank": 2, "ratio": False}
