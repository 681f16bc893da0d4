"""A run goes on with the same model on the same data, and with nothing else; records of before go on too."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from quantattack import InputError, Linf, Record, Threat, evaluate, load_data, load_model, pgd
from quantattack.data.sources import DatasetSource
from quantattack.evaluation.source_code import source_digest
from quantattack.record.identity import begins
from records import by_hand

THREAT = Threat(Linf(), 0.15)
ATTACKS = {"pgd": pgd(THREAT, steps=2)}
NETWORK = load_model("digits-float")


class Items(Dataset[Any]):
    """The digits, of which some are changed."""

    def __init__(self, count: int = 64, changes: tuple[int, ...] = (), *, labels: bool = False) -> None:
        images, labels_ = load_data("digits")
        self.images, self.labels = images[:count].clone(), labels_[:count].clone()
        for at in changes:
            if labels:
                self.labels[at] = (self.labels[at] + 1) % 10
            else:
                self.images[at] = self.images[at].flip(-1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Any:
        return self.images[position], int(self.labels[position])


def run(model: Any, folder: Path, data: Any = None) -> Record:
    return evaluate(model, Items() if data is None else data, None, ATTACKS, THREAT, out=folder)


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("changes", [(0,), (1,), (31,), (62,), (63,), tuple(range(20, 36))], ids=str)
def test_other_data_is_another_run(changes: tuple[int, ...], labels: bool, tmp_path: Path):
    run(NETWORK, tmp_path)
    run(NETWORK, tmp_path, Items())
    with pytest.raises(InputError, match="its data"):
        run(NETWORK, tmp_path, Items(64, changes, labels=labels))


def test_the_checksum_of_a_long_data_set_covers_items_at_even_distances():
    class Long(Items):
        def __init__(self, changed: range) -> None:
            super().__init__(64)
            self.asked, self.changed = list[int](), changed

        def __len__(self) -> int:
            return 100_000

        def __getitem__(self, position: int) -> Any:
            self.asked.append(position)
            image, label = super().__getitem__(position % 64)
            return (image.flip(-1) if position in self.changed else image), label

    long = Long(range(0))
    checksum = DatasetSource(long).checksum()
    assert len(set(long.asked)) == 1024
    assert {0, 99_999} <= set(long.asked)
    assert DatasetSource(Long(range(50_000, 51_000))).checksum() != checksum
    assert begins(checksum.rpartition(":")[0], checksum)


def straight(images: Tensor) -> Tensor:
    return NETWORK(images)


def reversed_gradient(images: Tensor) -> Tensor:
    logits = NETWORK(images)
    return 2 * logits.detach() - logits


def halved_gradient(images: Tensor) -> Tensor:
    logits = NETWORK(images)
    return (logits + logits.detach()) / 2


def detached(images: Tensor) -> Tensor:
    return NETWORK(images.detach())


def noisy_gradient(images: Tensor) -> Tensor:
    logits = NETWORK(images)
    return logits + (logits - logits.detach()) * torch.rand(1)


OTHERS = [reversed_gradient, halved_gradient, detached, noisy_gradient]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
def test_a_callable_of_another_gradient_is_another_model(
    other: Callable[[Tensor], Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for function in (straight, other):
        monkeypatch.setattr(function, "__qualname__", "model")
    monkeypatch.setattr("quantattack.evaluation.models.source_digest", lambda model: "")
    run(straight, tmp_path)
    run(straight, tmp_path)
    with pytest.raises(InputError, match="its model differs"):
        run(other, tmp_path)


SOURCE = '''
import torch
from quantattack import load_model

class Mine(torch.nn.Module):
    """{docstring}"""

    def __init__(self):
        super().__init__()
        self.network = load_model("digits-float")

    def forward(self, images):
        {comment}
        return self.network(images) {more}
'''


def made(folder: Path, name: str, **parts: str) -> nn.Module:
    settings = {"docstring": "One.", "comment": "# one", "more": "", **parts}
    path = folder / f"{name}.py"
    path.write_text(SOURCE.format(**settings))
    space: dict[str, Any] = {"__name__": name}
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    space.update(vars(module))
    model: nn.Module = space["Mine"]().eval()
    return model


def test_a_module_of_another_source_is_another_model(tmp_path: Path):
    first = made(tmp_path, "first")
    run(first, tmp_path / "run")
    run(made(tmp_path, "second", docstring="Two.", comment="# two"), tmp_path / "run")
    with pytest.raises(InputError, match="its model differs"):
        run(made(tmp_path, "third", more="+ 0"), tmp_path / "run")


def test_source_of_packages_and_of_nothing_does_not_count():
    assert source_digest(nn.Sequential(nn.Linear(2, 2))) == ""
    assert source_digest(NETWORK) == ""
    assert source_digest(straight) != source_digest(detached) != ""
    assert source_digest(lambda images: straight(images)) != ""


def test_a_record_of_before_is_continued(tmp_path: Path):
    run(NETWORK, tmp_path)
    with sqlite3.connect(tmp_path / "record.sqlite") as connection:
        (text,) = connection.execute("SELECT value FROM run WHERE key = 'identity'").fetchone()
        identity = json.loads(text)
        (subject,) = identity["subjects"]
        name, checksum, mark = subject["model"]
        subject["model"] = [name, checksum, ":".join(mark.split(":")[:3])]
        subject["data"][2] = ":".join(subject["data"][2].split(":")[:3])
        old = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        by_hand(connection, "UPDATE run SET value = ? WHERE key = 'identity'", (old,))
    connection.close()
    run(NETWORK, tmp_path)
    with sqlite3.connect(tmp_path / "record.sqlite") as connection:
        assert connection.execute("SELECT value FROM run WHERE key = 'identity'").fetchone() == (old,)
        assert connection.execute("SELECT value FROM run WHERE key = 'finished'").fetchone() == ("yes",)
    connection.close()
    evaluate(NETWORK, Items(), None, {"more": pgd(THREAT, steps=3)}, THREAT, out=tmp_path, grow=True)
    with pytest.raises(InputError, match=r"holds another run .*data"):
        run(NETWORK, tmp_path, Items(64, (0,)))


@pytest.mark.parametrize(
    ("recorded", "now", "same"),
    [
        ("a", "a", True),
        ("a", "a:b", True),
        ("a:b", "a", False),
        ("a", "ab", False),
        (None, None, True),
        (None, "a", False),
    ],
)
def test_an_older_mark_begins_todays(recorded: str | None, now: str | None, same: int):
    assert begins(recorded, now) == same
