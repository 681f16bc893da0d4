import math

import pytest
import torch

from quantattack.attacks.scaling.confidence import MaxConfidence
from quantattack.errors import InputError


@pytest.mark.parametrize("rho", [1e-15, 1e-9, 1e-5, 0.1, 0.2, 0.5])
def test_the_range_is_brought_to_one_size(rho):
    logits = torch.tensor([[5.0, 1.0, -3.0, 0.0], [1.0, 900.0, 2.0, 4.0]], dtype=torch.float64)
    scaled = MaxConfidence(rho).scale(logits, torch.tensor([0, 1]))
    wanted = -math.log(rho / (3 * (1 - rho)))
    assert torch.allclose(scaled.amax(1) - scaled.amin(1), torch.tensor([wanted] * 2, dtype=torch.float64))


@pytest.mark.parametrize("rho", [1e-9, 0.2])
def test_the_error_signal_is_rho_where_all_rivals_tie(rho):
    logits = torch.tensor([[7.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    p = torch.softmax(MaxConfidence(rho).scale(logits, torch.tensor([0])), 1)
    assert float(p[0, 1:].sum()) == pytest.approx(rho, rel=1e-9)


@pytest.mark.parametrize("rho", [1e-9, 0.2])
def test_the_error_signal_is_at_least_rho(rho):
    logits = 50 * torch.randn(64, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = torch.softmax(MaxConfidence(rho).scale(logits, logits.argmax(1)), 1)
    assert float((1 - p.amax(1)).min()) >= rho * (1 - 1e-6)


def test_a_wrong_image_and_equal_logits_are_left_alone():
    logits = torch.tensor([[5.0, 1.0, 0.0], [2.0, 2.0, 2.0]])
    assert torch.equal(MaxConfidence(1e-5).scale(logits, torch.tensor([1, 0])), logits)


@pytest.mark.parametrize("rho", [0.0, 1.0, -1.0, float("nan")])
def test_an_impossible_rho_is_refused(rho):
    with pytest.raises(InputError, match="rho must lie between 0 and 1"):
        MaxConfidence(rho)


def test_a_rho_too_large_for_the_classes_is_refused():
    with pytest.raises(InputError, match=r"rho must be under 0\.5 with 2 classes"):
        MaxConfidence(0.5).scale(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
