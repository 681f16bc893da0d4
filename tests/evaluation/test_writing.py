"""An attack may write into all that it is handed: it is judged on the images and labels as they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from bad_models import Answer
from quantattack import Ensemble, InputError, Linf, Restarts, Threat, Transfer, evaluate, fgsm, load_data, load_model
from quantattack.attacks.base import Batch, Trace, Traits, attacked_images, batch_of, without_steps
from quantattack.cli import main

THREAT = Threat(Linf(), 0.1)


@pytest.fixture(autouse=True)
def as_users_run_it(monkeypatch: pytest.MonkeyPatch):
    """The shape checks of the tests would speak before the package does."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def data(count: int = 24) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count].clone(), labels[:count].clone()


def zeroed(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images.zero_()


def shifted(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images.add_(0.3).clamp_(0, 1)


def relabeled(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    labels.zero_()
    return images


def resized(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    attacked = images.clone()
    images.resize_(0)
    labels.resize_(0)
    return attacked


def set_under(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    attacked = images.clone()
    images.data.zero_()
    labels.data.add_(1).remainder_(10)
    return attacked


def six(model: Any, images: Tensor, labels: Tensor, start: Any = None, rng: Any = None, radius: Any = None) -> Tensor:
    rng.index.zero_()
    labels.fill_(9)
    for column in (start, radius):
        if column is not None:
            column.zero_()
    return images.add_(0.3).clamp_(0, 1)


class Traced:
    """An attack with the full interface."""

    __call__ = attacked_images
    traits = Traits()

    def trace(self, model: Any, batch: Batch) -> Trace:
        batch.labels.zero_()
        batch.rng.index.zero_()
        return without_steps(batch.images.mul_(0))

    def passes(self, classes: int) -> int:
        return 1

    def to_the_end(self) -> Any:
        return self


def untouched(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images


WRITING: dict[str, tuple[Any, Callable[[Tensor], Tensor]]] = {
    "zero": (zeroed, torch.zeros_like),
    "add": (shifted, lambda images: (images + 0.3).clamp(0, 1)),
    "labels": (relabeled, torch.clone),
    "resize": (resized, torch.clone),
    "under autograd": (set_under, torch.clone),
    "six arguments": (six, lambda images: (images + 0.3).clamp(0, 1)),
    "traced": (Traced(), torch.zeros_like),
    "given back": (untouched, torch.clone),
}
AROUND: dict[str, Callable[[Any], Any]] = {
    "alone": lambda attack: attack,
    "restarts": lambda attack: Restarts(attack, 2),
    "ensemble": lambda attack: Ensemble({"one": attack, "two": attack}),
    "transfer": lambda attack: Transfer(attack, load_model("digits-float")),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize(("attack", "result"), WRITING.values(), ids=WRITING)
def test_what_an_attack_writes_changes_no_verdict(
    attack: Any, result: Callable[[Tensor], Tensor], around: Callable[[Any], Any], tmp_path: Path
):
    def pure(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        return result(images)

    columns = ("image", "label", "clean_prediction", "prediction", "margin", "size", "inside")
    tables = []
    for at, each in enumerate((attack, pure)):
        settings: Any = {"batch_size": 8, "out": tmp_path / str(at), "keep_images": True}
        images, labels = data()
        record = evaluate(load_model("digits-float"), images, labels, {"mine": around(each)}, THREAT, **settings)
        tables.append([record.column("mine", name).tolist() for name in columns])
        assert torch.equal(images, data()[0])
        assert torch.equal(labels, data()[1])
    assert tables[0] == tables[1]


def test_starts_and_radii_are_copies():
    images, labels = data()
    start, radius = images.clone(), torch.full((24,), 0.1)
    index = torch.arange(24)
    batch = batch_of(images, labels, start, None, radius)
    Restarts(six, 2).trace(load_model("digits-float"), batch)
    assert torch.equal(start, images)
    assert torch.equal(radius, torch.full((24,), 0.1))
    assert torch.equal(batch.rng.index, index)
    assert torch.equal(images, data()[0])


@pytest.mark.parametrize("name", ["zeroed", "shifted", "relabeled", "untouched", "six"])
def test_the_command_line_takes_an_attack_that_writes(name: str, tmp_path: Path):
    command = ["evaluate", "digits-float", "--data", "digits", "--images", "16", "--radius", "0.1", "--quiet"]
    command += ["--attacks", f"{__file__}:{name}", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as end:
        main([*command, "--save-images"])
    assert end.value.code == 0


BUFFER: dict[int, Tensor] = {}


def reusing(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Return one buffer at each call."""
    attacked = fgsm(THREAT)(model, images, labels)
    return BUFFER.setdefault(len(images), torch.empty_like(images)).copy_(attacked)


def expanded(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return images[:1].expand(images.shape)


@pytest.mark.parametrize("attack", [reusing, expanded])
def test_images_that_share_memory_are_kept_apart(attack: Any, tmp_path: Path):
    settings: Any = {"batch_size": 8, "out": tmp_path, "keep_images": True, "return_images": True}
    record, returned = evaluate(load_model("digits-float"), *data(), {"mine": attack}, THREAT, **settings)
    again = load_model("digits-float")(returned["mine"]).argmax(1)
    assert record.column("mine", "prediction").tolist() == again.tolist()


ODD: dict[str, Callable[[Tensor], Any]] = {
    "complex": lambda x: torch.complex(x, torch.ones_like(x)),
    "complex128": lambda x: x.to(torch.complex128),
    "sparse": lambda x: x.to_sparse(),
    "csr": lambda x: x.flatten(1).to_sparse_csr(),
    "meta": lambda x: x.to("meta"),
    "quantized": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.quint8),
    "nested": lambda x: torch.nested.nested_tensor([*x]),
    "mkldnn": lambda x: x.to_mkldnn(),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
@pytest.mark.parametrize("out", [False, True])
def test_images_that_are_no_plain_tensor_are_refused(change: Callable[[Tensor], Any], out: bool, tmp_path: Path):
    def attack(model: Any, images: Tensor, labels: Tensor) -> Any:
        return change(images.clone())

    settings: Any = {"out": tmp_path} if out else {}
    with pytest.raises(InputError, match=r"the attack 'mine' returned a \w+ tensor") as said:
        evaluate(load_model("digits-float"), *data(16), {"mine": attack}, THREAT, **settings)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_logits_that_are_no_plain_tensor_are_refused(change: Callable[[Tensor], Any]):
    with pytest.raises(InputError, match=r"logits as a plain tensor, not as a \w+ one") as said:
        evaluate(Answer(lambda logits: change(logits.detach())).eval(), *data(16), fgsm, THREAT)
    assert "\n" not in str(said.value)
