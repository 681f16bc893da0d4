"""Sources give images by position; checksums tell data and models apart.  What is refused is in test_bad_input."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from networks import relu_network
from quantattack import Linf, Threat
from quantattack.data.sources import DatasetSource, TensorSource, digest, source_of
from quantattack.evaluation.checks import dataset_indices
from quantattack.evaluation.models import model_checksum

THREAT = Threat(Linf(), 0.1)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    return torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6)


def test_both_sources_give_the_same(pair: tuple[Tensor, Tensor]):
    for at in ([0], [5, 2], range(6)):
        taken = [source_of(*given).take(at) for given in (pair, (TensorDataset(*pair), None))]
        assert torch.equal(taken[0][0], taken[1][0])
        assert torch.equal(taken[0][1], taken[1][1])


def test_arrays_and_narrow_labels_are_taken(pair: tuple[Tensor, Tensor]):
    source = source_of(pair[0].numpy(), pair[1].numpy().astype(np.int16))
    assert isinstance(source, TensorSource)
    assert source.labels.dtype == torch.int64


class Labelled(Dataset[Any]):
    """One image, with a label of some integer type."""

    def __init__(self, label: Any) -> None:
        self.label = label

    def __len__(self) -> int:
        return 1

    def __getitem__(self, position: int) -> Any:
        return np.zeros((1, 4, 4), np.float32), self.label


INTEGERS = [3, np.int64(3), torch.tensor(3), np.uint8(3)]


@pytest.mark.parametrize("label", INTEGERS, ids=lambda label: type(label).__name__)
def test_a_data_set_s_labels_may_be_any_integer(label: Any):
    images, labels = DatasetSource(Labelled(label)).take([0])
    assert (images.shape, labels.tolist()) == ((1, 1, 4, 4), [3])


def test_a_data_set_is_held_to_the_threat_s_range():
    threat = Threat(Linf(), 0.5, low=-1.0, high=1.0)
    images = torch.full((2, 3), -0.5)
    assert torch.equal(
        source_of(TensorDataset(images, torch.zeros(2).long()), None, threat.low, threat.high).take([0, 1])[0], images
    )


def test_a_checksum_tells_data_apart(pair: tuple[Tensor, Tensor]):
    images, labels = pair
    moved = images.clone()
    moved[3, 0, 1, 1] += 1e-6
    sums = {TensorSource(x, y).checksum() for x, y in ((images, labels), (moved, labels), (images, labels.flip(0)))}
    assert len(sums) == 3
    assert TensorSource(images.clone(), labels.clone()).checksum() == TensorSource(images, labels).checksum()


def test_a_checksum_tells_models_apart():
    model = relu_network(0, (4,))
    changed = relu_network(0, (4,))
    with torch.no_grad():
        changed[1].bias[0] += 1e-6
    kinds = [model, changed, relu_network(1, (4,)), model.double(), nn.Sequential(*relu_network(0, (4,)), nn.Tanh())]
    assert len({model_checksum(kind) for kind in kinds[1:]}) == 4
    assert model_checksum(relu_network(0, (4,))) == model_checksum(relu_network(0, (4,)))


def test_a_checksum_sees_buffers_that_are_not_saved():
    models = []
    for mean in (0.0, 0.5):
        model = nn.Identity()
        model.register_buffer("mean", torch.tensor(mean), persistent=False)
        models.append(model)
    assert len({model_checksum(model) for model in models}) == 2


def test_a_digest_depends_on_names_types_shapes_and_values():
    x = torch.arange(4.0)
    kinds = [{"a": x}, {"b": x}, {"a": x.double()}, {"a": x.reshape(2, 2)}, {"a": x + 1}, {"a": x, "b": x}]
    assert len({digest(kind) for kind in kinds}) == len(kinds)
    assert digest({"a": x}) != digest({"a": x}, "salt")


def test_positions_are_the_indices_that_are_given():
    assert dataset_indices(None, 3).tolist() == [0, 1, 2]
    assert dataset_indices(np.array([7, 0, 3]), 3).tolist() == [7, 0, 3]
