"""The grids that are found are those on which weights were put, and none where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantattack.deployed.export.levels import grid_of


@given(
    most=st.sampled_from([1, 3, 7, 15, 63, 127]),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 1000),
    channels=st.integers(1, 4),
)
def test_a_shared_grid_is_found_and_holds_every_entry(most, scale, seed, channels):
    rng = np.random.default_rng(seed)
    whole = rng.integers(-most, most + 1, (channels, 300))
    whole[0, 0], whole[0, 1] = most, 1
    weight = (whole * np.float32(scale)).astype(np.float32).astype(np.float64)
    grid = grid_of(weight)
    assert grid is not None
    assert grid.shared
    counts = weight / np.array(grid.steps)[:, None]
    assert np.abs(counts - counts.round()).max() < 1e-2
    assert np.abs(counts).max() <= 127.01
    assert np.abs(counts).round().sum(1).max() * 255 <= 2**24


def test_channels_may_have_a_step_each():
    signs = np.sign(np.random.default_rng(0).standard_normal((3, 50)))
    grid = grid_of(signs * np.array([[0.1], [0.25], [7.0]]))
    assert not grid.shared
    assert [0.1 / grid.steps[0], 0.25 / grid.steps[1], 7 / grid.steps[2]] == pytest.approx([64, 64, 64])


def test_a_channel_of_zeros_has_a_grid_and_steps_are_no_finer_than_exact_sums_allow():
    signs = np.ones((2, 60_000))
    signs[1] = 0
    grid = grid_of(signs)
    assert grid.steps == (1.0, 1.0)  # 60,000 products with 255 leave no room for a finer step


def test_float_weights_have_none():
    assert grid_of(np.random.default_rng(0).standard_normal((4, 9))) is None
    mixed = np.ones((2, 100))
    mixed[1] = np.random.default_rng(1).standard_normal(100)
    assert grid_of(mixed) is None
