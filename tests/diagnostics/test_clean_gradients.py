import pytest
import torch
from torch import nn

from diagnostics.cases import Through, case_of, rounded
from quantattack.attacks.losses import cross_entropy
from quantattack.diagnostics.clean_gradients import clean_gradients, in_float64, limits
from quantattack.evaluation.gradient_health import alignment, raw_gradient


class Gaps(nn.Module):
    """Two classes; the image's first pixel times a factor is the margin."""

    def __init__(self, factor, dtype=torch.float32):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=dtype))

    def forward(self, x):
        gap = self.factor * x.flatten(1)[:, 0]
        return torch.stack([gap / 2, -gap / 2], 1)


def at(margins, dtype=torch.float32):
    x = torch.zeros(len(margins), 2, dtype=dtype)
    x[:, 0] = torch.tensor(margins, dtype=dtype) / 200
    return case_of(Gaps(200.0, dtype), x, torch.zeros(len(margins), dtype=torch.long))


def test_the_limits_are_the_known_ones():
    assert limits(torch.float32).rounded == pytest.approx(16.64, abs=0.01)
    assert limits(torch.float32).flushed == pytest.approx(87.34, abs=0.01)
    assert limits(torch.float32).zero == pytest.approx(103.97, abs=0.01)
    assert limits(torch.float16).rounded == pytest.approx(7.62, abs=0.01)
    assert limits(torch.bfloat16).rounded == pytest.approx(5.55, abs=0.01)
    assert limits(torch.float64).zero == pytest.approx(745.13, abs=0.01)


def test_beyond_the_last_limit_cross_entropy_has_no_gradient_and_the_log_odds_have():
    seen = clean_gradients(at([1.0, 50.0, 110.0, 180.0]))
    assert seen.zero.tolist() == [False, False, True, True]
    assert not seen.silent.any()
    assert seen.margin.tolist() == pytest.approx([1, 50, 110, 180], rel=1e-5)


def test_between_the_first_limits_the_true_class_is_lost():
    gaps = at([10.0, 20.0, 60.0])
    entry = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda a: cross_entropy(a[None], gaps.labels[:1])[0], a)
            for a in gaps.logits()
        ]
    )
    lost = entry[:, 0] == 0
    assert lost.tolist() == [gap > limits(torch.float32).rounded for gap in (10.0, 20.0, 60.0)]


def test_a_cut_path_and_a_flat_model_are_silent(probe_images, zoo):
    cut, flat = Through(zoo["float"], after=torch.Tensor.detach), rounded(zoo["float"], 5)
    for model, path in ((cut, False), (flat, True)):
        seen = clean_gradients(case_of(model, *probe_images))
        assert seen.silent.all()
        assert seen.path is path


def test_nan_gradients_are_counted(probe_images, zoo):
    broken = Through(zoo["float"], before=lambda x: x + 0 * (x - x).sqrt())
    assert clean_gradients(case_of(broken, *probe_images)).nan.all()


def test_batches_change_nothing(probe_images, zoo):
    one, other = (clean_gradients(case_of(zoo["mdtanhs"], *probe_images, batch_size=size)) for size in (16, 64))
    assert torch.equal(one.zero, other.zero)
    assert torch.equal(one.exact, other.exact)


def test_alignment_survives_tiny_gradients():
    grad = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    cosine, signs = alignment(grad * 1e-38, grad)
    assert cosine.tolist() == pytest.approx([1, 1, 1], abs=1e-3)
    assert signs.tolist() == [1, 1, 1]
    assert alignment(0 * grad, grad)[0].isnan().all()


def test_float64_agrees_on_an_honest_network(probe_images, zoo):
    case = case_of(zoo["float"], *probe_images)
    assert alignment(clean_gradients(case).exact, in_float64(case))[0].min() > 0.9999
    assert zoo["float"].head.weight.dtype == torch.float32


def test_a_raw_gradient_can_be_missing(probe_images):
    assert raw_gradient(lambda x: torch.ones(len(x), 2), probe_images[0], lambda a: a.sum(1)) is None
