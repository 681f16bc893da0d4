"""Models, attacks and data sets of others may do anything in any call: it is one line, or makes no difference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from bad_models import Late
from quantattack import Ensemble, InputError, Linf, Record, Restarts, Threat, Transfer, evaluate, fgsm, load_data, pgd
from quantattack import load_model as carried
from quantattack.attacks.base import Attack
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.cli import main
from quantattack.diagnostics.diagnose import diagnose
from quantattack.gradients import jacobian, logits_in_parts

THREAT = Threat(Linf(), 0.15)


@pytest.fixture(autouse=True)
def as_users_run_it(monkeypatch: pytest.MonkeyPatch):
    """The shape checks of the tests would speak before the package does."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def data(count: int = 48) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count], labels[:count]


class Stop(BaseException):
    """What no one expects."""


ERRORS = (ValueError("a\nb"), SystemExit(0), SystemExit("why"), Stop(), StopIteration(), RecursionError("deep"))


class LateItems(Dataset[Any]):
    """A data set that raises at one item."""

    def __init__(self, error: BaseException, at: int) -> None:
        self.images, self.labels = data()
        self.error, self.at = error, at

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Any:
        if position == self.at:
            raise self.error
        return self.images[position], int(self.labels[position])


class LateAttack:
    """An attack that raises in a later call."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.calls = error, list[int]()

    def __call__(self, model: Any, images: Tensor, labels: Tensor) -> Tensor:
        self.calls.append(len(images))
        if len(self.calls) == 3:
            raise self.error
        return fgsm(THREAT)(model, images, labels)


LATE = LateAttack(SystemExit(0))


def late_attack(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    return LATE(model, images, labels)


def raising_model(error: BaseException, **settings: Any) -> None:
    evaluate(Late(error, 23).eval(), *data(), {"pgd": pgd(THREAT, steps=4)}, THREAT, batch_size=16, **settings)


def raising_attack(error: BaseException, **settings: Any) -> None:
    evaluate(carried("digits-float"), *data(), {"mine": LateAttack(error)}, THREAT, batch_size=16, **settings)


def raising_data(error: BaseException, **settings: Any) -> None:
    items = LateItems(error, 40)
    evaluate(carried("digits-float"), items, None, {"fgsm": fgsm(THREAT)}, THREAT, batch_size=16, **settings)


def raising_maker(error: BaseException, **settings: Any) -> None:
    def made(threat: Threat) -> Attack:
        raise error

    evaluate(carried("digits-float"), *data(), made, THREAT, **settings)


CALLS = {
    raising_model: ("the model raised", "under the attack 'pgd', images 17 to 32"),
    raising_attack: ("the attack 'mine' raised", "images 33 to 47"),
    raising_data: ("the data set raised", "item 40 of 48"),
    raising_maker: ("makes the attacks raised",),
}


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_whatever_a_call_raises_is_one_line(call: Callable[..., None], error: BaseException):
    with pytest.raises(InputError) as said:
        call(error)
    text = str(said.value)
    assert "\n" not in text
    assert type(error).__name__ in text
    for part in CALLS[call]:
        assert part in text
    assert said.value.__cause__ is error


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_an_interrupt_stays_an_interrupt(call: Callable[..., None]):
    with pytest.raises(KeyboardInterrupt):
        call(KeyboardInterrupt())


def test_what_was_committed_stays_and_is_continued(tmp_path: Path):
    settings: Any = {"out": tmp_path, "batch_size": 16, "name": "mine"}
    images, labels = data()
    attack, late = late_attack, LATE
    with pytest.raises(InputError):
        evaluate(carried("digits-float"), images, labels, {"mine": attack}, THREAT, **settings)
    kept = Record.load(tmp_path).outcomes("mine")
    assert len(kept) >= 32
    record = evaluate(carried("digits-float"), images, labels, {"mine": attack}, THREAT, **settings)
    assert late.calls[3] == 15
    assert record.images == len(record.column("mine", "image")) == 48
    assert set(kept) <= set(record.outcomes("mine"))


class Short(LateItems):
    """A data set that says that it is longer than it is."""

    def __init__(self, says: int) -> None:
        super().__init__(IndexError("gone"), 48)
        self.says = says

    def __len__(self) -> int:
        return self.says

    def __getitem__(self, position: int) -> Any:
        return self.images[position], int(self.labels[position])


@pytest.mark.parametrize("says", [49, 60, 100])
def test_a_length_that_lies_is_one_line(says: int):
    with pytest.raises(InputError, match=f"the data set raised IndexError.*item .* of {says}"):
        evaluate(carried("digits-float"), Short(says), None, {"fgsm": fgsm(THREAT)}, THREAT, batch_size=16)


@pytest.mark.parametrize(("debug", "shown"), [([], False), (["--debug"], True)])
@pytest.mark.parametrize("first", [True, False])
def test_debug_shows_the_traceback(debug: list[str], shown: bool, first: bool, tmp_path: Path, capsys: Any):
    command = ["evaluate", "bad_models:exits_late", "--images", "16", "--quiet", "--attacks", "fgsm"]
    command += ["--data", "digits", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as end:
        main(debug + command if first else command + debug)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert ("Traceback" in said) == shown
    assert ("raise self.error" in said) == shown
    assert said.splitlines()[-1].startswith("error: the model raised SystemExit: 0")


def returning(answer: Any) -> Callable[..., Any]:
    def attack(model: Any, images: Tensor, labels: Tensor) -> Any:
        return answer

    return attack


WRAPPERS: dict[str, Callable[[Any], Attack]] = {
    "transfer": lambda attack: Transfer(attack, carried("digits-float")),
    "scaled": lambda attack: OnScaled(attack, Fixed(0.5)),
    "restarts": lambda attack: Restarts(attack, 2),
    "ensemble": lambda attack: Ensemble({"one": attack}),
    "nested": lambda attack: Restarts(Transfer(attack, carried("digits-float")), 2),
}


@pytest.mark.parametrize("answer", [None, 3, "images", torch.zeros(2)], ids=str)
@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_what_is_no_images_is_one_line_inside_a_wrapper(wrapper: Callable[[Any], Attack], answer: Any):
    attack = wrapper(returning(answer))
    with pytest.raises(InputError, match=r"returned .* in place of images of shape"):
        evaluate(carried("digits-float"), *data(16), {"mine": attack}, THREAT)
    with pytest.raises(InputError, match=r"returned .* in place of images of shape"):
        attack(carried("digits-float"), *data(16))


class Writing(nn.Module):
    """Changes its input in place, where autograd does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = carried("digits-float")

    def forward(self, images: Tensor) -> Tensor:
        images.data.clamp_(0.25, 0.75)
        return self.network(images)


class Adding(Writing):
    """Changes its input in place, where autograd sees it."""

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.mul_(0.5).add_(0.1))


class Reusing(Writing):
    """Writes its logits into one buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        if torch.is_grad_enabled():
            return logits
        return self.held.setdefault(len(logits), torch.empty_like(logits)).copy_(logits)


class Output:
    """What Hugging Face returns."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Wrapped(Writing):
    """Returns its logits in an object."""

    def forward(self, images: Tensor) -> Output:
        return Output(self.network(images))


class OneByOne(Writing):
    """Takes one image at a time."""

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.reshape(1, 1, 8, 8))


class Fixed24(Writing):
    """Takes 24 images at a time."""

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.reshape(24, 1, 8, 8))


PURE: dict[type[Writing], Callable[[Tensor], Tensor]] = {
    Writing: lambda images: images.clamp(0.25, 0.75).detach() + images - images.detach(),
    Adding: lambda images: images * 0.5 + 0.1,
    Reusing: lambda images: images,
    Wrapped: lambda images: images,
    OneByOne: lambda images: images,
}


class Pure(nn.Module):
    """The same function without its manners."""

    def __init__(self, kind: type[Writing]) -> None:
        super().__init__()
        self.network, self.first = carried("digits-float"), PURE[kind]

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.first(images))


def predictions(model: nn.Module, size: int | None, count: int = 48, **settings: Any) -> np.ndarray:
    attacks = {"pgd": pgd(THREAT, steps=5), "onward": Restarts(fgsm(THREAT), 2)}
    record = evaluate(model, *data(count), attacks, THREAT, batch_size=size, **settings)
    return np.stack([record.column(name, "prediction") for name in attacks])


@pytest.mark.parametrize("kind", PURE, ids=lambda kind: kind.__name__)
def test_manners_change_no_verdict_at_any_batch_size(kind: type[Writing]):
    images = data()[0]
    before = images.clone()
    expected = predictions(Pure(kind).eval(), 64, 22)
    for size in (1, 7, 64):
        assert np.array_equal(predictions(kind().eval(), size, 22), expected)
    assert torch.equal(images, before)


@pytest.mark.parametrize("kind", PURE, ids=lambda kind: kind.__name__)
def test_manners_change_nothing_of_an_attack_alone(kind: type[Writing]):
    if kind is OneByOne:
        pytest.skip("an attack alone shows its batch as it is")
    images, labels = data(32)
    before = images.clone()
    attacked = pgd(THREAT, steps=5)(kind().eval(), images, labels)
    assert torch.equal(images, before)
    assert torch.equal(attacked, pgd(THREAT, steps=5)(Pure(kind).eval(), images, labels))
    logits = logits_in_parts(kind().eval(), images, 8)
    assert torch.equal(logits, torch.cat([Pure(kind).eval()(part) for part in images.split(8)]).detach())
    assert torch.equal(jacobian(kind().eval(), images)[1], jacobian(Pure(kind).eval(), images)[1])


def test_a_model_of_one_fixed_batch_is_shown_that():
    expected = predictions(carried("digits-float"), 64)
    assert np.array_equal(predictions(Fixed24().eval(), 24), expected)
    with pytest.raises(InputError, match="does not take images of shape"):
        predictions(Fixed24().eval(), 7)


def test_padding_can_be_switched_off():
    shown = list[int]()

    def model(images: Tensor) -> Tensor:
        shown.append(len(images))
        return carried("digits-float")(images)

    evaluate(model, *data(5), {"fgsm": fgsm(THREAT)}, THREAT, padding=False)
    assert max(shown) <= 16
    assert 5 in shown
    shown.clear()
    evaluate(model, *data(5), {"fgsm": fgsm(THREAT)}, THREAT)
    assert set(shown) == {16, 24}  # 24 rows once, to see whether the model takes other numbers too
    assert shown.count(24) == 1


@pytest.mark.parametrize("kind", [OneByOne, Wrapped], ids=lambda kind: kind.__name__)
def test_a_diagnosis_takes_the_same_models(kind: type[Writing]):
    expected = diagnose(carried("digits-float"), *data(24), THREAT, budget=120)
    found = diagnose(kind().eval(), *data(24), THREAT, budget=120)
    assert (found.clean, found.pgd, found.reasons) == (expected.clean, expected.pgd, expected.reasons)


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad], ids=lambda around: around.__name__)
def test_a_mode_around_the_call_is_left(around: Callable[[], Any]):
    model = carried("digits-float")
    images, labels = data()
    expected, alone = predictions(model, 16), pgd(THREAT, steps=5)(model, images, labels)
    with around():
        made = images.clone()
        assert np.array_equal(predictions(model, 16), expected)
        assert torch.equal(pgd(THREAT, steps=5)(model, made, labels.clone()), alone)
        record = evaluate(model, made, labels.clone(), {"pgd": pgd(THREAT, steps=5)}, THREAT)
        assert diagnose(model, made, labels, THREAT, budget=60).pgd == diagnose(model, *data(), THREAT, budget=60).pgd
    assert np.array_equal(record.column("pgd", "prediction"), expected[0])


OUTSIDE = {
    "bytes": lambda images: images * 255,
    "below": lambda images: images - 0.5,
    "nan": lambda images: images / 0,
    "whole": lambda images: (images * 255).to(torch.uint8),
}
ALONE: dict[str, Attack] = {
    "pgd": pgd(THREAT, steps=2),
    "restarts": Restarts(fgsm(THREAT), 2),
    "ensemble": Ensemble({"one": fgsm(THREAT)}),
    "transfer": Transfer(fgsm(THREAT), carried("digits-float")),
    "scaled": OnScaled(fgsm(THREAT), Fixed(0.5)),
}


@pytest.mark.parametrize("outside", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("attack", ALONE.values(), ids=ALONE)
def test_an_attack_alone_refuses_images_as_an_evaluation_does(attack: Attack, outside: Callable[[Tensor], Tensor]):
    images, labels = data(16)
    model = carried("digits-float")
    with pytest.raises(InputError) as told:
        evaluate(model, outside(images), labels, {"one": attack}, THREAT)
    with pytest.raises(InputError) as alone:
        attack(model, outside(images), labels)
    assert str(alone.value) == str(told.value)


@pytest.mark.parametrize("count", [3, 16])
def test_gray_images_without_a_channel_are_told_what_to_add(count: int):
    images, labels = (part[:count] for part in load_data("digits"))
    with pytest.raises(InputError, match=r"give images\[:, None\]$"):
        evaluate(carried("digits-float"), images[:, 0], labels, {"fgsm": fgsm(THREAT)}, THREAT)
