"""Files of ExecuTorch and OpenVINO, judged from the twin of the model that they were made of."""

import importlib
import os
import pickle

import pytest
import torch

import quantattack as qa
from deployed.torch_programs.programs import images, made, pt2e, quiet
from quantattack.deployed import from_program, judged
from quantattack.deployed.judges.judged import open_judge

THREAT = qa.Threat(qa.Linf(), 0.2)
pytestmark = pytest.mark.filterwarnings("ignore")  # the runtimes warn of their own deprecations


def need(name):
    if os.environ.get("QUANTATTACK_JUDGES") == name:
        return importlib.import_module(name)
    target = "test-runtimes" if name == "openvino" else f"test-{name}"
    return pytest.importorskip(name, reason=f"{name} is not installed; make {target} brings it", exc_type=ImportError)


@pytest.fixture(scope="module")
def pte(tmp_path_factory, digits):
    """A quantized network as a program and as ExecuTorch's file."""
    need("executorch")
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with quiet():
        program = pt2e(digits[0], kind="xnnpack", batch=1)
        exported = torch.export.export(program, (images(1).clone(),))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    path = tmp_path_factory.mktemp("pte") / "model.pte"
    path.write_bytes(lowered.buffer)
    return program, path


@pytest.fixture(scope="module")
def xml(tmp_path_factory, digits):
    """A float network and OpenVINO's file of it."""
    openvino = need("openvino")
    network = digits[0]
    with quiet():
        model = openvino.convert_model(network, example_input=images(1))
    path = tmp_path_factory.mktemp("xml") / "model.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return network, path


@pytest.mark.parametrize("kind", ["pte", "xml"])
def test_the_file_judges_and_what_it_was_made_of_is_climbed(kind, request, digits, unchecked):
    source, path = request.getfixturevalue(kind)
    model = judged(path, source)
    with torch.no_grad():
        own = (from_program(source) if kind == "pte" else source)(images(40))
    assert (model(images(40)) - own).abs().max() < 0.1 * own.std()
    assert (model(images(40)).argmax(1) == own.argmax(1)).float().mean() > 0.9
    assert torch.equal(model(images(40)), torch.cat([model(image[None]) for image in images(40)]))
    shown, labels = digits[1][:12], model(digits[1][:12]).argmax(1)
    record, attacked = qa.evaluate(model, shown, labels, {"pgd": qa.pgd(THREAT, steps=3)}, THREAT, return_images=True)
    assert record.clean == 1.0
    assert record.robust("pgd") < 0.5
    verdict = open_judge(path)(attacked["pgd"]).argmax(1) == labels
    assert record.robust("pgd") == verdict.double().mean()


@pytest.mark.parametrize("kind", ["pte", "xml"])
def test_the_file_is_opened_again_elsewhere_if_it_is_the_same(kind, request):
    _, path = request.getfixturevalue(kind)
    runtime = open_judge(path)
    sent = pickle.dumps(runtime)
    assert torch.equal(pickle.loads(sent)(images(5)), runtime(images(5)))
    assert runtime.artifact.name == path.name
    assert runtime.artifact.runtime.split()[0] == runtime.artifact.format
    whole = path.read_bytes()
    try:
        path.write_bytes(whole + b" ")
        with pytest.raises(qa.InputError, match="another file"):
            pickle.loads(sent)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["pte", "xml"])
@pytest.mark.parametrize("content", [b"", b"nothing" * 20, None])
def test_a_damaged_file_is_one_line(kind, content, request, tmp_path):
    _, path = request.getfixturevalue(kind)
    bad = tmp_path / path.name
    bad.write_bytes(path.read_bytes()[:700] if content is None else content)
    bad.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(qa.InputError, match="is damaged") as refusal:
        open_judge(bad)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [("model.bin", r"no \.pte, \.xml, \.onnx file"), ("missing.pte", "not there"), ("missing.xml", "not there")],
)
def test_what_is_no_such_file_is_one_line(tmp_path, name, words):
    with pytest.raises(qa.InputError, match=words):
        judged(tmp_path / name, made("residual"))


@pytest.mark.parametrize(("name", "extra"), [("model.pte", "executorch"), ("model.xml", "openvino")])
def test_a_missing_runtime_is_named_with_its_extra(tmp_path, monkeypatch, name, extra):
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / name).with_suffix(".bin").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, extra, None)
    monkeypatch.setitem(__import__("sys").modules, f"{extra}.runtime", None)
    with pytest.raises(qa.InputError, match=rf"quantattack\[{extra}\]"):
        judged(tmp_path / name, made("residual"))


def test_a_file_without_its_twin_is_refused(xml):
    _, path = xml
    with pytest.raises(qa.InputError, match="twin=model"):
        judged(path, None)


@pytest.mark.parametrize("kind", ["pte", "xml"])
def test_load_takes_the_file_with_its_twin(kind, request):
    source, path = request.getfixturevalue(kind)
    model = qa.deployed.load(path, twin=source, range=(0, 1))
    assert torch.equal(model(images(8)), judged(path, source)(images(8)))
    asked = images(8).requires_grad_()
    (gradient,) = torch.autograd.grad(model(asked).sum(), asked)
    assert gradient.abs().sum() > 0
    alone = qa.deployed.load(path, range=(0, 1))
    assert not alone(images(8).requires_grad_()).requires_grad
