"""Files that cannot be used: one line each, no traceback, and no process that dies of them."""

import signal
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from deployed.tflite.files import flat, residual
from deployed.tflite.writer import Writer
from quantattack.deployed.tflite import opening, trial
from quantattack.deployed.tflite.graph import read_graph
from quantattack.deployed.tflite.load import load_tflite
from quantattack.errors import InputError

EDGES = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 255, 65536)


def refused(tmp_path, data):
    """The one line that a file is refused with."""
    path = tmp_path / "file.tflite"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_tflite(path)
    line = str(caught.value)
    assert line.startswith("file.tflite: ")
    assert "\n" not in line
    return line


def mutated(data, case):
    """A file cut short (every other one), with four other bytes, or with an extreme number where any may be."""
    rng, changed = np.random.default_rng(case), bytearray(data)
    if case % 2 == 0:
        return bytes(changed[: int(rng.integers(len(changed)))])
    at = int(rng.integers(len(changed) // 4)) * 4
    number = int(rng.integers(1 << 32)) if case % 4 == 1 else int(rng.choice(EDGES))
    changed[at : at + 4] = number.to_bytes(4, "little")
    return bytes(changed)


def outcome(load, *arguments):
    """What becomes of a file: "read", or the one line that refuses it; any other error is one."""
    try:
        load(*arguments)
    except InputError as error:
        return str(error)
    return "read"


def test_two_hundred_mutations_load_or_are_refused_in_one_line(tmp_path):
    data = residual(channels=2, classes=2)  # few weights: most bytes are structure
    path, outcomes = tmp_path / "mutated.tflite", []
    for case in range(200):
        path.write_bytes(mutated(data, case))
        outcomes.append(outcome(load_tflite, path))
    assert not [line for line in outcomes if "\n" in line]
    assert 120 < sum(line != "read" for line in outcomes) < 195


def test_many_mutations_are_read_or_refused_in_one_line():
    data = residual()
    outcomes = [outcome(read_graph, mutated(data, 1000 + case)) for case in range(200)]
    assert not [line for line in outcomes if "\n" in line]
    assert 100 < sum(line != "read" for line in outcomes) < 200


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"TFL3", "the identifier TFL3 is missing"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "the identifier TFL3 is missing"),
        (bytes(4) + b"TFL3" + bytes(100), "the file is damaged"),
        (b"\xff\xff\xff\xffTFL3" + bytes(100), "the file is damaged"),
        (residual()[:-1000], "the file is damaged"),
    ],
)
def test_no_tflite_file(data, says, tmp_path):
    assert says in refused(tmp_path, data)


def test_tables_that_hold_themselves_end():
    # a model whose list of graphs points back at the model, again and again
    writer = Writer()
    inputs, output = writer.tensor((1, 4), "int8", 1.0), writer.tensor((1, 4), "int8", 1.0)
    writer.operator("RELU", [inputs], [output], None, 2)
    data = bytearray(writer.bytes([inputs], [output]))
    model = schema.Model.GetRootAs(bytes(data), 0)
    place = model._tab.Vector(model._tab.Offset(8))  # the first offset of the list of graphs
    data[place : place + 4] = (model._tab.Pos - place & 0xFFFFFFFF).to_bytes(4, "little")
    with pytest.raises(InputError, match="damaged"):
        read_graph(bytes(data))


def one(name, taken=(1, 8, 8, 3), given=(1, 8, 8, 3), options=None, kind="int8", more=(), version=1):
    """A file of one operator, with constants after its input."""
    writer = Writer()
    inputs = writer.tensor(taken, kind, 0.5, 3)
    output = writer.tensor(given, kind, 0.5, 3)
    held = [writer.tensor(np.shape(data), "int32", data=data) for data in more]
    writer.operator(name, [inputs, *held], [output], options, version)
    return flat(writer, output, int(np.prod(given)), kind, 0.5, 3)


CASES = {
    "an unknown operator": (lambda: one("EXP", kind="float32"), "EXP, which is not read"),
    "a resize": (
        lambda: one("RESIZE_BILINEAR", options=schema.ResizeBilinearOptionsT(), more=[[8, 8]]),
        "RESIZE_BILINEAR, which is not read",
    ),
    "a mean over the batch": (
        lambda: one("MEAN", given=(1, 1, 8, 3), options=schema.ReducerOptionsT(keepDims=True), more=[[0, 1]]),
        "sums over the images of a batch",
    ),
    "padding of the batch": (
        lambda: one("PAD", options=schema.PadOptionsT(), more=[[[0, 1], [0, 0], [0, 0], [0, 0]]]),
        "PAD adds images to a batch",
    ),
    "a transposed batch": (
        lambda: one("TRANSPOSE", given=(3, 8, 8, 1), options=schema.TransposeOptionsT(), more=[[3, 1, 2, 0]]),
        "TRANSPOSE moves the images of a batch",
    ),
    "two scales where there is one": (lambda: _two_scales(), "takes one scale and gives another"),
    "a window that is none": (
        lambda: one("MAX_POOL_2D", options=schema.Pool2DOptionsT(padding=0)),
        "has a window that is none",
    ),
    "an activation that is not read": (
        lambda: one("ADD", options=schema.AddOptionsT(fusedActivationFunction=4), more=[[1]]),
        "ADD",
    ),
    "shapes that do not fit": (
        lambda: one("TRANSPOSE", given=(1, 8, 8, 3), options=schema.TransposeOptionsT(), more=[[0, 1, 3, 2]]),
        "is not of the shape that it states",
    ),
    "int16 activations": (lambda: one("RELU", kind="int16"), "int16"),
    "weights that are quantized under float inputs": (lambda: _hybrid(), "int8 weights (dynamic range)"),
    "a custom operator": (lambda: _custom(), "custom operator 'MyOperator'"),
    "an open image size": (lambda: _open(), "sizes must be fixed"),
    "a detector": (lambda: _outputs(2), "has 2 outputs"),
    "two inputs": (lambda: _inputs(), "has 2 inputs"),
    "no classifier": (lambda: _segmenter(), "no classifier: its output has shape (1, 8, 8, 3)"),
    "a batch that is fixed": (lambda: _batch(), "only files made for one image at a time"),
    "two graphs": (lambda: _graphs(), "has 2 graphs"),
}


def _simple(taken=(1, 4), given=(1, 4)):
    writer = Writer()
    inputs, output = writer.tensor(taken, "int8", 0.5, 3), writer.tensor(given, "int8", 0.5, 3)
    writer.operator("RELU", [inputs], [output], None, 2)
    return writer, inputs, output


def _two_scales():
    writer = Writer()
    inputs, output = writer.tensor((1, 2, 2), "int8", 0.5, 3), writer.tensor((1, 4), "int8", 0.25, 3)
    writer.operator("RESHAPE", [inputs], [output], schema.ReshapeOptionsT(newShape=[1, 4]))
    return writer.bytes([inputs], [output])


def _hybrid():
    writer = Writer()
    inputs, output = writer.tensor((1, 4), "float32"), writer.tensor((1, 2), "float32")
    weight = writer.tensor((2, 4), "int8", 0.1, 0, data=np.arange(8).reshape(2, 4))
    writer.operator("FULLY_CONNECTED", [inputs, weight, -1], [output], schema.FullyConnectedOptionsT())
    return writer.bytes([inputs], [output])


def _custom():
    writer, inputs, output = _simple()
    code = writer.model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "MyOperator"
    return writer.bytes([inputs], [output])


def _open():
    writer, inputs, output = _simple((1, 4, 4, 3), (1, 4, 4, 3))
    writer.graph.tensors[0].shapeSignature = [-1, -1, -1, 3]
    return writer.bytes([inputs], [output])


def _outputs(count):
    writer, inputs, output = _simple()
    return writer.bytes([inputs], [output] * count)


def _inputs():
    writer, inputs, output = _simple()
    return writer.bytes([inputs, inputs], [output])


def _segmenter():
    writer, inputs, output = _simple((1, 8, 8, 3), (1, 8, 8, 3))
    return writer.bytes([inputs], [output])


def _batch():
    writer, inputs, output = _simple((4, 4), (4, 4))
    writer.graph.tensors[1].shape = [1, 4]
    return writer.bytes([inputs], [output])


def _graphs():
    writer, inputs, output = _simple()
    writer.model.subgraphs.append(writer.graph)
    return writer.bytes([inputs], [output])


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_read_is_refused_by_name(case, tmp_path, monkeypatch):
    def never(*arguments):
        raise AssertionError("the interpreter was asked")

    monkeypatch.setattr(trial, "_opened", never)
    build, says = CASES[case]
    assert says in refused(tmp_path, build())


def test_a_folder_a_missing_file_and_kernels_that_do_not_exist(small, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_tflite(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_tflite(tmp_path / "none.tflite")
    with pytest.raises(InputError, match="unknown kernels 'referenc'; did you mean 'reference'"):
        load_tflite(small, kernels="referenc")
    with pytest.raises(InputError, match="threads must be a whole number"):
        load_tflite(small, threads=0)


def test_without_the_extra_there_is_one_line(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r"pip install 'quantattack\[tflite\]'"):
        load_tflite(small)


def test_a_file_that_kills_the_interpreter_is_one_line(small, tmp_path, monkeypatch):
    program = tmp_path / "dies.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(opening, "__file__", str(program))
    monkeypatch.setattr(trial, "_FOUND", {})
    with pytest.raises(InputError, match=rf"the interpreter died of the file \(signal {signal.SIGSEGV.value}\)"):
        load_tflite(small)


def test_a_file_that_the_interpreter_refuses_is_one_line(small, tmp_path, monkeypatch):
    program = tmp_path / "refuses.py"
    program.write_text("raise RuntimeError('no such version')\n")
    monkeypatch.setattr(opening, "__file__", str(program))
    monkeypatch.setattr(trial, "_FOUND", {})
    with pytest.raises(InputError, match="refuses the file: RuntimeError: no such version"):
        load_tflite(small)


def test_a_file_is_tried_once_in_a_process(small, monkeypatch):
    tries = []
    ordinary = trial._opened
    monkeypatch.setattr(trial, "_FOUND", {})
    monkeypatch.setattr(trial, "_opened", lambda *arguments: tries.append(1) or ordinary(*arguments))
    load_tflite(small)
    load_tflite(small, threads=2)
    assert len(tries) == 1
