"""Square: no gradient asked, proposals at the ends of the ball, and an easy model falls."""

from itertools import pairwise

import pytest
import torch

from networks import relu_network
from quantattack.attacks.base import batch_of
from quantattack.attacks.losses import margin
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.recipes import square
from quantattack.attacks.square import Square, as_planes, changed_share
from quantattack.attacks.success import hits
from quantattack.attacks.threat import Threat
from quantattack.attacks.windows import bump, moved_norm, tiles, window
from quantattack.errors import InputError
from quantattack.rng import Rng

THREATS = pytest.mark.parametrize(
    "threat", [Threat(Linf(), 0.1), Threat(L2(), 1.0), Threat(L1(), 8.0)], ids=lambda threat: type(threat.norm).__name__
)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@THREATS
def test_it_runs_on_a_callable_without_autograd(threat, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("autograd was asked")

    monkeypatch.setattr(torch.autograd, "grad", forbidden)
    monkeypatch.setattr(torch.Tensor, "backward", forbidden)
    asked = []

    def table(x):
        asked.append(torch.is_grad_enabled())
        values = x.detach().numpy().reshape(len(x), -1)
        return torch.from_numpy(values[:, :3].copy()) - torch.tensor([0.0, 9.0, 9.0])

    clean = images(5, 1, 4, 4)
    found = square(threat, 20)(table, clean, torch.zeros(5, dtype=torch.long))
    assert threat.contains(found, clean, 1e-6).all()
    assert len(asked) == 20
    assert not any(asked)


@THREATS
def test_an_easy_model_falls(threat):
    """The class is the sign of the difference between the upper and the lower half."""
    clean = 0.45 + 0.1 * images(8, 1, 8, 8)
    weight = torch.ones(1, 8, 8)
    weight[:, 4:] = -1
    reach = threat.radius * {Linf: 64, L2: 8, L1: 1}[type(threat.norm)]  # the most that a ball allows

    def model(x):
        score = ((x - clean.mean()) * weight).flatten(1).sum(1) / reach - 0.35
        return torch.stack([-score, score], 1)

    labels = torch.zeros(8, dtype=torch.long)
    assert (model(clean).argmax(1) == 0).all()
    found = square(threat, 300).trace(model, batch_of(clean, labels))
    fooled = model(found.images).argmax(1) == 1
    assert fooled.float().mean() > 0.9
    assert threat.contains(found.images, clean, 1e-6).all()
    assert torch.equal(fooled, found.step < 300)


def test_linf_proposals_stay_at_the_ends_of_the_ball(network):
    threat, clean = Threat(Linf(), 0.1), images(8, 1, 4, 4)
    seen = []

    def watching(x):
        seen.append(x)
        return network(x)

    labels = network(clean).argmax(1)
    Square(threat=threat, queries=30, solved=lambda logits, labels: labels < 0)(watching, clean, labels)
    assert len(seen) == 30
    ends = torch.stack([(clean - 0.1).clamp_min(0), (clean + 0.1).clamp_max(1)])
    for x in seen:
        assert (x - ends).abs().amin(0).max() < 1e-6


@THREATS
def test_only_proposals_with_a_smaller_margin_are_kept(threat, network):
    clean = images(8, 1, 4, 4)
    labels = network(clean).argmax(1)
    tiny = Threat(threat.norm, threat.radius / 50)
    margins = [margin(network(square(tiny, queries)(network, clean, labels)), labels) for queries in (1, 5, 20, 60)]
    for earlier, later in pairwise(margins):
        assert (later >= earlier - 1e-6)[earlier < 0].any()
    assert margins[-1].mean() > margins[0].mean()


def test_fooled_images_cost_nothing_more(network):
    clean = images(12, 1, 4, 4)
    labels = network(clean).argmax(1)
    rows = []

    def counted(x):
        rows.append(len(x))
        return network(x)

    found = square(Threat(Linf(), 0.1), 40).trace(counted, batch_of(clean, labels))
    assert sum(rows) == int((found.step + 1).clamp_max(40).sum())
    assert rows[0] == 12 > rows[-1]


@THREATS
def test_an_image_that_gains_nothing_is_given_up(threat):
    """A model with the same logits everywhere: one first query, and then its patience."""
    asked = []

    def model(x):
        asked.append(len(x))
        return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    found = square(threat, 50, patience=7).trace(model, batch_of(images(3, 1, 6, 6), torch.zeros(3, dtype=torch.int64)))
    assert asked == [3] * 8
    assert found.step.tolist() == [50] * 3


def test_a_target_is_approached(network):
    """With targets for labels the search is for a larger logit of the target, not a smaller one."""
    clean = images(8, 1, 4, 4)
    targets = network(clean).argmin(1)
    attack = Square(threat=Threat(Linf(), 0.05), queries=40, solved=hits)
    assert (margin(network(attack(network, clean, targets)), targets) < margin(network(clean), targets)).all()


def test_patience_that_never_ends_changes_nothing(network):
    batch = images(6, 1, 4, 4)
    labels, threat = network(batch).argmax(1), Threat(Linf(), 0.05)
    patient, plain = square(threat, 40, patience=41), square(threat, 40)
    assert torch.equal(patient(network, batch, labels), plain(network, batch, labels))


def test_a_tie_is_no_success():
    """Two identical rows tie everywhere: the first of them is predicted, so nothing is fooled."""
    tied = lambda x: torch.stack([x.flatten(1).sum(1), x.flatten(1).sum(1), -x.flatten(1).sum(1)], 1)  # noqa: E731
    clean = images(4, 1, 4, 4)
    found = square(Threat(Linf(), 0.1), 10).trace(tied, batch_of(clean, torch.zeros(4, dtype=torch.long)))
    assert (found.step == 10).all()


@pytest.mark.parametrize("shape", [(5,), (4, 4), (1, 1, 1), (3, 2, 7), (3, 9, 2), (2, 3, 3, 3)], ids=str)
@THREATS
def test_any_image_shape_is_searched(threat, shape):
    network = relu_network(0, shape)
    clean = images(3, *shape)
    small = Threat(threat.norm, 0.02)
    found = square(small, 25)(network, clean, network(clean).argmax(1))
    assert found.shape == clean.shape
    assert small.contains(found, clean, 0.0 if isinstance(threat.norm, Linf) else 1e-6).all()
    assert not torch.equal(found, clean)


@pytest.mark.parametrize("norm", [L2(), L1()])
def test_l2_and_l1_proposals_use_the_whole_length(network, norm):
    threat, clean = Threat(norm, 0.2), 0.4 + 0.2 * images(8, 1, 4, 4)  # away from the range
    sizes = []

    def watching(x):
        sizes.append(threat.norm.size(x - clean))
        return network(x)

    Square(threat=threat, queries=40, solved=lambda logits, labels: labels < 0)(
        watching, clean, network(clean).argmax(1)
    )
    assert torch.stack(sizes).min() > 0.2 * (1 - 1e-4)


def test_the_share_is_halved_on_the_published_schedule():
    table = {0: 1, 10: 1, 11: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256, 8001: 512}
    for query, divisor in table.items():
        assert changed_share(query, 10000, 0.8) == pytest.approx(0.8 / divisor)
        assert changed_share(query // 2 + query % 2, 5000, 0.8) == pytest.approx(0.8 / divisor)


def test_windows_cover_the_image_evenly():
    clean = torch.zeros(4000, 1, 5, 6)
    inside = window(clean, 3, Rng(0, torch.arange(4000)), 2)
    assert inside.shape == (4000, 1, 5, 6)
    assert (inside.flatten(1).sum(1) == 9).all()
    share = inside.float().mean(0)[0]
    rows, columns = torch.tensor([1.0, 2, 3, 2, 1]) / 3, torch.tensor([1.0, 2, 3, 3, 2, 1]) / 4
    assert (share - rows[:, None] * columns).abs().max() < 0.035


@pytest.mark.parametrize("norm", [L2(), L1()])
def test_a_proposal_moves_the_norm_of_one_window_to_another(norm):
    """What leaves the source, and only that, arrives in the target: pixels outside both keep their share."""
    clean = torch.full((6, 1, 9, 9), 0.5)
    rng, radius = Rng(0, torch.arange(6)), torch.full((6,), 0.3)
    best = clean + 0.3 * tiles(clean, rng, norm) / norm.size(tiles(clean, rng, norm))[:, None, None, None]
    moved = moved_norm(clean, best, radius, 0.1, rng, 3, norm)
    assert norm.size(moved - clean).numpy() == pytest.approx(0.3, abs=1e-6)
    outside = ~(window(clean, 3, rng, 12) | window(clean, 3, rng, 14)).expand_as(clean)
    assert ((moved - best).abs() < 1e-6)[outside].all()
    assert ((moved - best).abs() > 1e-3).flatten(1).any(1).all()


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("norm", [L2(), L1()])
def test_the_pattern_is_two_opposite_peaks_of_unit_norm(side, norm):
    pattern = bump(side, side, torch.zeros(1), norm)
    assert pattern.shape == (side, side)
    assert float(norm.size(pattern[None])) == pytest.approx(1, abs=1e-6)
    if side > 1:
        half = side // 2 + side % 2
        assert (pattern[:half] > 0).all()
        assert (pattern[half:] < 0).all()


def test_planes_of_images_of_any_rank():
    assert as_planes(torch.zeros(2, 5)).shape == (2, 1, 1, 5)
    assert as_planes(torch.zeros(2, 3, 4)).shape == (2, 1, 3, 4)
    assert as_planes(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 4, 5)
    assert as_planes(torch.zeros(0, 3, 4, 5, 6)).shape == (0, 3, 20, 6)


def test_settings_that_make_no_search_are_refused():
    for queries in (0, -5, True):
        with pytest.raises(InputError, match="queries"):
            square(Threat(Linf(), 0.1), queries)
    with pytest.raises(InputError, match="patience"):
        square(Threat(Linf(), 0.1), 10, patience=0)
    assert Square(threat=Threat(Linf(), 0.1)).queries == 5000


class Stairs(torch.nn.Module):
    """A margin that falls in steps of the mean pixel, as behind activations of few values."""

    def forward(self, x):
        level = (x.flatten(1).mean(1) * 40).floor() / 40
        return torch.stack([0.6 - level, level], 1)


def test_ties_cross_flat_steps():
    threat, clean = Threat(Linf(), 0.25), 0.25 + 0.01 * images(8, 1, 8, 8)
    labels, left = torch.zeros(8, dtype=torch.long), {}
    for ties in (None, True):
        attack = Square(threat=threat, queries=60, ties=ties)
        left[ties] = (Stairs()(attack(Stairs(), clean, labels)).argmax(1) == 0).sum()
    assert left[True] < left[None]


def test_with_ties_no_proposal_is_empty():
    """One pixel: the best image sits at one end, and every proposal is the other end."""
    seen = []

    def model(x):
        seen.append(x.clone())
        return torch.tensor([[1.0, 0.0]]).expand(len(x), 2) - x.flatten(1) * torch.tensor([1.0, 0.0])

    attack = Square(threat=Threat(Linf(), 0.1), queries=20, ties=True)
    attack(model, torch.full((1, 1, 1, 1), 0.5), torch.zeros(1).long())
    best = seen[1]
    for proposal in seen[2:]:
        assert not torch.equal(proposal, best)
        best = torch.maximum(best, proposal)


def test_ties_that_gain_nothing_count_in_full_after_a_while():
    """250 ties count 0.2 each, 50 together, and those after them 1 each, as far as the patience of 100."""
    asked = []

    def flat(x):
        asked.append(len(x))
        return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    attack = Square(threat=Threat(Linf(), 0.1), queries=1000, ties=True, patience=100)
    attack(flat, images(2, 1, 6, 6), torch.zeros(2, dtype=torch.int64))
    assert len(asked) == 1 + 1 + 250 + 50  # the clean image and the start, which gains


def test_a_gain_below_half_a_percent_of_the_clean_margin_does_not_renew_the_patience():
    asked = []

    def creeping(x):
        asked.append(len(x))
        return torch.tensor([[1.0 - 1e-5 * len(asked), 0.0]]).expand(len(x), 2)

    attack = Square(threat=Threat(Linf(), 0.1), queries=400, ties=True, patience=30)
    attack(creeping, images(1, 1, 6, 6), torch.zeros(1, dtype=torch.int64))
    assert len(asked) == 2 + 30


def test_the_share_falls_over_the_schedule_and_not_over_the_queries():
    assert changed_share(300, 600, 0.8) == changed_share(1000, 2000, 0.8)
    with pytest.raises(InputError, match="schedule"):
        Square(threat=Threat(Linf(), 0.1), schedule=0)


@pytest.mark.parametrize("ties", [None, True])
def test_its_stated_passes_are_those_that_an_image_takes_which_never_falls(ties):
    asked = []

    def flat(x):
        asked.append(len(x))
        return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    attack = Square(threat=Threat(Linf(), 0.1), queries=20, ties=ties)
    attack(flat, images(1, 1, 6, 6), torch.zeros(1, dtype=torch.int64))
    assert sum(asked) == attack.passes(2)
