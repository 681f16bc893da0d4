"""Each value that is changed in a record by hand is found by `verify`."""

import shutil
from pathlib import Path

import pytest
from torch import Tensor, nn

from quantattack import Linf, Record, Threat, evaluate, fgsm, load_data, load_model, pgd
from quantattack.data.sources import TensorSource
from quantattack.evaluation.verify import verify
from records import by_hand

COUNT, THREAT = 24, Threat(Linf(), 0.2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified") / "run"
    images, labels = load_data("digits")
    attacks = {"fgsm": fgsm(THREAT), "pgd": pgd(THREAT, steps=2)}
    settings = {"name": "digits-mdtanhs", "data": "digits", "keep_images": True, "out": folder}
    evaluate(load_model("digits-mdtanhs"), images[:COUNT], labels[:COUNT], attacks, THREAT, **settings).store.close()
    return folder


def wrong(folder: Path) -> tuple[str, ...]:
    images, labels = load_data("digits")
    record = Record.load(folder)
    try:
        source = TensorSource(images, labels)
        return verify(record, load_model("digits-mdtanhs"), source, THREAT).wrong
    finally:
        record.store.close()


CHANGES = {
    "threat": ("UPDATE cell SET threat = replace(threat, '0.2', '0.3')", "none of the run's settings"),
    "settings": ("UPDATE cell SET settings = replace(settings, '2', '3') WHERE attack = 'pgd'", "settings are others"),
    "attack": ("UPDATE cell SET attack = 'apgd' WHERE attack = 'pgd'", "none of the run's attacks"),
    "count": ("UPDATE cell SET images = 30", "it is of 30 images, and the run of 24"),
    "missing outcomes": ("DELETE FROM outcome WHERE image > 20", "marked as finished"),
    "strange image": ("UPDATE outcome SET image = 99 WHERE image = 23 AND cell = 1", "the run does not attack"),
    "missing shard row": ("DELETE FROM shard WHERE cell = 1", "its files list 0 attacked images"),
    "shard count": ("UPDATE shard SET images = images - 1", "attacked images, and"),
    "margin": ("UPDATE outcome SET margin = margin * 2", "has the margin"),
    "margin's sign": ("UPDATE outcome SET margin = -margin", "sign of the margin"),
    "size": ("UPDATE outcome SET size = size / 2 WHERE size > 0", "has a perturbation of"),
    "size beyond the threat": ("UPDATE outcome SET size = 1 WHERE size > 0", "larger than the threat allows"),
    "label of one attack": ("UPDATE outcome SET label = label + 1 WHERE cell = 2", "another label than under fgsm"),
    "clean prediction": ("UPDATE outcome SET clean_prediction = 9 WHERE cell = 2", "another clean prediction"),
    "cost": ("UPDATE outcome SET seconds = -1", "a cost is negative"),
}


def test_what_nobody_changed_is_confirmed(whole: Path):
    assert wrong(whole) == ()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found(change: str, whole: Path, tmp_path: Path):
    statement, words = CHANGES[change]
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    (folder / "lock").unlink()
    by_hand(folder, statement)
    assert any(words in line for line in wrong(folder))


def test_a_run_that_was_killed_before_its_first_outcome_is_verified(whole: Path, tmp_path: Path):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    by_hand(folder, "DELETE FROM outcome")
    by_hand(folder, "DELETE FROM shard")
    by_hand(folder, "UPDATE run SET value = 'no' WHERE key = 'finished'")
    assert wrong(folder) == ()


class Fixed(nn.Module):
    """A network that takes batches of one size only, like a graph that was exported with it."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.inner, self.rows = load_model("digits-mdtanhs"), rows

    def forward(self, images: Tensor) -> Tensor:
        if len(images) != self.rows:
            raise ValueError(f"{len(images)} rows")
        logits: Tensor = self.inner(images)
        return logits


@pytest.mark.parametrize("rows", [1, 16, 24])
def test_a_model_of_one_batch_size_is_verified(rows: int, tmp_path: Path):
    images, labels = load_data("digits")
    settings = {"keep_images": True, "out": tmp_path / "run", "batch_size": rows, "name": "fixed", "data": "digits"}
    model = Fixed(rows).eval()
    evaluate(model, images[:COUNT], labels[:COUNT], {"fgsm": fgsm(THREAT)}, THREAT, **settings).store.close()
    record = Record.load(tmp_path / "run")
    verified = verify(record, model, TensorSource(images, labels), THREAT)
    assert verified.wrong == ()
    assert verified.attacked > 0
    record.store.close()


def test_verify_pads_no_more_than_it_is_told(whole: Path):
    images, labels = load_data("digits")
    shown = list[int]()

    def model(batch: Tensor) -> Tensor:
        shown.append(len(batch))
        logits: Tensor = load_model("digits-mdtanhs")(batch)
        return logits

    for padding in (True, False):
        record = Record.load(whole)
        shown.clear()
        verify(record, model, TensorSource(images[:COUNT], labels[:COUNT]), THREAT, padding=padding)
        record.store.close()
        assert any(count % 8 for count in shown) is not padding
