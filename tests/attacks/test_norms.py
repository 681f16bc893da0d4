"""Norms: projections against their optimality conditions and a generic solver, steps against closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.optimize import minimize, root_scalar
from torch import Tensor

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.losses import log_odds, margin
from quantattack.attacks.norms import L1, L2, Linf, at_most_one
from quantattack.attacks.recipes import LinearDecay, pgd, pgd_plus, pqgd, square
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.threat import Threat
from quantattack.attacks.transforms import Momentum
from quantattack.errors import InputError
from quantattack.rng import Rng

NORMS = pytest.mark.parametrize("norm", [Linf(), L2(), L1()], ids=lambda norm: type(norm).__name__)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, float]:
    """Perturbations, clean images that may lie at the ends of the range, and a radius."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 8)))
    clean = draw(
        npst.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1))
    )
    delta = draw(npst.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.3, -0.3]) | st.floats(-3, 3)))
    return torch.from_numpy(delta), torch.from_numpy(clean), draw(st.floats(0.01, 1.0))


# One pixel is at the end of its range while another vanishes: the norm is flat in λ there, and equals the radius.
FLAT = (torch.tensor([[0.3, 0, -1]]).double(), torch.tensor([[0, 0, 0.25]]).double(), 0.25)


def projected(norm, delta, clean, radius):
    return norm.project(delta, torch.full((len(delta),), radius, dtype=torch.float64), -clean, 1 - clean)


@NORMS
@given(problem=problems())
@example(problem=FLAT)
def test_projections_are_feasible_and_idempotent(norm, problem):
    delta, clean, radius = problem
    found = projected(norm, delta, clean, radius)
    assert (norm.size(found) <= radius * (1 + 1e-12)).all()
    assert (found >= -clean).all()
    assert (found <= 1 - clean).all()
    assert torch.allclose(projected(norm, found, clean, radius), found, atol=1e-9)


@NORMS
@given(problem=problems())
def test_what_is_inside_stays_as_it_is(norm, problem):
    delta, clean, radius = problem
    inside = delta.clamp(-clean, 1 - clean)
    inside = inside * (radius / norm.size(inside).clamp_min(radius))[:, None] * (1 - 1e-12)
    assert torch.equal(projected(norm, inside, clean, radius), inside)


@given(problem=problems())
def test_linf_projection_is_the_nearest_point_of_each_pixel(problem):
    delta, clean, radius = problem
    x = clean.numpy()
    expected = np.clip(delta.numpy(), np.maximum(-radius, -x), np.minimum(radius, 1 - x))
    assert np.array_equal(projected(Linf(), delta, clean, radius).numpy(), expected)


@given(problem=problems())
def test_l2_projection_meets_its_optimality_conditions(problem):
    """Minimizing |z - delta|^2 in ball and box: z = clip(delta / (1 + mu)), mu >= 0 and > 0 only on the sphere."""
    delta, clean, radius = problem
    found = projected(L2(), delta, clean, radius)
    for row, low, high, z in zip(delta, -clean, 1 - clean, found, strict=True):
        box = row.clamp(low, high)
        if box.norm() <= radius:
            expected = box
        else:
            gap = lambda mu, row=row, low=low, high=high: float((row / (1 + mu)).clamp(low, high).norm()) - radius  # noqa: E731
            expected = (row / (1 + root_scalar(gap, bracket=(0, 1e6), xtol=1e-15, rtol=1e-14).root)).clamp(low, high)
        assert torch.allclose(z, expected, atol=1e-7)


@given(problem=problems())
@example(problem=FLAT)
def test_l1_projection_meets_its_optimality_conditions(problem):
    """As for L2, with z = clip(soft(delta, lam)); lam by a solver that knows nothing of kinks."""
    delta, clean, radius = problem
    found = projected(L1(), delta, clean, radius)
    for row, low, high, z in zip(delta, -clean, 1 - clean, found, strict=True):
        soft = lambda lam, row=row, low=low, high=high: (row.sign() * (row.abs() - lam).clamp_min(0)).clamp(low, high)  # noqa: E731
        if soft(0).abs().sum() <= radius:
            expected = soft(0)
        else:
            gap = lambda lam, soft=soft: float(soft(lam).abs().sum()) - radius  # noqa: E731
            expected = soft(root_scalar(gap, bracket=(0, 4), xtol=1e-15, rtol=1e-14).root)
        assert torch.allclose(z, expected, atol=1e-9)


@pytest.mark.parametrize("norm", [L2(), L1()], ids=lambda norm: type(norm).__name__)
@pytest.mark.parametrize("seed", range(5))
def test_a_generic_solver_finds_no_nearer_point(norm, seed):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(1, 5, generator=generator, dtype=torch.float64)
    delta = torch.randn(1, 5, generator=generator, dtype=torch.float64)
    found = projected(norm, delta, clean, 0.5)
    # L1 as a smooth problem: z = p - q with p, q >= 0 and sum(p + q) <= radius
    split = isinstance(norm, L1)
    unpack = (lambda v: v[:5] - v[5:]) if split else (lambda v: v)
    size = (lambda v: 0.5 - v.sum()) if split else (lambda v: 0.25 - v @ v)
    low, high = -clean[0].numpy(), 1 - clean[0].numpy()
    bounds = [(0, h) for h in high] + [(0, -lo) for lo in low] if split else list(zip(low, high, strict=True))
    best = minimize(
        lambda v: ((unpack(v) - delta[0].numpy()) ** 2).sum(),
        np.zeros(10 if split else 5),
        bounds=bounds,
        constraints={"type": "ineq", "fun": size},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert np.allclose(unpack(best.x), found[0].numpy(), atol=1e-5)
    assert float((found - delta).square().sum()) <= best.fun + 1e-9


@NORMS
def test_each_image_has_a_radius_of_its_own(norm):
    delta, clean = torch.full((3, 4), 0.4), torch.full((3, 4), 0.5)
    radius = torch.tensor([0.1, 0.2, 10.0])
    found = norm.project(delta, radius, -clean, 1 - clean)
    assert torch.allclose(norm.size(found), torch.minimum(radius, norm.size(delta)))


@NORMS
@given(
    grad=npst.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 6)),
        elements=st.floats(-1, 1, width=32, allow_subnormal=True),
    ),
    exponent=st.integers(-37, 37),
)
def test_the_steepest_step_has_unit_size_and_the_largest_product(norm, grad, exponent):
    grad = torch.from_numpy(grad)
    step = norm.steepest(grad * 10.0**exponent)
    scaled = grad * 10.0**exponent
    assert torch.isfinite(step).all()
    nonzero = scaled.abs().amax(1) > 0
    assert torch.allclose(norm.size(step)[nonzero], torch.ones(int(nonzero.sum())), atol=1e-5)
    assert (step[~nonzero] == 0).all()
    shape = at_most_one(scaled).double()
    dual = {Linf: shape.abs().sum(1), L2: shape.norm(dim=1), L1: shape.abs().amax(1)}[type(norm)]
    assert torch.allclose((step.double() * shape).sum(1), dual, rtol=1e-5)


def test_the_l1_step_fills_the_largest_gradients_first():
    grad = torch.tensor([[3.0, -2.0, 1.0, 0.5]])
    step = L1().steepest(grad, torch.tensor([[0.3, 0.4, 0.9, 0.9]]))
    moved = step.sign() * torch.minimum(step.abs(), torch.tensor([[0.3, 0.4, 0.9, 0.9]]))
    assert torch.allclose(moved, torch.tensor([[0.3, -0.4, 0.3, 0.0]]))
    past = step.abs() - moved.abs()
    assert past[0, 0] > past[0, 1] > past[0, 2] == 0
    everything = L1().steepest(grad, torch.tensor([[0.1, 0.2, 0.1, 0.0]]))
    assert (everything.abs() >= torch.tensor([[0.1, 0.2, 0.1, 0.0]])).all()


@NORMS
def test_random_starts_fill_the_ball(norm):
    images = torch.full((4000, 3), 0.5)
    delta = Threat(norm, 0.1).sample(images, Rng(0, torch.arange(4000))) - images
    size = norm.size(delta) / 0.1
    assert size.max() <= 1 + 1e-6
    assert abs((size**3).mean() - 0.5) < 0.03  # volume grows with the cube: its share inside is uniform
    assert delta.mean(0).abs().max() < 0.005


@NORMS
def test_no_images_have_no_size(norm):
    none = torch.zeros(0, 1, 2, 2)
    assert norm.size(none).shape == (0,)
    assert norm.steepest(none).shape == none.shape
    assert Threat(norm, 0.1).project(none, none).shape == none.shape
    assert Threat(norm, 0.1).sample(none, Rng(0, torch.arange(0))).shape == none.shape


class Wide(torch.nn.Module):
    """A random network that has one class far ahead, so that no image ever leaves the walk."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.weight = torch.randn(3, pixels, generator=torch.Generator().manual_seed(pixels))

    def forward(self, images: Tensor) -> Tensor:
        ahead = torch.tensor([50.0, 0.0, 0.0], dtype=images.dtype)
        return (images.flatten(1) @ self.weight.to(images).T).sin() + ahead


def crowd(count: int, pixels: int, seed: int) -> Tensor:
    """Images on the 8-bit grid, at the ends of the range, tiny, and anywhere."""
    images = torch.rand(count, 1, 1, pixels, generator=torch.Generator().manual_seed(seed))
    quarter = count // 4
    images[:quarter] = (images[:quarter] * 255).round() / 255
    images[quarter : 2 * quarter] = images[quarter : 2 * quarter].round()
    images[2 * quarter : 3 * quarter] *= 1e-6
    return images


def walks(threat: Threat) -> list:
    """Every kind of walk and of step, short."""
    momentum = Ascent(
        threat=threat,
        step_size=LinearDecay(2 * threat.radius, 2),
        steps=2,
        loss=log_odds,
        transforms=(Momentum(),),
    )
    linf = [pqgd(threat, 10, steps=2), pqgd(threat, 1, steps=2)] if isinstance(threat.norm, Linf) else []
    return [
        pgd(threat, steps=1, step_size=threat.radius, loss=margin),
        pgd(threat, steps=3, loss=log_odds),
        pgd_plus(threat, Gap(), steps=2),
        pgd_plus(threat, Hns(16), steps=1),
        pgd_plus(threat, Fixed(0.05), steps=2),
        momentum,
        *linf,
        square(threat, 3),
    ]


def test_of_a_million_adversarial_images_none_is_outside():
    """Zero slack under Linf, 1e-6 of the radius under L2 and L1; judged in float64."""
    total = 0
    radii = {Linf(): (8 / 255, 0.1, 0.3), L2(): (0.3, 1.0), L1(): (0.5, 2.0)}
    for norm, several in radii.items():
        for number, radius in enumerate(several):
            threat, pixels = Threat(norm, radius), 4 + 2 * number
            images, model = crowd(22000, pixels, number), Wide(pixels)
            for attack in walks(threat):
                found = attack(model, images, torch.zeros(len(images), dtype=torch.long))
                assert found.dtype == torch.float32
                delta = (found.double() - images.double()).flatten(1)
                size = {Linf: delta.abs().amax(1), L2: delta.norm(dim=1), L1: delta.abs().sum(1)}[type(norm)]
                assert size.max() <= (radius if isinstance(norm, Linf) else radius * (1 + 1e-6))
                assert found.min() >= 0
                assert found.max() <= 1
                assert size.mean() > radius / 3 or radius > 0.5
                total += len(found)
    assert total >= 1_000_000


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf"), 1.5])
def test_a_radius_that_makes_no_ball_is_refused(radius):
    with pytest.raises(InputError, match="radius"):
        Threat(Linf(), radius)


def test_a_radius_beyond_every_image_is_refused():
    with pytest.raises(InputError, match="over the range"):
        Threat(L2(), 2.1).check((1, 2, 2))
    Threat(L2(), 2.0).check((1, 2, 2))
    Threat(L1(), 4.0).check((1, 2, 2))


def test_a_range_that_is_no_range_is_refused():
    with pytest.raises(InputError, match="low < high"):
        Threat(Linf(), 0.1, 1.0, 0.0)
