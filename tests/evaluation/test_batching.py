"""The batch size is found from the run's own batches; memory that ends halves it and changes no verdict."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quantattack import (
    Hns,
    InputError,
    Linf,
    Record,
    Threat,
    apgd,
    daa_blob,
    evaluate,
    load_data,
    load_model,
    margin,
    pgd,
    pgd_plus,
    square,
)
from quantattack.attacks.base import passes, refills
from quantattack.attacks.wrappers import Transfer
from quantattack.errors import out_of_memory
from quantattack.evaluation import judge
from quantattack.evaluation.batching import BatchSizer

THREAT = Threat(Linf(), 0.2)


def settled(rate: Any, start: int = 64, **settings: Any) -> tuple[int, list[int]]:
    """Let a pace see batches whose passes a second a function of their size tells, until it stays."""
    pace, seen = BatchSizer(start, **settings), list[int]()
    for _ in range(20):
        seen.append(pace.size)
        pace.note(pace.size, int(1e6 * rate(pace.size)), 1e6)
    return pace.size, seen


def sizes(seconds: Any, row: float, calls: int = 5) -> list[int]:
    """Let a sizer see calls of 100 passes whose seconds a function of their images tells; return what it gives each."""
    sizer, seen = BatchSizer(512), list[int]()
    sizer.expect(1.0, row)
    for _ in range(calls):
        seen.append(sizer.images())
        sizer.took(seen[-1], 100 * seen[-1], seconds(seen[-1]))
    return seen


def test_a_call_grows_while_its_passes_take_the_time_and_not_their_rows():
    assert sizes(lambda images: 40.0 + 0.01 * images, 1e-4) == [16, 32, 64, 128, 256]
    assert sizes(lambda images: 0.8 * images, 8e-3) == [16] * 5  # as many rows as there are
    assert sizes(lambda images: 70.0, 1e-4) == [16] * 5  # an interruption would lose more than it saves
    assert sizes(lambda images: 40.0, 0.0) == [16] * 5  # nothing is known


@pytest.mark.parametrize(
    ("rate", "best"),
    [
        (lambda size: min(size, 260), 256),
        (lambda size: 1 / size, 16),
        (lambda size: 1000.0, 16),  # nothing is gained by more
        (lambda size: float(size), 4096),
    ],
)
def test_the_fastest_size_is_found(rate: Any, best: int):
    size, seen = settled(lambda n: 100 * rate(n))
    assert size == best
    assert len(set(seen)) == len({*seen[: len(set(seen))]})  # each size is tried once
    assert all(tried % 8 == 0 for tried in seen)


def test_a_size_that_was_asked_for_stays_and_one_in_memory_is_not_passed():
    assert settled(lambda n: 1.0 * n, 80, fixed=True)[0] == 80
    assert settled(lambda n: 1.0 * n, 80, most=160)[0] == 160
    pace = BatchSizer(256)
    pace.note(64, 10**9, 1.0)  # a batch of another size says nothing
    pace.note(256, 0, 1.0)
    assert pace.size == 256


def test_a_call_costs_no_more_than_one_batch_whose_images_all_resist():
    pace, given = BatchSizer(32, fixed=True), list[int]()
    for share in (0.2, 0.5, 0.1, 1.4):  # of an image's most, spent by the images of each call
        given.append(pace.images(pace.room))
        pace.spend(share)
    assert given == [32, 160, 64, 64]  # one batch while nothing is known, then by the costliest call so far
    assert pace.room == 1


@pytest.mark.usefixtures("unchecked")
def test_an_attack_that_refills_is_given_more_images_once_it_is_known_to_solve_them_early(monkeypatch):
    model, (images, labels) = load_model("digits-mdtanhs"), load_data("digits")
    calls, attacked = list[tuple[int, int]](), judge._attacked

    def noted(*asked: Any, **named: Any) -> Any:
        result = attacked(*asked, **named)
        calls.append((len(result.outcomes), result.cost.forwards + result.cost.backwards))
        return result

    monkeypatch.setattr(judge, "_attacked", noted)
    for radius, larger in ((0.4, True), (1e-4, False)):
        calls.clear()
        threat = Threat(Linf(), radius)
        search = pgd(threat, steps=5, loss=margin)
        evaluate(model, images[:120], labels[:120], {"pgd": search}, threat, batch_size=16)
        assert calls[0][0] == 16
        assert (max(count for count, _ in calls) > 16) == larger
        assert max(spent for _, spent in calls) <= 16 * (passes(search, classes=0) + 1)  # and the judge's own


def test_memory_that_ends_halves_and_what_was_done_is_not_done_twice():
    pace, done, limit = BatchSizer(64), list[Sequence[int]](), 20

    def work(part: Sequence[int]) -> int:
        if len(part) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.append(part)
        return len(part)

    assert list(pace.parts(range(50), work)) == [16, 16, 16, 2]
    assert [at for part in done for at in part] == list(range(50))
    with pytest.raises(InputError, match="not enough memory for a batch of 16 images"):
        list(BatchSizer(64).parts(range(50), lambda part: [][1] if len(part) < 1 else _fail()))


def _fail() -> Any:
    raise MemoryError


def test_other_errors_are_not_taken_for_it():
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(BatchSizer(64).parts(range(5), lambda part: _other()))


def _other() -> Any:
    raise RuntimeError("shapes cannot be multiplied")


class Scarce(nn.Module):
    """A model for which memory ends: at its n-th call, or whenever it is shown more rows than fit."""

    def __init__(self, call: int = 0, rows: int = 10**9) -> None:
        super().__init__()
        self.model, self.call, self.rows = load_model("digits-mdtanhs"), call, rows

    def forward(self, images: Tensor) -> Tensor:
        self.call -= 1
        if self.call == 0 or len(images) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        logits: Tensor = self.model(images)
        return logits


ATTACKS = {
    "pgd": pgd(THREAT, steps=5),
    "restarts": pgd(THREAT, steps=2, restarts=2),
    "hns": pgd_plus(THREAT, Hns(), steps=3),
    "apgd": apgd(THREAT, steps=4),
    "square": square(THREAT, 6),
    "sets": daa_blob(THREAT, steps=4, particles=50),
}


def verdicts(record: Record) -> Any:
    return {
        name: [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in record.outcomes(name)]
        for name in record.attacks
    }


def found(model: nn.Module, **settings: Any) -> Any:
    images, labels = load_data("digits")
    return verdicts(evaluate(model.eval(), images[:150], labels[:150], ATTACKS, THREAT, **settings))


@pytest.fixture(scope="module")
def plain() -> Any:
    return found(Scarce(), batch_size=150)


@pytest.mark.parametrize("call", [8, 14, 22, 30, 40, 48])
def test_out_of_memory_at_any_call_changes_no_verdict(call: int, plain: Any):
    model = Scarce(call)
    assert found(model) == plain
    assert model.call < 0


@pytest.mark.parametrize("rows", [16, 40])
def test_a_model_for_which_memory_is_small_has_the_same_verdicts(rows: int, plain: Any):
    assert found(Scarce(rows=rows), batch_size=128) == plain


def rows_shown(attack: Any, room: int, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Return how many calls of the model an evaluation makes, and of how many rows together."""
    shown: list[int] = []
    model = load_model("digits-mdtanhs")
    model.register_forward_pre_hook(lambda module, given: shown.append(len(given[0])))
    images, labels = load_data("digits")
    monkeypatch.setattr("quantattack.evaluation.judge.ROOM", room)
    monkeypatch.setattr("quantattack.evaluation.batching.PATIENCE", 1e9)  # however slow the machine is
    evaluate(model, images[:832], labels[:832], {"it": attack}, THREAT, batch_size=64)
    assert max(shown) == 64
    return np.array([len(shown), sum(shown)])


@pytest.mark.usefixtures("unchecked")
def test_a_solved_image_makes_room_for_one_that_waits(monkeypatch: pytest.MonkeyPatch):
    """More images are handed over than are shown at once: fewer rows are copies that only fill up."""
    without = rows_shown(lambda model, images, labels: images, 1, monkeypatch)
    refilled, alone = (rows_shown(pgd(THREAT, loss=margin), room, monkeypatch) - without for room in (4, 1))
    assert refilled[0] < 0.7 * alone[0]
    assert refilled[1] < 0.9 * alone[1]


def test_who_may_be_handed_more_than_is_shown():
    assert all(refills(attack) for name, attack in ATTACKS.items() if name != "sets")
    assert not refills(Transfer(pgd(THREAT), load_model("digits-float")))
    assert not refills(lambda model, images, labels: images)
