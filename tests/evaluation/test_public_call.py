"""The public call takes whatever a user has at hand, says a threat once, and does all that the command line does."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from quantattack import (
    L2,
    Ascent,
    Ensemble,
    InFloat64,
    InputError,
    Linf,
    MinimumNorm,
    Record,
    Restarts,
    Threat,
    Transfer,
    apgd,
    daa_blob,
    evaluate,
    fgsm,
    load_data,
    load_model,
    margin,
    pgd,
    square,
    standard,
)
from quantattack.attacks.eot import Eot
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.cli import main
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.run import run
from quantattack.evaluation.task import prepare
from quantattack.record.store import Store

THREAT = Threat(Linf(), 0.1)
OTHER = Threat(Linf(), 0.3)
COUNT = 40
pytestmark = pytest.mark.usefixtures("unchecked")


@cache
def data(count: int = COUNT) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count], labels[:count]


def called(attacks: Any, threat: Any = THREAT, **settings: Any) -> Any:
    return evaluate(load_model("digits-mdtanhs"), *data(), attacks, threat, **settings)


def verdicts(record: Record) -> dict[str, Any]:
    return {
        name: [replace(outcome, forwards=0.0, backwards=0.0, seconds=0.0) for outcome in record.outcomes(name)]
        for name in record.attacks
    }


def test_one_attack_is_recorded_as_attack():
    alone, named = called(pgd(THREAT, steps=3)), called({"attack": pgd(THREAT, steps=3)})
    assert alone.attacks == ["attack"]
    assert verdicts(alone) == verdicts(named)


def test_a_function_of_three_arguments_is_an_attack_and_no_maker():
    record = called(lambda model, images, labels: images)
    assert record.robust("attack") == record.clean


def small_suite(threat: Threat) -> Ensemble:
    return Ensemble({"pgd": pgd(threat, steps=3), "margin": pgd(threat, steps=3, loss=margin)})


def test_a_suite_stands_for_its_members():
    suite = called(small_suite(THREAT))
    assert suite.attacks == ["pgd", "margin"]
    assert verdicts(suite) == verdicts(called(dict(small_suite(THREAT).attacks)))
    wide = Threat(Linf(), 0.5)  # under which every image falls early
    assert list(standard(wide).attacks) == evaluate(load_model("digits-float"), *data(4), standard, wide).attacks


@pytest.mark.parametrize(
    ("maker", "names"),
    [
        (small_suite, ["pgd", "margin"]),
        (fgsm, ["attack"]),
        (lambda threat: {"mine": fgsm(threat)}, ["mine"]),
        (lambda threat: pgd(threat, steps=2), ["attack"]),
    ],
)
def test_attacks_may_be_made_from_the_threat(maker: Any, names: list[str]):
    record = called(maker)
    assert record.attacks == names
    assert verdicts(record) == verdicts(called(maker(THREAT)))


def test_several_radii_are_one_record_with_a_part_for_each(tmp_path: Path):
    threats = [Threat(Linf(), radius) for radius in (0.05, 0.2)]
    records = called(small_suite, threats, out=tmp_path / "run", name="net", data="digits")
    assert [record.threat["radius"] for record in records] == [0.05, 0.2]
    assert [record.subject for record in Store.load(tmp_path / "run").records()] == [part.subject for part in records]
    for record, threat in zip(records, threats, strict=True):
        assert record.finished
        assert verdicts(record) == verdicts(called(small_suite, threat))
    assert records[0].worst_case > records[1].worst_case
    (alone,) = called(small_suite, [THREAT])
    assert verdicts(alone) == verdicts(called(small_suite, THREAT))


def test_several_radii_with_an_attack_of_one_are_refused():
    with pytest.raises(InputError, match=r"Linf 0\.1 .* Linf 0\.3"):
        called(pgd(THREAT), [THREAT, OTHER])
    with pytest.raises(InputError, match="there is no threat"):
        called(fgsm, [])
    with pytest.raises(InputError, match="two of the threats are the same"):
        called(fgsm, [THREAT, Threat(Linf(), 0.1)])


def test_names_are_those_of_the_record():
    record = called(fgsm, name="net", data="digits of mine")
    assert (record.subject.model, record.subject.data) == ("net", "digits of mine")
    assert called(fgsm).subject.model == "model"


WALK = pgd(OTHER, steps=2)
CARRIERS: dict[str, Callable[[], Any]] = {
    "walk": lambda: WALK,
    "restarts": lambda: Restarts(WALK, 2),
    "nested": lambda: Restarts(InFloat64(WALK), 2),
    "suite": lambda: Ensemble({"fgsm": fgsm(THREAT), "pgd": WALK}),
    "a suite in another": lambda: Ensemble({"inner": Ensemble({"pgd": WALK})}),
    "transfer": lambda: Transfer(WALK, load_model("digits-float")),
    "minimum norm": lambda: MinimumNorm(pgd(THREAT), OTHER),
    "minimum norm's attack": lambda: MinimumNorm(WALK, THREAT),
    "particle sets": lambda: daa_blob(OTHER, steps=2, particles=5),
    "square": lambda: square(OTHER, 5),
    "apgd": lambda: apgd(OTHER, steps=2),
    "eot": lambda: Eot(WALK, 2),
    "scaled": lambda: OnScaled(WALK, Fixed(0.1)),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_attack_that_carries_another_threat_is_refused(carrier: str):
    with pytest.raises(InputError) as refused:
        called({"good": fgsm(THREAT), "mine": CARRIERS[carrier]()})
    said = str(refused.value)
    assert "'mine'" in said
    assert "Linf 0.3" in said
    assert "Linf 0.1" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Threat(L2(), 0.1), "L2 0.1"),
        (Threat(Linf(), 0.05), "Linf 0.05"),
        (Threat(Linf(), 0.1, high=0.9), "[0, 0.9]"),
        (Threat(Linf(), 0.1, low=-1.0), "[-1, 1]"),
        (Threat(Linf(), 0.10001), "0.10001"),
    ],
)
def test_norm_radius_and_range_are_compared(other: Threat, words: str):
    with pytest.raises(InputError) as refused:
        called({"mine": fgsm(other)})
    assert words in str(refused.value)


def test_rounding_makes_no_other_threat():
    record = called(fgsm(Threat(Linf(), 0.1 * (1 + 1e-9))))
    assert record.attacks == ["attack"]
    assert called(fgsm(Threat(Linf(), 1)), Threat(Linf(), 1.0)).robust("attack") <= 1


def test_an_attack_that_carries_no_threat_is_judged():
    def own(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        return pgd(OTHER, steps=3)(model, images, labels)

    record = called({"own": own})
    assert "outside_threat" in record.codes
    assert record.robust("own") == record.clean


def test_attacked_images_are_returned():
    model, (images, labels) = load_model("digits-mdtanhs"), data()
    labels = labels.clone()
    labels[::5] = (labels[::5] + 1) % 10  # wrong from the start
    attacks = {"pgd": pgd(THREAT, steps=4), "sets": daa_blob(THREAT, steps=4, particles=10)}
    record, returned = evaluate(model, images, labels, attacks, THREAT, return_images=True, batch_size=16)
    wrong = model(images).argmax(1) != labels
    assert bool(wrong[::5].all())
    assert list(returned) == list(attacks)
    for name, attacked in returned.items():
        assert attacked.shape == images.shape
        assert torch.equal(attacked[wrong], images[wrong])
        assert bool(THREAT.contains(attacked, images, 1e-6).all())
        assert model(attacked).argmax(1).tolist() == record.column(name, "prediction").tolist()
        assert not torch.equal(attacked[~wrong], images[~wrong])
    assert verdicts(record) == verdicts(evaluate(model, images, labels, attacks, THREAT))


def test_images_of_a_record_that_is_there_already_are_the_same(tmp_path: Path):
    attacks = {"pgd": pgd(THREAT, steps=4), "sets": daa_blob(THREAT, steps=4, particles=10)}
    index = torch.arange(COUNT).flip(0) * 2
    first, before = called(attacks, out=tmp_path, return_images=True, indices=index)
    rows = verdicts(first)
    again, after = called(attacks, out=tmp_path, return_images=True, indices=index)
    assert verdicts(again) == rows
    assert all(torch.equal(before[name], after[name]) for name in attacks)


def test_images_of_several_threats_come_with_their_records():
    pairs = called(fgsm, [THREAT, OTHER], return_images=True)
    for (record, images), threat in zip(pairs, (THREAT, OTHER), strict=True):
        assert record.threat["radius"] == threat.radius
        assert float((images["attack"] - data()[0]).abs().max()) == pytest.approx(threat.radius, abs=1e-6)


def test_saved_images_need_a_folder(tmp_path: Path):
    with pytest.raises(InputError, match="name its folder with out"):
        called(fgsm, keep_images=True)
    record = called(fgsm, keep_images=True, out=tmp_path)
    assert record.store.shards(record.cells["attack"])


def test_speed_is_taken_as_names_or_as_options():
    names = called(fgsm, speed=["channels-last"])
    options = called(fgsm, speed=FastSearch(channels_last=True))
    assert verdicts(names) == verdicts(options)
    assert names.store.identity == options.store.identity
    assert names.store.identity["subjects"][0]["speed"] == ["channels_last"]
    with pytest.raises(InputError, match="unknown speed option"):
        called(fgsm, speed=["quick"])


def test_a_part_is_evaluated_alone():
    record = called(fgsm, part=(2, 4))
    assert record.indices.tolist() == list(range(10, 20))
    with pytest.raises(InputError, match="no part 5/4 of"):
        called(fgsm, part=(5, 4))


def test_a_record_grows_where_it_is_asked_to(tmp_path: Path):
    called({"fgsm": fgsm(THREAT)}, out=tmp_path)
    more = {"fgsm": fgsm(THREAT), "pgd": pgd(THREAT, steps=2)}
    with pytest.raises(InputError, match="holds another run"):
        called(more, out=tmp_path)
    assert called(more, out=tmp_path, grow=True).attacks == ["fgsm", "pgd"]


def test_workers_without_ray_are_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'quantattack\[ray\]'"):
        called(fgsm, workers=2)
    assert called(fgsm, workers=1).attacks == ["attack"]  # one is this process


@pytest.mark.parametrize("attacks", [[fgsm(THREAT)], "pgd", None, Ascent, {}])
def test_what_is_no_attack_is_refused(attacks: Any):
    with pytest.raises(InputError, match="must be a mapping from names to attacks"):
        called(attacks)


def test_the_command_line_makes_the_record_that_python_makes(tmp_path: Path, capsys: Any):
    folder = tmp_path / "run"
    options = ["--images", str(COUNT), "--radius", "0.1", "--attacks", "fgsm,pgd[steps=3]", "--out", str(folder)]
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "digits-mdtanhs", "--quiet", *options])
    assert not end.value.code
    written = Record.load(folder)
    attacks = {"fgsm": fgsm(THREAT), "pgd[steps=3]": pgd(THREAT, steps=3)}
    record = called(attacks, name="digits-mdtanhs", data="digits", indices=torch.arange(COUNT))
    assert verdicts(record) == verdicts(written)
    assert record.subject == written.subject
    assert record.codes == written.codes


def test_a_run_changes_no_field_of_its_task():
    """Batch sizes and widths are arguments on the way: a task may be run again, or by several at once."""
    task = prepare(load_model("digits-mdtanhs"), *data(), {"pgd": pgd(THREAT, steps=3)}, THREAT)
    before = {field.name: getattr(task, field.name) for field in fields(task)}
    records = [run([task], Store.open(None, {}), [lambda *given: None])[0] for _ in range(2)]
    assert all(getattr(task, name) is value for name, value in before.items())
    assert task.model.width is None
    assert task.limits == before["limits"]
    assert verdicts(records[0]) == verdicts(records[1])
    with pytest.raises(FrozenInstanceError):
        task.seed = 1  # type: ignore[misc]
