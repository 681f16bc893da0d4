import pytest
import torch

from diagnostics.cases import Through, case_of
from quantattack.diagnostics import failures
from quantattack.diagnostics.plain_pgd import STEPS, Trajectory, follow_pgd
from quantattack.record.findings import Finding


def walk_of(values, fooled=None, silent=None):
    values = torch.tensor(values)
    none = torch.zeros_like(values, dtype=torch.bool)
    return Trajectory(
        values, none if fooled is None else fooled, none[:-1] if silent is None else silent, torch.zeros(0)
    )


@pytest.fixture
def case(zoo, probe_images):
    return case_of(zoo["float"], *probe_images)


def test_the_watched_walk_is_pgd(zoo, probe_images):
    from quantattack.attacks.recipes import pgd

    case = case_of(zoo["mdtanhs"], *probe_images)
    seen = follow_pgd(case)
    final = pgd(case.threat, steps=STEPS)(case.host, case.images, case.labels, rng=case.rng)
    assert torch.equal(case.host(final).argmax(1) != case.labels, seen.fooled.any(0))
    assert seen.values.shape == (STEPS + 1, len(case))


def test_batches_change_no_step(zoo, probe_images):
    one, other = (follow_pgd(case_of(zoo["mdtanhs"], *probe_images, batch_size=size)) for size in (16, 64))
    assert torch.equal(one.final, other.final)
    assert torch.equal(one.silent, other.silent)


def test_a_model_without_a_path_stands_still(zoo, probe_images):
    cut = case_of(Through(zoo["float"], after=torch.Tensor.detach), *probe_images)
    seen = follow_pgd(cut)
    assert seen.silent.all()
    assert seen.survivors.all()
    assert torch.equal(seen.final, cut.images)


def test_steps_without_a_gradient_are_counted_on_survivors_alone(case):
    fooled = torch.zeros(STEPS + 1, len(case), dtype=torch.bool)
    silent = torch.ones(STEPS, len(case), dtype=torch.bool)
    seen = Trajectory(torch.zeros(STEPS + 1, len(case)), fooled, silent, case.images)
    assert failures.unavailable_gradients(case, seen).code == "unavailable_gradients"
    fooled[-1] = True
    assert failures.unavailable_gradients(case, seen).verdict == "pass"


def test_a_jumping_loss_is_unstable(zoo, probe_images):
    torch.manual_seed(0)
    noisy = case_of(Through(zoo["float"], before=lambda x: x + 0.3 * torch.randn_like(x)), *probe_images)
    assert failures.unstable_loss(noisy, follow_pgd(noisy)).code == "unstable_loss"
    honest = case_of(zoo["bnn-waq"], *probe_images)
    assert failures.unstable_loss(honest, follow_pgd(honest)).verdict == "pass"


def test_a_success_that_the_last_iterate_lost_is_silent(case):
    fooled = torch.zeros(4, len(case), dtype=torch.bool)
    fooled[1] = True
    lost = Trajectory(torch.zeros(4, len(case)), fooled, torch.zeros(3, len(case)), case.images)
    assert failures.silent_success(case, lost).code == "silent_success"
    fooled[-1] = True
    assert failures.silent_success(case, lost).verdict == "pass"


def test_a_loss_that_still_rises_is_incomplete():
    rising = torch.linspace(0, 1, 21)[:, None].expand(-1, 8)
    flat = torch.cat([torch.linspace(0, 1, 5), torch.ones(16)])[:, None].expand(-1, 8)
    assert failures.incomplete(walk_of(rising.tolist())).code == "not_converged"
    assert failures.incomplete(walk_of(flat.tolist())).verdict == "pass"
    falling_back = flat - 0.5 * (torch.arange(21) % 2)[:, None]  # it swings below a best value that stands
    assert failures.incomplete(walk_of(falling_back.tolist())).verdict == "pass"


def test_nothing_transfers_to_a_model_that_is_differentiated(case):
    assert failures.transfer_failure(case, gradient=True).verdict == "pass"
    assert failures.transfer_failure(case, gradient=False).verdict == "cannot tell"


def test_a_far_float_network_is_told_from_a_near_one(zoo, probe_images):
    cut = Through(zoo["float"], after=torch.Tensor.detach)
    near = case_of(cut, *probe_images, relative=zoo["float"])
    assert failures.transfer_failure(near, gradient=False).verdict == "pass"
    elsewhere = Through(zoo["float"], before=lambda x: x.flip(2), after=lambda a: a)
    far = case_of(cut, *probe_images, relative=elsewhere, radius=0.02)
    assert failures.transfer_failure(far, gradient=False).code == "transfer_failure"


@pytest.mark.parametrize(("left", "verdict"), [(0, "pass"), (20, "fail")])
def test_an_attack_without_a_bound_reaches_zero(left, verdict):
    radius = Finding("larger radius", "pass", "", "", data={"left": left, "images": 40})
    assert failures.unconstrained(radius).verdict == verdict


def test_what_did_not_fit_is_unknown():
    assert failures.unconstrained(Finding("larger radius", "cannot tell", "", "")).verdict == "cannot tell"
