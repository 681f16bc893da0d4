"""The engine shows a model safe row counts and counts every pass."""

import copy

import pytest
import torch
from torch import Tensor, nn

from networks import relu_network
from quantattack.evaluation.models import CountedModel, Passes, padded
from quantattack.gradients import placement


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Seen(nn.Module):
    """A linear model that remembers how many rows it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.rows = nn.Linear(4, 3), list[int]()

    def forward(self, images: Tensor) -> Tensor:
        self.rows.append(len(images))
        return self.head(images)


@pytest.mark.parametrize("rows", [1, 7, 15, 16, 17, 23, 24, 100, 500])
def test_a_model_sees_safe_row_counts_and_answers_for_its_own(rows: int):
    model, images = Seen().eval(), torch.rand(rows, 4)
    logits = CountedModel(model)(images)
    assert model.rows == [max(16, -(-rows // 8) * 8)]
    assert logits.shape == (rows, 3)
    assert torch.allclose(logits, model.head(images))


def test_padding_is_copies_of_the_first_image_at_the_end():
    images = torch.rand(3, 2, 2)
    shown = padded(images)
    assert torch.equal(shown[:3], images)
    assert torch.equal(shown[3:], images[:1].expand(13, 2, 2))
    assert padded(shown) is shown


def test_passes_are_counted_in_rows_of_the_caller():
    host = CountedModel(relu_network(0, (4,)))
    with torch.no_grad():
        host(torch.rand(5, 4))
    assert host.passes.snapshot() == (5, 0)
    x = torch.rand(3, 4, requires_grad=True)
    logits = host(x)
    assert host.passes.snapshot() == (8, 0)
    for k in range(10):
        torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)
    assert host.passes.snapshot() == (8, 30)


def test_the_padding_takes_no_part_in_a_gradient():
    model = relu_network(0, (4,))
    x = torch.rand(3, 4, requires_grad=True)
    (hosted,) = torch.autograd.grad(CountedModel(model)(x).sum(), x)
    (bare,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.allclose(hosted, bare)


def test_a_view_shows_fewer_rows_at_once_and_changes_nothing():
    model, images = Seen().eval(), torch.rand(70, 4)
    host = CountedModel(model)
    view = host.showing(32)
    with torch.no_grad():
        assert torch.allclose(view(images), host(images))
    assert max(model.rows[:-1]) <= 32
    assert model.rows[-1] == 72
    assert host.width is None
    assert host.passes.snapshot() == (140, 0)


def test_a_view_may_count_for_itself_and_tell_who_watches():
    told: list[int] = []
    host = CountedModel(relu_network(0, (4,)))
    view = host.showing(16, Passes(told.append))
    with torch.no_grad():
        view(torch.rand(40, 4))
    assert told == sorted(told)
    assert told[-1] == 40
    assert host.passes.snapshot() == (0, 0)


def test_a_copy_counts_for_the_original():
    host = CountedModel(relu_network(0, (4,)))
    twin = copy.deepcopy(host).double()
    twin(torch.rand(2, 4, dtype=torch.float64))
    assert host.passes.snapshot() == (2, 0)
    assert next(host.parameters()).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_images_go_where_the_parameters_are(dtype: torch.dtype):
    assert placement(relu_network(0, (4,)).to(dtype)) == (torch.device("cpu"), dtype)
    assert placement(torch.flatten) == (torch.device("cpu"), torch.float32)
    assert placement(nn.BatchNorm1d(3, affine=False).to(dtype))[1] == dtype
