"""The attack `exact`: its verdicts are those of looking at every image, and what it returns breaks the network."""

from itertools import product

import numpy as np
import pytest
import torch

import quantattack as qa
from quantattack.attacks.base import batch_of, search, turn_of
from quantattack.certification import cp_sat, milp
from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.bounds import bounded
from quantattack.certification.encoding import input_of
from quantattack.certification.exact import MISSING, Exact
from quantattack.certification.program import program_of
from quantattack.certification.region import region_of
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.nn.architectures import build
from quantattack.nn.quantizers import BinaryConnect, BnnWaq, Sign, Ternary, Uniform, UniformActivation

from .networks import made, points, settled

BYTES = qa.Threat("linf", 1 / 255, levels=256)
TINY = (1, 2, 3)
QUANTIZERS = {
    "float": (None, None),
    "binary": (BinaryConnect(), None),
    "ternary": (Ternary(), None),
    "signs": (BnnWaq(), Sign()),
    "bits": (Uniform(4), UniformActivation(2, 1.0)),
}


CLIPPED = {"hardtanh": torch.nn.Hardtanh(-1.0, 2.0), "relu6": torch.nn.ReLU6()}


def clipped(how: str) -> torch.nn.Module:
    """A perceptron of six pixels whose hidden values reach both ends of their range."""
    hidden = torch.nn.Linear(6, 5)
    with torch.no_grad():
        hidden.weight *= 20
    return torch.nn.Sequential(torch.nn.Flatten(), hidden, CLIPPED[how], torch.nn.Linear(5, 3)).eval()


def tiny(how: str, seed: int) -> torch.nn.Module:
    """A perceptron of six pixels, whose head is large, so that images near its boundaries are found."""
    torch.manual_seed(seed)
    if how in CLIPPED:
        return clipped(how)
    weights, activations = QUANTIZERS[how]
    net = build("perceptron", {"shape": TINY, "classes": 3, "hidden": 5})
    return settled(qa.quantize(net, weights=weights, activations=activations), TINY)


def every_image(clean: torch.Tensor) -> torch.Tensor:
    """All images inside BYTES around one."""
    levels = (clean.flatten() * 255).round().long().tolist()
    ranges = [range(max(0, level - 1), min(255, level + 1) + 1) for level in levels]
    return (torch.tensor(list(product(*ranges))).float() / 255).view(-1, *TINY)


def decided(model, clean, label, threat, seconds=60.0):
    batch = batch_of(clean, torch.tensor([label]))
    trace = search(Exact(threat, seconds), model, batch)
    return trace.bounds[0], trace.images


def cases(how: str, wanted: int = 3):
    """Images of a network near its boundaries: so many that can be broken, and so many that cannot."""
    model, found = tiny(how, 0), {True: [], False: []}
    images = (torch.rand(300, *TINY, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    with torch.no_grad():
        first, second = model(images).topk(2).values.T
        for clean in images[(first - second).argsort()].split(1):
            label = int(model(clean).argmax(1))
            logits = model(every_image(clean))
            broken = bool((logits.argmax(1) != label).any())
            rivals = torch.arange(3) != label
            if float((logits[:, label, None] - logits)[:, rivals].min().abs()) < 1e-4:
                continue  # a tie but for rounding, which no tolerance decides
            if len(found[broken]) < wanted:
                found[broken].append((model, clean, label, broken))
            if all(len(each) == wanted for each in found.values()):
                break
    return found[True] + found[False]


@pytest.mark.parametrize("how", [*QUANTIZERS, *CLIPPED])
def test_the_verdict_is_that_of_looking_at_every_image_of_bytes(how: str):
    seen = set()
    for model, clean, label, broken in cases(how):
        bound, image = decided(model, clean, label, BYTES)
        assert bound.verdict == ("broken" if broken else "proved"), bound
        seen.add(broken)
        if broken:
            assert int(model(image).argmax(1)) != label
            assert bool(BYTES.contains(image, clean)[0])
    assert seen == {True, False}


@pytest.mark.parametrize("name", ["small-signs", "coarse-signs", "perceptron-signs", "small-bits"])
def test_what_the_network_does_is_a_solution_of_the_outer_model(name: str):
    """Literals as the network sets them satisfy every row of the encoding, for many images of the region."""
    model, shape = made(name)
    threat = qa.Threat("linf", 0.05)
    torch.manual_seed(5)
    clean = torch.rand(1, *shape)
    program, region = program_of(model, clean), region_of(threat, clean)
    label = int(model(clean).argmax(1))
    discrete = cp_sat.Discrete(program, region, bounded(program, region, label), label)
    assert discrete.decisions > 1
    for image in points(threat, clean, 20):
        values = values_of(program, image[None])
        numbers = (image.double().flatten() / discrete.pixels.unit).round().numpy()
        variables = np.concatenate([numbers, literals_of(discrete, values)])
        assert len(variables) == discrete.encoding.count
        for layer in discrete.layers:
            if isinstance(layer, cp_sat.Layer):
                check_rows(layer, program, values, variables, discrete)
        reached = discrete.goals.matrix @ variables + discrete.goals.constant
        ahead = (values[program.last] - values[program.last][:, label, None])[0].numpy()
        assert np.allclose(reached, ahead, atol=1e-4)


def values_of(program, image):
    """The value of every step, in float64: close to those of float32, which is what the rows are compared up to."""
    values = [image.double()]
    for step in program.steps[1:]:
        inputs = [values[each] for each in step.inputs]
        part = step.part
        if isinstance(part, Steps):
            values.append(part.at_least(inputs[0]))
        elif isinstance(part, Clip):
            values.append(inputs[0].clamp(part.bottom, part.top))
        elif isinstance(part, MaxPool):
            values.append(part.pool(inputs[0])[0])
        else:
            values.append(part.apply(inputs[0]) + part.shift)
    return values


def literals_of(discrete, values):
    """The literals as the network's values set them, by the steps' matrices."""
    literals = np.zeros(discrete.decisions)
    first = discrete.pixels.count
    for place, (base, matrix) in discrete.encoding.values.items():
        if place:
            value = values[place].flatten().numpy()
            for neuron in range(len(base)):
                height = base[neuron]
                for at in range(matrix.indptr[neuron], matrix.indptr[neuron + 1]):
                    height += matrix.data[at]
                    literals[matrix.indices[at] - first] = value[neuron] >= height - 1e-6
    return literals


def check_rows(layer, program, values, variables, discrete):
    rows = layer.rows.matrix @ variables[: layer.rows.matrix.shape[1]] + layer.rows.constant
    box = discrete.bounded.boxes[source := input_of(program, layer.place)]
    part = program.steps[layer.place].part
    flat = values[source].flatten().numpy()
    sums = flat[part.open(box).flatten().numpy()]
    grid = abs(layer.rows.matrix[:, : discrete.pixels.count]).sum(axis=1) * 0.5
    assert bool((np.abs(rows - sums) <= grid + layer.rows.off + 1e-6).all())


@pytest.mark.parametrize("name", ["small-float", "lenet-float", "perceptron-float", "residual"])
def test_rows_of_a_piecewise_linear_network_are_its_values(name: str):
    model, shape = made(name)
    threat = qa.Threat("linf", 0.05)
    torch.manual_seed(5)
    clean = torch.rand(1, *shape)
    program, region = program_of(model, clean), region_of(threat, clean)
    known = bounded(program, region, label := int(model(clean).argmax(1)))
    piecewise = milp.Piecewise(program, region, known, label)
    for image in points(threat, clean, 10):
        values = values_of_sums(program, image[None])
        variables = np.zeros(len(piecewise.low))
        for place, (base, matrix) in piecewise.encoding.values.items():
            owner = np.repeat(np.arange(len(base)), np.diff(matrix.indptr))
            variables[matrix.indices] = (values[place].flatten().numpy() - base)[owner] / matrix.data
        reached = piecewise.goals.matrix @ variables[: piecewise.goals.matrix.shape[1]] + piecewise.goals.constant
        ahead = (values[program.last][:, label, None] - values[program.last])[0].numpy()
        assert np.allclose(reached, ahead, atol=1e-6)


def values_of_sums(program, image):
    values = [image.double()]
    for step in program.steps[1:]:
        inputs = [values[each] for each in step.inputs]
        part = step.part
        if len(inputs) == 2:
            values.append(inputs[0] + inputs[1])
        elif isinstance(part, Clip):
            values.append(inputs[0].clamp(part.bottom, part.top))
        elif isinstance(part, MaxPool):
            values.append(part.pool(inputs[0])[0])
        else:
            values.append(part.apply(inputs[0]) + part.shift)
    return values


@pytest.mark.parametrize("name", ["small-float", "small-signs", "perceptron-signs", "perceptron-float"])
def test_no_attack_breaks_what_is_proved_and_every_counterexample_breaks(name: str):
    model, shape = made(name)
    threat = qa.Threat("linf", 0.02)
    images = torch.rand(6, *shape, generator=torch.Generator().manual_seed(7))
    labels = model(images).argmax(1)
    trace = search(Exact(threat, 2.0), CountedModel(model), batch_of(images, labels))
    verdicts = [bound.verdict for bound in trace.bounds]
    proved = torch.tensor([verdict == "proved" for verdict in verdicts])
    broken = torch.tensor([verdict == "broken" for verdict in verdicts])
    assert bool((model(trace.images).argmax(1) != labels)[broken].all())
    assert bool(threat.contains(trace.images, images)[broken].all())
    assert bool(proved.any())
    for attack in (qa.pgd(threat), qa.pgd_plus(threat, qa.Gap()), qa.square(threat, 200)):
        attacked = attack(model, images[proved], labels[proved])
        assert bool((model(attacked).argmax(1) == labels[proved]).all())


def test_a_flipped_relaxation_proves_what_attacks_break(monkeypatch):
    """The test above would notice: with the lines swapped, images are proved that PGD breaks."""
    from .test_bounds import flipped_clip

    model, shape = made("perceptron-float")
    threat = qa.Threat("linf", 0.3)
    images = torch.rand(24, *shape, generator=torch.Generator().manual_seed(7))
    labels = model(images).argmax(1)
    broken = model(qa.pgd(threat)(model, images, labels)).argmax(1) != labels

    def wrong() -> int:
        trace = search(Exact(threat, 1.0, complete=False), model, batch_of(images, labels))
        proved = torch.tensor([bound.verdict == "proved" for bound in trace.bounds])
        return int((proved & broken).sum())

    assert bool(broken.any())
    assert wrong() == 0
    monkeypatch.setattr(Clip, "lines", flipped_clip)
    assert wrong() > 0


@pytest.mark.parametrize("how", CLIPPED)
def test_a_range_with_two_ends_is_searched_completely(how: str):
    """Both ends are reached inside the region: no bound decides these images, and every one is decided."""
    torch.manual_seed(1)
    model, threat = clipped(how), qa.Threat("linf", 0.15)
    images = torch.rand(12, *TINY)
    labels = model(images).argmax(1)
    trace = search(Exact(threat, 5.0), model, batch_of(images, labels))
    methods = {bound.method for bound in trace.bounds}
    assert {bound.verdict for bound in trace.bounds} == {"proved", "broken"}
    assert "milp" in methods
    kind = next(part for part in (step.part for step in program_of(model, images[:1]).steps) if isinstance(part, Clip))
    hidden = model[1](images.flatten(1))
    assert bool((hidden > kind.top).any())
    assert bool((hidden < kind.bottom).any())


def test_the_same_search_has_the_same_answer():
    model, shape = made("small-signs")
    clean = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    label = int(model(clean).argmax(1))
    once, again = (decided(model, clean, label, qa.Threat("linf", 0.02), 2.0) for _ in range(2))
    assert once[0].verdict == again[0].verdict
    assert torch.equal(once[1], again[1])


def test_without_a_complete_search_it_says_why(monkeypatch):
    model, shape = made("perceptron-float")
    clean = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    batch, threat = batch_of(clean, model(clean).argmax(1)), qa.Threat("linf", 0.4)
    left_out = search(Exact(threat, complete=False), model, batch).bounds[0]
    assert (left_out.verdict, left_out.method, left_out.reason) == ("open", "crown", "complete search was left out")
    monkeypatch.setattr("quantattack.certification.exact.has_solvers", lambda: False)
    assert search(Exact(threat, complete=False), model, batch).bounds[0].reason == MISSING
    euclidean = search(Exact(qa.Threat("l2", 2.0)), model, batch).bounds[0]
    assert "Linf" in euclidean.reason
    model, shape = made("binary-residual")
    clean = torch.rand(1, *shape)
    mixed = search(Exact(threat), model, batch_of(clean, model(clean).argmax(1))).bounds[0]
    assert mixed.verdict == "proved" or "mixes" in mixed.reason


def test_it_is_run_last_and_refuses_a_time_that_is_none():
    assert turn_of(Exact(BYTES)) > turn_of(qa.standard(BYTES).attacks["close"]) > turn_of(qa.pgd(BYTES))
    with pytest.raises(InputError, match="positive number, not 0"):
        Exact(BYTES, 0)
