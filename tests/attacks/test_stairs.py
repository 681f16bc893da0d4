"""Stairs: they are told from slopes and from plateaus, and a local search crosses them."""

import pytest
import torch

from networks import relu_network
from quantattack.attacks.base import batch_of, passes
from quantattack.attacks.hill_climbing import HillClimbing
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.stairs import OnStairs
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.rng import Rng

THREAT = Threat(Linf(), 0.1)
CLEAN, LABELS = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)) / 2 + 0.25, torch.zeros(4).long()
SLOPES = torch.randn(16, generator=torch.Generator().manual_seed(1))


def slope(x):
    """A margin that is linear in the pixels."""
    rise = (x.flatten(1) * SLOPES.to(x)).sum(1)
    return torch.stack([torch.full_like(rise, 1.2), rise], 1)


def stairs(x, height=0.002):
    """The same with every pixel rounded to steps of a fiftieth of the radius."""
    return slope((x / height).round() * height)


def plateau(x):
    return torch.stack([torch.ones(len(x)), torch.zeros(len(x))], 1)


def bends(model, directions=8):
    attack = OnStairs(pgd(THREAT), THREAT, directions=directions)
    return attack.bends(model, batch_of(CLEAN, LABELS), CLEAN)


def test_a_line_is_straight_and_so_is_a_plateau():
    assert (bends(lambda x: slope(x.double())) < 1e-3).all()  # pixels are rounded to float32
    assert (bends(plateau) == 0).all()


def test_a_network_of_slopes_is_nearly_straight_and_stairs_are_bent():
    network = relu_network(0, (1, 4, 4))
    assert (bends(network) < 0.2).all()
    assert (bends(stairs) > 0.4).all()


def test_one_jump_between_flat_pieces_is_one():
    """The second step crosses the only jump, the first does not, whatever the signs."""

    def jump(x):
        far = (x - CLEAN).abs().flatten(1).amax(1) > 1.5 * 0.1 / 128
        return torch.stack([torch.ones(len(x)), far.float()], 1)

    assert bends(jump).tolist() == [1.0] * 4


@pytest.mark.parametrize(("radius", "dtype"), [(0.1, torch.float16), (0.1, torch.bfloat16), (1e-5, torch.float32)])
def test_rounding_is_no_stairs(radius, dtype):
    network, threat = relu_network(0, (1, 4, 4)), Threat(Linf(), radius)
    rounded = network.to(dtype) if dtype != torch.float32 else network
    bent = OnStairs(pgd(threat), threat).bends(lambda x: rounded(x.to(dtype)), batch_of(CLEAN, LABELS), CLEAN)
    assert (bent < 0.4).all()


@pytest.mark.parametrize("norm", [L1(), L2()])
def test_other_norms_are_refused(norm):
    threat = Threat(norm, 0.5)
    with pytest.raises(InputError, match="linf"):
        OnStairs(pgd(threat), threat)


def test_no_direction_is_refused():
    with pytest.raises(InputError, match="directions"):
        OnStairs(pgd(THREAT), THREAT, directions=0)


def test_only_images_on_stairs_are_attacked():
    """Of a model that rounds where the first pixel is bright, the others are asked for the test alone."""
    clean = CLEAN.clone()
    clean[:, 0, 0, 0] = torch.tensor([0.2, 0.8, 0.2, 0.8])

    def mixed(x):
        bright = (x[:, 0, 0, 0] > 0.5)[:, None]
        return torch.where(bright, stairs(x), slope(x))

    def safe(x):
        return mixed(x) + torch.tensor([9.0, 0.0])

    host = CountedModel(safe)
    search = HillClimbing(threat=THREAT, queries=40, chains=2, local=True)
    attack = OnStairs(search, THREAT)
    found = attack.trace(host, batch_of(clean, LABELS))
    assert found.step.tolist() == [-1, 40, -1, 40]
    assert host.passes.snapshot() == (4 * 17 + 2 * 40, 0)
    assert torch.equal(found.images[[0, 2]], clean[[0, 2]])
    assert passes(attack, 10) == 40 + 17


def test_on_a_grid_nothing_is_attacked():
    threat = Threat(Linf(), 8 / 255, levels=256)
    clean = torch.full((2, 1, 4, 4), 128 / 255)
    host = CountedModel(stairs)
    found = OnStairs(pgd(threat), threat)(host, clean, LABELS[:2])
    assert torch.equal(found, clean)
    assert host.passes.snapshot() == (0, 0)


def test_alone_and_in_any_order_an_image_is_judged_the_same():
    attack = OnStairs(pgd(THREAT), THREAT)
    rng = Rng(0, torch.tensor([5, 6, 7, 8]))
    together = attack.bends(stairs, batch_of(CLEAN, LABELS, rng=rng), CLEAN)
    for rows in ([1], [3, 0]):
        batch = batch_of(CLEAN[rows], LABELS[rows], rng=Rng(0, rng.index[rows]))
        assert torch.equal(attack.bends(stairs, batch, CLEAN[rows]), together[rows])


def test_a_local_search_crosses_stairs_on_which_the_trial_gives_up():
    """Each pixel has to go to its own end of the ball, past stairs that change with every proposal: no ties."""
    signs = SLOPES.sign().reshape(1, 1, 4, 4)
    needed = float((stairs(CLEAN + 0.1 * signs)[:, 1] - stairs(CLEAN)[:, 1]).min()) * 0.9
    clean = CLEAN[:1].expand(3, -1, -1, -1).contiguous()
    base = float(stairs(clean)[0, 1])

    def model(x):
        rise = stairs(x)[:, 1]
        return torch.stack([torch.full_like(rise, base + needed), rise], 1)

    wide = HillClimbing(threat=THREAT, queries=4000)(model, clean, LABELS[:3])
    local = HillClimbing(threat=THREAT, queries=4000, chains=2, local=True)(model, clean, LABELS[:3])
    assert (model(wide).argmax(1) == 0).all()
    assert (model(local).argmax(1) == 1).all()
    assert THREAT.contains(local, clean, 1e-6).all()


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_that_tells_nothing_is_refused(share):
    with pytest.raises(InputError, match="share"):
        OnStairs(pgd(THREAT), THREAT, share)
