"""A diagnosis has the grid that an evaluation has: a deployed model's by default, any other's when it is asked for."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import quantattack as qa
from deployed.fake import Write
from quantattack.attacks.threat import Threat
from quantattack.deployed.load import load
from quantattack.diagnostics.diagnose import Diagnosis, diagnose
from quantattack.diagnostics.recording import record_diagnosis
from quantattack.errors import InputError
from quantattack.record.store import Store

THREAT = Threat("linf", 0.1)  # 25.5 levels
BUDGET = 80
pytestmark = pytest.mark.usefixtures("unchecked")


class Network(nn.Module):
    """A network, which is one of two implementations where it says so."""

    def __init__(self, twinned: bool) -> None:
        super().__init__()
        self.network, self.twinned = qa.load_model("digits-float"), twinned
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def bytes_of_digits(count: int = 20) -> tuple[Tensor, Tensor]:
    images, labels = qa.load_data("digits")
    return (255 * images[:count]).round() / 255, labels[:count]


def found(model: nn.Module, pixels: bool | None, threat: Threat = THREAT) -> Diagnosis:
    return diagnose(model, *bytes_of_digits(), threat, budget=BUDGET, pixels=pixels)


@pytest.mark.parametrize(("pixels", "plain", "deployed"), [(None, None, 256), (False, None, None), (True, 256, 256)])
def test_a_deployed_model_alone_has_a_grid_without_a_word(pixels: bool | None, plain: int | None, deployed: int | None):
    assert found(Network(False), pixels).threat.levels == plain
    assert found(Network(True), pixels).threat.levels == deployed


def test_levels_that_the_threat_states_are_kept():
    threat = Threat("linf", 0.1, levels=52)
    images, labels = bytes_of_digits()
    images = (51 * images).round() / 51
    for pixels in (None, False, True):
        assert diagnose(Network(True), images, labels, threat, budget=BUDGET, pixels=pixels).threat == threat


def test_images_that_are_no_bytes_have_no_grid_unless_it_is_asked_for():
    images, labels = qa.load_data("digits")  # of 17 levels
    assert diagnose(Network(True), images[:20], labels[:20], THREAT, budget=BUDGET).threat == THREAT
    with pytest.raises(InputError, match="not on the grid of 256 levels"):
        diagnose(Network(True), images[:20], labels[:20], THREAT, budget=BUDGET, pixels=True)


class Between(Network):
    """Is fooled where the pixels rise by more than one and a half levels on average."""

    def forward(self, images: Tensor) -> Tensor:
        risen = 255 * images.flatten(1).mean(1) - 101.5
        return torch.stack([torch.zeros_like(risen), risen], 1)


def test_the_number_in_doubt_is_that_of_the_grid():
    images, labels = torch.full((20, 1, 8, 8), 100 / 255), torch.zeros(20, dtype=torch.int64)
    threat = Threat("linf", 1.9 / 255)
    free, grid = (diagnose(Between(True), images, labels, threat, budget=BUDGET, pixels=p) for p in (False, None))
    assert (free.clean, free.pgd, free.worst) == (1, 0, 0)
    assert (grid.clean, grid.pgd, grid.worst) == (1, 1, 1)


def test_the_record_states_the_levels_that_were_searched(fake: Write, tmp_path: Path):
    model, (images, labels) = load(fake()), bytes_of_digits()
    diagnosis = diagnose(model, images, labels, THREAT, budget=200)
    for _ in range(2):  # into a new record, and into the same
        record_diagnosis(diagnosis, tmp_path / "run", model, images, labels, THREAT)
    store = Store.load(tmp_path / "run")
    (record,) = store.records()
    assert record.threat["levels"] == 256
    sizes = torch.tensor(record.column("pgd", "size")) * 255
    assert torch.equal(sizes, sizes.round())
    assert record.robust("pgd") == pytest.approx(diagnosis.pgd)
    assert set(store.notes["diagnosis"]) == {"images", "clean", "pgd", "worst", "forwards", "backwards"}
    store.close()
    free = diagnose(model, images, labels, THREAT, budget=BUDGET, pixels=False)
    with pytest.raises(InputError, match="no evaluation of model"):
        record_diagnosis(free, tmp_path / "run", model, images, labels, THREAT)
