import pytest
import torch

from diagnostics.cases import Through, case_of, rounded
from quantattack.diagnostics.rounding import input_levels


@pytest.mark.parametrize("levels", [2, 4, 9, 17, 32])
@pytest.mark.parametrize("name", ["float", "bnn-waq"])
def test_the_levels_of_an_input_are_counted(zoo, probe_images, name, levels):
    assert input_levels(case_of(rounded(zoo[name], levels), *probe_images)) == levels


def test_uneven_levels_are_found_as_well(zoo, probe_images):
    bounds = torch.tensor([0.1, 0.15, 0.6])
    uneven = Through(zoo["float"], before=lambda x: torch.bucketize(x, bounds) / 3)
    assert input_levels(case_of(uneven, *probe_images)) == 4


@pytest.mark.parametrize("name", ["float", "mdtanhs", "bnn-waq"])
def test_a_network_that_rounds_inside_is_no_such_model(zoo, probe_images, name):
    assert input_levels(case_of(zoo[name], *probe_images)) is None


def test_pixels_of_a_file_are_no_such_rounding(zoo, probe_images):
    assert input_levels(case_of(rounded(zoo["float"], 256), *probe_images)) is None


def test_outputs_that_nothing_changes_are_no_rounding(zoo, probe_images):
    saturated = Through(zoo["float"], after=lambda logits: (1000 * logits).softmax(1))
    assert input_levels(case_of(saturated, *probe_images)) is None
    decided = Through(zoo["float"], after=lambda logits: torch.eye(10)[logits.argmax(1)])
    assert input_levels(case_of(decided, *probe_images)) is None
