"""The engine alone judges; it changes nothing of the model, streams what is too large, and counts every pass."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.data import Dataset

from networks import Times, linear_model, relu_network
from quantattack import (
    L2,
    Ascent,
    Hns,
    InFloat64,
    Linf,
    Record,
    Restarts,
    Threat,
    Transfer,
    evaluate,
    fgsm,
    load_data,
    load_model,
    margin,
    pgd,
    pgd_plus,
    square,
)
from quantattack.attacks.base import Batch, Trace, Traits, attacked_images, batch_of
from quantattack.evaluation.batching import usual_batch
from quantattack.evaluation.gallery import choose
from quantattack.record.outcome import COLUMNS

THREAT = Threat(Linf(), 0.2)


@cache
def data(count: int = 48) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count], labels[:count]


def evaluated(model: Any, threat: Threat = THREAT, count: int = 48, **attacks: Any) -> Record:
    images, labels = data(count)
    return evaluate(model, images, labels, attacks, threat)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return load_model("digits-mdtanhs")


def test_the_numbers_are_those_computed_by_hand(network: nn.Module):
    images, labels = data()
    labels = labels.clone()
    threat = Threat(Linf(), 0.08)
    labels[:3] = (labels[:3] + 1) % 10
    attacks = {"pgd": pgd(threat, steps=5), "margin": pgd(threat, steps=5, loss=margin)}
    record = evaluate(network, images, labels, attacks, threat)
    right = (network(images).argmax(1) == labels).numpy()
    broken = dict.fromkeys(attacks, ~right)
    for name, attack in attacks.items():
        found = attack(network, images, labels)
        inside = (found - images).abs().amax((1, 2, 3)) <= 0.08
        broken[name] = ~right | ((network(found).argmax(1) != labels) & inside).numpy()
        assert (record.broken(name) == broken[name]).all()
        assert record.robust(name) == pytest.approx(1 - broken[name].mean())
    assert record.clean == pytest.approx(right.mean())
    assert record.worst_case == pytest.approx(1 - (broken["pgd"] | broken["margin"]).mean())
    assert 0 < record.worst_case < record.robust("pgd") < record.clean < 1
    assert record.images == 48


def test_an_image_that_was_wrong_from_the_start_is_broken_and_costs_nothing(network: nn.Module):
    images, labels = data()
    wrong = labels.clone()
    wrong[::4] = (labels[::4] + 1) % 10
    record = evaluate(network, images, wrong, {"pgd": pgd(THREAT, steps=3), "square": square(THREAT, 3)}, THREAT)
    for name in record.attacks:
        lost = record.column(name, "clean_prediction") != record.column(name, "label")
        assert lost[::4].all()
        assert record.broken(name)[lost].all()
        for column in ("forwards", "backwards", "seconds", "size", "step"):
            assert (record.column(name, column)[lost] == 0).all()
        assert (record.column(name, "forwards")[~lost] > 0).all()


def test_when_all_are_wrong_nothing_is_attacked(network: nn.Module):
    images, labels = data()

    def never(model: Any, images: Tensor, labels: Tensor, start: Any, rng: Any, radius: Any) -> Tensor:
        raise AssertionError("attacked")

    record = evaluate(network, images, (labels + 5) % 10, {"never": never}, THREAT)
    assert (record.clean, record.worst_case) == (0.0, 0.0)


def scaled(factor: float) -> Any:
    """An attack from outside, a plain function: the right direction, but of another length than allowed."""

    def step(model: Any, images: Tensor, labels: Tensor, start: Any, rng: Any, radius: Any) -> Tensor:
        return (images + factor * 0.05 * (model.model.weight[1] - model.model.weight[0]).sign()).detach()

    return step


def test_an_image_outside_the_threat_does_not_count_as_broken():
    model, images, labels = linear_model(0, (6,)), torch.full((4, 6), 0.5), torch.zeros(4).long()
    with torch.no_grad():
        change = model.ascent.abs().sum() * 0.05
        model.bias[0] += 0.5 * float(change) - float(model(images)[0, 0] - model(images)[0, 1])
    threat = Threat(Linf(), 0.05)
    attacks = {"honest": scaled(0.999), "beyond": scaled(1.001), "rounding": scaled(1 - 1e-6)}
    record = evaluate(model, images, labels, attacks, threat)
    assert record.broken("honest").all()
    assert record.broken("rounding").all()
    assert not record.broken("beyond").any()
    assert (record.column("beyond", "prediction") == 1).all()
    assert "4 of beyond" in record.codes["outside_threat"]
    assert record.robust("beyond") == 1.0
    below = evaluate(model, images, labels, attacks, Threat(Linf(), 0.05, high=0.52))
    assert not below.broken("honest").any()  # inside the ball, over the range


def test_the_model_judges_whatever_the_attack_says(network: nn.Module):
    class Boasting:
        """Claims a success at step 0 with the clean images."""

        __call__ = attacked_images
        traits = Traits()

        def trace(self, model: Any, batch: Batch) -> Trace:
            return Trace(batch.images, torch.zeros(len(batch)).long(), torch.zeros(len(batch)).long())

        def passes(self, classes: int) -> int:
            return 0

        def to_the_end(self) -> Any:
            return self

    record = evaluated(network, boasting=Boasting())
    assert record.robust("boasting") == record.clean
    right = record.column("boasting", "clean_prediction") == record.column("boasting", "label")
    assert np.isnan(record.column("boasting", "step").astype(float)[right]).all()


def test_what_is_judged_is_what_the_model_is_shown():
    """A float64 attack at the very edge is rounded before it is measured, not after."""
    model, images, labels = linear_model(0, (6,)), torch.full((2, 6), 0.3), torch.zeros(2).long()
    radius = 0.1

    def edge(model: Any, images: Tensor, labels: Tensor, start: Any, rng: Any, radius: Any) -> Tensor:
        return images.double() + 0.1

    record = evaluate(model, images, labels, {"edge": edge}, Threat(Linf(), radius))
    shown = (images.double() + 0.1).float().double() - images.double()
    assert record.column("edge", "size").tolist() == shown.abs().amax(1).tolist()
    assert record.column("edge", "inside").tolist() == (shown.abs().amax(1) <= 0.1 * (1 + 1e-6)).int().tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float32])
def test_a_model_is_evaluated_in_its_own_type_and_left_as_it_is(dtype: torch.dtype):
    model = load_model("digits-float").to(dtype)
    before, seen = copy.deepcopy(model.state_dict()), set()
    model.register_forward_pre_hook(lambda module, given: seen.add(given[0].dtype))
    attacks = {"pgd": pgd(THREAT, steps=3), "hns": pgd_plus(THREAT, Hns(), steps=1), "square": square(THREAT, 3)}
    images, labels = data(24)
    given, state = images.clone(), torch.random.get_rng_state()
    record = evaluate(model, images, labels, attacks, THREAT)
    assert seen == {dtype}
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(part.training for part in model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert torch.equal(images, given)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert record.clean > 0.9
    assert record.robust("pgd") < 0.5


class Streamed(Dataset[Any]):
    """Items that are made when asked for, and counted."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels, self.asked = images, labels, list[int]()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        self.asked.append(position)
        return self.images[position].clone(), int(self.labels[position])


def test_a_data_set_is_streamed_and_gives_the_same_record(network: nn.Module, monkeypatch: pytest.MonkeyPatch):
    images, labels = data(200)
    attacks = {"pgd": pgd(THREAT, steps=3), "margin": pgd(THREAT, steps=3, loss=margin)}
    at_once, stack = [], torch.stack

    def counting(tensors: Any, *rest: Any) -> Tensor:
        if isinstance(tensors, list) and tensors and tensors[0].shape == (1, 8, 8):
            at_once.append(len(tensors))
        return stack(tensors, *rest)

    monkeypatch.setattr(torch, "stack", counting)
    streamed = evaluate(network, Streamed(images, labels), None, attacks, THREAT, batch_size=16)
    monkeypatch.undo()
    assert sum(at_once) > 3 * 190
    assert max(at_once) == 64  # four batches: what is fooled makes room for what waits
    held = evaluate(network, images, labels, attacks, THREAT, batch_size=200)
    for column in set(COLUMNS) - {"forwards", "backwards", "seconds"}:
        for name in attacks:
            streamed_column, held_column = streamed.column(name, column), held.column(name, column)
            assert streamed_column.astype(str).tolist() == held_column.astype(str).tolist()
    assert streamed.codes == held.codes


def passes(record: Record, name: str) -> tuple[float, float]:
    right = record.column(name, "clean_prediction") == record.column(name, "label")
    forwards, backwards = (set(record.column(name, column)[right].tolist()) for column in ("forwards", "backwards"))
    assert len(forwards) == len(backwards) == 1
    return forwards.pop(), backwards.pop()


TINY = Threat(Linf(), 1e-6)  # nothing is fooled, nobody leaves: costs are known
WALK = Ascent(threat=TINY, step_size=1e-7, steps=4)
COSTS = {
    "fgsm": (fgsm(TINY), 1, 1),
    "pgd": (pgd(TINY, steps=7), 7, 7),
    "restarts": (pgd(TINY, steps=4, restarts=3), 4 * 3 + 3, 12),  # and the question after each run who is left
    "hns": (pgd_plus(TINY, Hns(), steps=4), 4 + 1, 4 + 10),  # a Jacobian of ten logits at the start
    "square": (square(TINY, 9), 9, 0),
    "float64": (InFloat64(pgd(TINY, steps=4)), 4, 4),
    "nested": (Restarts(InFloat64(WALK), 2), 4 * 2 + 2, 8),
    "transfer": (Transfer(WALK, relu_network(0, (1, 8, 8))), 0, 0),
}


@pytest.mark.parametrize("name", COSTS)
def test_every_pass_is_counted(name: str):
    attack, forwards, backwards = COSTS[name]
    record = evaluated(load_model("digits-float"), TINY, 20, attack=attack)
    assert passes(record, "attack") == (forwards, backwards)
    assert record.robust("attack") == record.clean


def test_solved_images_cost_less():
    record = evaluated(load_model("digits-float"), pgd=pgd(THREAT))
    assert 1 <= record.column("pgd", "forwards").mean() < 15


def test_sizes_margins_and_steps_are_those_of_the_images():
    model, (images, labels) = load_model("digits-float"), data()
    threat = Threat(L2(), 0.8)
    attack = pgd(threat, steps=6)
    record = evaluate(model, images, labels, {"pgd": attack}, threat)
    found = attack.trace(model, batch_of(images, labels))  # type: ignore[attr-defined]
    size = (found.images - images).double().flatten(1).norm(dim=1).numpy()
    with torch.no_grad():
        logits = model(found.images)
    gap = -margin(logits, labels).numpy()
    right = (model(images).argmax(1) == labels).numpy()
    assert record.column("pgd", "size")[right] == pytest.approx(size[right], rel=1e-6)
    assert record.column("pgd", "margin")[right] == pytest.approx(gap[right], rel=1e-4, abs=1e-4)
    fooled = record.broken("pgd") & right
    steps = record.column("pgd", "step").astype(float)
    assert 0 < fooled.sum() < right.sum()
    assert (steps[fooled] == found.step.numpy()[fooled]).all()
    assert np.isnan(steps[right & ~fooled]).all()


def test_a_run_in_a_folder_leaves_record_and_gallery(network: nn.Module, tmp_path: Path):
    images, labels = data()
    attacks = {"pgd": pgd(THREAT, steps=5), "margin": pgd(THREAT, steps=20, loss=margin)}
    index = torch.arange(48) * 3 + 5
    record = evaluate(network, images, labels, attacks, THREAT, out=tmp_path, indices=index)
    assert record.finished
    assert [path.name for path in tmp_path.iterdir() if "gallery" in path.name] == ["gallery-1.safetensors"]
    with safe_open(tmp_path / "gallery-1.safetensors", "pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert file.metadata()["attack"] == "margin"
    assert len(kept["index"]) == 16
    assert (kept["prediction"] != kept["label"]).all()
    assert (kept["clean_prediction"] == kept["label"]).all()
    assert torch.equal(kept["clean"], images[(kept["index"] - 5) // 3])
    assert (kept["adversarial"] - kept["clean"]).abs().max() <= 0.2
    assert torch.equal(network(kept["adversarial"]).argmax(1), kept["prediction"])
    places = np.searchsorted(record.indices, kept["index"].numpy())
    assert (record.column("margin", "prediction")[places] == kept["prediction"].numpy()).all()


def test_a_gallery_holds_the_first_and_the_last_that_fell(network: nn.Module):
    images, labels = data()
    record = evaluate(network, images, labels, {"margin": pgd(THREAT, steps=20, loss=margin)}, THREAT)
    steps = record.column("margin", "step").astype(float)
    fell = record.broken("margin") & (record.column("margin", "clean_prediction") == record.column("margin", "label"))
    name, chosen = choose(record, ["margin"])
    assert name == "margin"
    assert len(chosen) == len(set(chosen)) == 16 < fell.sum()
    kept, every = np.sort(steps[chosen]), np.sort(steps[fell])
    assert (kept[:8] == every[:8]).all()
    assert (kept[8:] == every[-8:]).all()


def test_nothing_to_show_is_an_empty_gallery(tmp_path: Path):
    images, labels = data(8)
    evaluate(load_model("digits-float"), images, labels, {"fgsm": fgsm(TINY)}, TINY, out=tmp_path)
    with safe_open(tmp_path / "gallery-1.safetensors", "pt") as file:
        assert file.get_tensor("clean").shape == (0, 1, 8, 8)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_goes_to_standard_error_and_only_to_a_terminal(
    terminal: bool, network: nn.Module, capfd: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take a pipe for a terminal
    images, labels = data(8)
    evaluate(network, images, labels, {"fgsm": fgsm(THREAT)}, THREAT, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("fgsm" in err, "8/8" in err) == (terminal, terminal)
    assert terminal or err == ""


def test_no_progress_is_shown_where_none_is_asked_for(network: nn.Module, capfd: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    images, labels = data(8)
    evaluate(network, images, labels, {"fgsm": fgsm(THREAT)}, THREAT, progress=False)
    assert capfd.readouterr() == ("", "")


def test_the_usual_batch_fits_the_images():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    sizes = [usual_batch(shape, cpu) for shape in ((1, 8, 8), (3, 32, 32), (3, 224, 224))]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size % 16 == 0 and size >= 16 for size in sizes)
    assert usual_batch((1, 8, 8), gpu) > usual_batch((1, 8, 8), cpu)


def test_notes_say_on_what_it_ran(network: nn.Module):
    notes = evaluated(network, fgsm=fgsm(THREAT)).store.notes
    assert notes["torch"] == torch.__version__
    assert {"quantattack", "python", "device", "threads", "batch_size", "seconds"} <= set(notes)


def test_the_seed_moves_the_random_starts(network: nn.Module):
    images, labels = data()
    attacks = {"pgd": pgd(THREAT, steps=2)}
    margins = [
        evaluate(network, images, labels, attacks, THREAT, seed=seed).column("pgd", "margin").tolist()
        for seed in (0, 0, 1)
    ]
    assert margins[0] == margins[1] != margins[2]


def test_an_attack_of_three_arguments_is_judged():
    model, images, labels = load_model("digits-float"), *(part[:20] for part in load_data("digits"))
    threat = Threat(Linf(), 0.1)

    def outside(model, images, labels):
        return (images + 0.5).clamp(0, 1)

    record = evaluate(model, images, labels, {"outside": outside}, threat)
    assert record.robust("outside") == record.clean
    assert "outside_threat" in record.codes


@pytest.mark.parametrize("part", ["model", "attack", "source"])
def test_another_model_or_attack_of_the_same_description_is_no_resumption(part, tmp_path):
    float_model, images, labels = load_model("digits-float"), *(part[:20] for part in load_data("digits"))
    threat = Threat(Linf(), 0.1)
    once, twice = {
        "model": ((float_model, {"pgd": fgsm(threat)}), (Times(float_model, 1e4).eval(), {"pgd": fgsm(threat)})),
        "attack": (
            (float_model, {"own": lambda model, images, labels: images}),
            (float_model, {"own": lambda model, images, labels: images.clamp(0.1, 0.9)}),
        ),
        "source": (
            (float_model, {"own": Transfer(fgsm(threat), load_model("digits-mdtanhs"))}),
            (float_model, {"own": Transfer(fgsm(threat), load_model("digits-mdtanhs-bn"))}),
        ),
    }[part]
    if part == "model":
        once = (Times(float_model, 1.0).eval(), once[1])
    for _ in range(2):  # the same again is one run
        evaluate(once[0], images, labels, once[1], threat, out=tmp_path / "run")
    with pytest.raises(ValueError, match="holds another run"):
        evaluate(twice[0], images, labels, twice[1], threat, out=tmp_path / "run")
