"""A data set that gives other images at each read, and a model that changes where nobody looks, are found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from quantattack import InputError, Linf, Record, Threat, evaluate, fgsm, load_data, load_model, pgd

THREAT = Threat(Linf(), 0.1)


def data(count: int = 48) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count].clone(), labels[:count].clone()


class Read(Dataset[Any]):
    """A data set that counts its reads, and gives items by that count."""

    def __init__(self, item: Callable[[Tensor, int, int, int], tuple[Tensor, int]]) -> None:
        self.images, self.labels = data()
        self.item, self.reads = item, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Any:
        self.reads += 1
        return self.item(self.images[position], int(self.labels[position]), position, self.reads)


OTHERS: dict[str, Callable[..., tuple[Tensor, int]]] = {
    "noise": lambda image, label, at, reads: ((image + 0.1 * torch.rand_like(image)).clamp(0, 1), label),
    "flip": lambda image, label, at, reads: (image.flip(-1) if reads % 3 else image, label),
    "late": lambda image, label, at, reads: (image if reads <= 150 else 1 - image, label),
    "later": lambda image, label, at, reads: (image if reads <= 160 else image.clamp(0, 0.9), label),
    "one image": lambda image, label, at, reads: (image * 0.999 if at == 40 and reads > 150 else image, label),
    "labels": lambda image, label, at, reads: (image, label if reads <= 150 else (label + 1) % 10),
    "random labels": lambda image, label, at, reads: (image, (label + reads) % 10),
}


@pytest.mark.parametrize("size", [7, 48])
@pytest.mark.parametrize("item", OTHERS.values(), ids=OTHERS)
def test_a_data_set_that_gives_others_when_read_again_is_refused(item: Any, size: int, tmp_path: Path):
    with pytest.raises(InputError, match=r"when image .* is read again") as said:
        evaluate(load_model("digits-float"), Read(item), None, fgsm, THREAT, batch_size=size, out=tmp_path)
    assert "\n" not in str(said.value)


class Stopping:
    """An attack that is interrupted in a later call."""

    calls = 0

    def __call__(self, model: Any, images: Tensor, labels: Tensor) -> Tensor:
        Stopping.calls += 1
        if Stopping.calls == 3:
            raise KeyboardInterrupt
        return fgsm(THREAT)(model, images, labels)


def test_a_steady_data_set_is_continued(tmp_path: Path):
    def steady(image: Tensor, label: int, position: int, reads: int) -> tuple[Tensor, int]:
        return image, label

    settings: Any = {"batch_size": 8, "out": tmp_path}
    attacks = {"mine": Stopping()}
    with pytest.raises(KeyboardInterrupt):
        evaluate(load_model("digits-float"), Read(steady), None, attacks, THREAT, **settings)
    record = evaluate(load_model("digits-float"), Read(steady), None, attacks, THREAT, **settings)
    assert record.finished
    assert len(Record.load(tmp_path).column("mine", "image")) == 48


def test_an_attack_that_reaches_the_images_of_the_run_is_refused():
    images, labels = data()

    def attack(model: Any, clean: Tensor, classes: Tensor) -> Tensor:
        images.mul_(0.5)
        return clean

    with pytest.raises(InputError, match="is read again"):
        evaluate(load_model("digits-float"), images, labels, {"mine": attack}, THREAT, batch_size=16)


class Counter(nn.Module):
    """Answers by the count of its calls, in a plain attribute."""

    def __init__(self, otherwise: Callable[[int], bool]) -> None:
        super().__init__()
        self.network, self.otherwise, self.calls = load_model("digits-float"), otherwise, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits = self.network(images)
        return logits.flip(1) if self.otherwise(self.calls) else logits


class Observer(nn.Module):
    """Scales its input by the largest pixel sum that it has seen, in a plain tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.seen = load_model("digits-float"), torch.zeros(())

    def forward(self, images: Tensor) -> Tensor:
        self.seen = torch.maximum(self.seen, images.detach().flatten(1).sum(1).max())
        return self.network(images / self.seen * 30)


COUNTED = {
    "from call 20": Counter(lambda calls: calls > 20),
    "from call 26": Counter(lambda calls: calls > 26),
    "each 13th": Counter(lambda calls: calls % 13 == 0),
    "each 13th but one": Counter(lambda calls: calls % 13 == 5),
    "each 9th": Counter(lambda calls: calls % 9 == 0),
    "observer": Observer(),
}


@pytest.mark.parametrize("model", COUNTED.values(), ids=COUNTED)
def test_a_model_that_changes_where_nobody_looks_is_said_so(model: nn.Module):
    record = evaluate(model.eval(), *data(), {"pgd": pgd(THREAT, steps=4)}, THREAT, batch_size=16)
    assert {"model_changed", "random_model"} & set(record.codes)
    assert "batch_dependent" not in record.codes
    if "model_changed" in record.codes:
        assert "none of its parameters and buffers changed" in record.codes["model_changed"]


@pytest.mark.parametrize("call", range(7, 18))
def test_a_change_while_batches_are_compared_is_no_dependence(call: int):
    model = Counter(lambda calls: calls > call).eval()
    record = evaluate(model, *data(), {"pgd": pgd(THREAT, steps=4)}, THREAT, batch_size=48)
    assert {"model_changed", "random_model"} & set(record.codes)
    assert "batch_dependent" not in record.codes


class Off(nn.Module):
    """Noisy where an image is not one of a few."""

    def __init__(self, noisy: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.noisy = load_model("digits-float"), noisy

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        noise = torch.rand_like(logits) * 1e-3 * self.noisy(images.detach())[:, None]
        return logits + noise


def off_grid(images: Tensor) -> Tensor:
    return ((images * 16 - (images * 16).round()).abs() > 1e-3).flatten(1).any(1).float()


def uncertain(images: Tensor) -> Tensor:
    top = load_model("digits-float")(images).topk(2, 1)[0]
    return (top[:, 0] - top[:, 1] < 1).float()


@pytest.mark.parametrize("noisy", [off_grid, uncertain])
def test_noise_off_the_clean_images_is_random(noisy: Callable[[Tensor], Tensor]):
    images, labels = data()
    sure = uncertain(images) == 0
    model = Off(noisy).eval()
    record = evaluate(model, images[sure], labels[sure], {"pgd": pgd(THREAT, steps=4)}, THREAT, batch_size=16)
    assert "random_model" in record.codes


@pytest.mark.parametrize("size", [1, 7, 48])
@pytest.mark.parametrize("name", ["digits-float", "digits-mdtanhs"])
def test_an_honest_model_is_neither(name: str, size: int):
    record = evaluate(load_model(name), *data(), {"pgd": pgd(THREAT, steps=4)}, THREAT, batch_size=size)
    assert not {"model_changed", "random_model", "batch_dependent"} & set(record.codes)
