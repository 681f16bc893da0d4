"""Cells of sign patterns: a point of a cell has its pattern, and what is called empty is empty."""

import pytest
import torch

from quantattack.attacks.cells import Cells

LINE = torch.linspace(0, 1, 401, dtype=torch.float64)


def patterns_on_a_grid(slopes, offsets):
    """All patterns that points of a fine grid of the square have, as rows of bools."""
    points = torch.cartesian_prod(LINE, LINE)
    return {tuple(row) for row in (points @ slopes.T + offsets > 0).tolist()}


def every_pattern(units):
    return torch.cartesian_prod(*[torch.tensor([False, True])] * units)


@pytest.mark.parametrize("seed", range(5))
def test_cells_of_the_square_are_those_that_a_fine_grid_meets(seed):
    generator = torch.Generator().manual_seed(seed)
    slopes = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    offsets = -(slopes @ torch.rand(2, 5, generator=generator, dtype=torch.float64)).diagonal()
    cells, met, found = Cells(slopes, offsets), patterns_on_a_grid(slopes, offsets), set()
    for pattern in every_pattern(5):
        point = cells.point(pattern) if cells.may_hold(pattern[None])[0] else None
        if point is not None:
            assert ((point >= 0) & (point <= 1)).all()
            assert torch.equal(slopes @ point + offsets > 0, pattern)
            found.add(tuple(pattern.tolist()))
    assert met <= found
    assert len(found) < 32
    assert len(cells.conflicts) < 32 - len(found)  # one conflict rules out several patterns


def test_a_conflict_names_the_signs_that_exclude_each_other_alone():
    slopes = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    cells = Cells(slopes, torch.tensor([-0.3, -0.6, -0.5], dtype=torch.float64))
    assert cells.point(torch.tensor([False, True, True])) is None  # z < 0.3 and z > 0.6
    assert cells.conflicts.tolist() == [[-1.0, 1.0, 0.0]]
    held = cells.may_hold(torch.tensor([[False, True, False], [True, True, True], [False, False, True]]))
    assert held.tolist() == [False, True, True]


def test_a_cell_thinner_than_rounding_counts_as_empty():
    slopes = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
    for width, empty in ((1e-6, True), (1e-3, False)):
        cells = Cells(slopes.clone(), torch.tensor([-0.5, -0.5 - width], dtype=torch.float64))
        assert (cells.point(torch.tensor([True, False])) is None) is empty


def test_the_scale_of_a_unit_changes_nothing():
    slopes, offsets = torch.tensor([[2.0, -1.0], [0.5, 3.0]]).double(), torch.tensor([-0.4, -1.0]).double()
    scale = torch.tensor([1e-6, 1e6]).double()
    point = Cells(slopes, offsets).point(torch.tensor([True, False]))
    again = Cells(slopes * scale[:, None], offsets * scale).point(torch.tensor([True, False]))
    assert torch.allclose(point, again)


def test_a_pattern_that_is_forbidden_stays_out():
    cells = Cells(torch.eye(2).double(), torch.tensor([-0.5, -0.5]).double())
    pattern = torch.tensor([True, False])
    assert cells.point(pattern) is not None
    cells.forbid(pattern, torch.ones(2, dtype=torch.bool))
    assert cells.may_hold(every_pattern(2)).tolist() == [True, True, False, True]
