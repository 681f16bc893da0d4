"""What quantization cost, in clean and in robust accuracy, on the same images."""

import pytest

from quantattack.record.statistics import mcnemar, paired_difference
from quantattack.report.comparison import comparisons
from quantattack.report.cost import costs
from report.gated import GAP, PLAIN, add, held, made


def told(store, *models):
    records = store.records()
    (comparison,) = comparisons(records, models)
    return costs(records, comparison)


@pytest.fixture
def deployed():
    """A float network that holds 80 of 100 images, and two files, one of them made of it, that hold 50 and 80."""
    store = made()
    for model, count in (("int8.onnx", 50), ("float.onnx", 80), ("other.onnx", 80)):
        add(store, model, held(count, 100), {"pgd": PLAIN, "gap": GAP})
    store.note(deployed={"int8.onnx": {"float": "float.onnx"}, "float.onnx": {"float": None}})
    store.finish()
    return store


def test_a_file_is_held_against_the_float_network_that_it_was_made_of(deployed):
    cost, other = told(deployed)
    assert other.words.startswith("From int8.onnx to other.onnx")
    assert (cost.first, cost.second, cost.is_quantization) == ("float.onnx", "int8.onnx", True)
    assert cost.robust.points == pytest.approx(30)
    assert (cost.robust.pair.only_first, cost.robust.pair.only_second) == (30, 0)
    assert cost.robust.pair.p == pytest.approx(mcnemar(30, 0))
    assert cost.robust.interval == pytest.approx([100 * end for end in paired_difference(30, 0, 50, 100)])
    assert cost.words == (
        "What quantization cost, float.onnx to int8.onnx on 100 images: clean accuracy 99.0% to 99.0%, nothing lost "
        "(95 % interval of the loss -4.1 to +4.1, McNemar p = 1.000, no difference can be told); robust accuracy under "
        "the 2 attacks in common 80.0% to 50.0%, 30.0 points lost "
        "(95 % interval of the loss +20.5 to +38.7, McNemar p = 2e-09)."
    )


def test_of_two_networks_the_second_is_held_against_the_first(deployed):
    (cost,) = told(deployed, "int8.onnx", "other.onnx")
    assert (cost.first, cost.second, cost.is_quantization) == ("int8.onnx", "other.onnx", False)
    assert cost.words.startswith("From int8.onnx to other.onnx on 100 images: ")
    assert "50.0% to 80.0%, 30.0 points gained (95 % interval of the gain +20.5 to +38.7, " in cost.words


def test_of_three_networks_each_is_held_against_the_first():
    store = made()
    for model, count in (("a", 50), ("b", 30), ("c", 60)):
        add(store, model, held(count, 100))
    assert [(cost.first, cost.second) for cost in told(store)] == [("a", "b"), ("a", "c")]


def test_what_is_told_apart_only_alone_is_said_to_be_one_of_many():
    store = made()
    for model, count in (("a", 50), ("b", 44), ("c", 49), ("d", 50)):
        add(store, model, held(count, 100))
    assert "McNemar p = 0.031, no difference can be told among so many pairs" in told(store)[0].words


def test_networks_that_are_named_keep_their_order(deployed):
    records = deployed.records()
    for named in (["int8.onnx", "float.onnx"], ["float.onnx", "int8.onnx"], ["other.onnx", "int8.onnx"]):
        (comparison,) = comparisons(records, named)
        (cost,) = costs(records, comparison, asked=True)
        assert [cost.first, cost.second] == list(comparison.robust) == named
        assert cost.is_quantization == (named == ["float.onnx", "int8.onnx"])
