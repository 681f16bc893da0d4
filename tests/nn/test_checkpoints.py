import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save_file

from quantattack.errors import InputError
from quantattack.nn.architectures import Small
from quantattack.nn.checkpoints import Card, assemble, quantizer_card, quantizer_of, read_card, save
from quantattack.nn.checkpoints import load as load_checkpoint
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.quantizers import BnnWaq, MdTanhS, Sign, Uniform, UniformActivation, Xnor

IMAGES = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
PAIRS = [(None, None), (MdTanhS(), None), (BnnWaq(), Sign()), (Xnor(), None), (Uniform(4), UniformActivation(4))]


def network(weights, activations):
    torch.manual_seed(0)
    return quantize(
        Small(width=4), weights=weights, activations=activations, skip=["head"] if weights == Xnor() else []
    )


def card_of(weights, activations):
    parts = {"weights": quantizer_card(weights), "activations": quantizer_card(activations)}
    return Card(architecture="small", settings={"width": 4}, data="digits", clean=0.5, **parts)


@pytest.fixture
def path(tmp_path):
    save(network(MdTanhS(), None), tmp_path / "net.safetensors", card_of(MdTanhS(), None))
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize(("weights", "activations"), PAIRS, ids=str)
def test_saving_and_loading_change_no_logit(tmp_path, weights, activations):
    model, card = network(weights, activations), card_of(weights, activations)
    save(model, tmp_path / "net.safetensors", card)
    loaded, again = (load_checkpoint(tmp_path / "net.safetensors") for _ in range(2))
    assert torch.equal(loaded(IMAGES), freeze(model)(IMAGES))
    assert torch.equal(loaded(IMAGES), again(IMAGES))
    assert not loaded.training
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_the_card_comes_back(path):
    card = read_card(path)
    assert replace(card, checksum="") == replace(card_of(MdTanhS(), None), checksum="")
    assert card.quantizer == "md-tanh-s"


def test_the_scale_of_the_training_is_read_from_the_card():
    card = card_of(None, None)
    assert card.logit_scale == 1
    assert replace(card, training={"logit_scale": 0.1}).logit_scale == 0.1
    assert replace(card, training={"logit_scale": {"first": 0.1, "share": 0.4, "kind": "rise"}}).logit_scale == 1
    for value in (0, -1, "1", None, True, float("nan")):
        with pytest.raises(InputError, match="times its logits"):
            _ = replace(card, training={"logit_scale": value}).logit_scale


def test_methods_are_named_by_their_quantizers():
    assert [card_of(*pair).quantizer for pair in PAIRS] == [
        "float", "md-tanh-s", "bnn-waq", "xnor", "uniform-4+uniform-4",
    ]  # fmt: skip


@pytest.mark.parametrize("quantizer", [MdTanhS(), Uniform(2), UniformActivation(3, 2.0)])
def test_a_quantizer_comes_back_from_its_card(quantizer):
    assert quantizer_of(json.loads(json.dumps(quantizer_card(quantizer)))) == quantizer


def test_any_flipped_byte_is_refused(path):
    data = path.read_bytes()
    for index in {*range(0, len(data), 97), 0, 7, 8, len(data) - 1}:
        path.write_bytes(data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :])
        with pytest.raises(InputError) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [1, 8, 100, -40, -1])
def test_a_truncated_file_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="cut off"):
        load_checkpoint(path)


def header(path):
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def rewritten(path, **changes):
    from quantattack.nn import checkpoints

    entry = json.loads(header(path)["__metadata__"]["quantattack"]) | {"checksum": checkpoints.BLANK, **changes}
    data = checkpoints.serialize(load(path.read_bytes()), {checkpoints.KEY: json.dumps(entry)})
    path.write_bytes(data.replace(checkpoints.BLANK.encode(), checkpoints._checksum(data).encode(), 1))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet-9000"}, "unknown architecture"),
        ({"settings": {"width": 8}}, "does not fit|do not fit|size of its shape"),
        ({"settings": {"depth": 8}}, "unknown setting of architecture"),
        ({"settings": {"width": "wide"}}, "cannot be built"),
        ({"activations": {"quantizer": "os.system"}}, "unknown quantizer"),
        ({"activations": {"quantizer": "UniformActivation", "beta": 1}}, "unknown setting of UniformActivation"),
        ({"format": 99}, "another version"),
        ({"surprise": 1}, "states settings that no network has"),
        ({"checksum": 5}, "states settings that no network has"),
        ({"settings": 5}, "states settings that no network has"),
        ({"clean": "most"}, "states settings that no network has"),
        ({"activations": {"quantizer": "UniformActivation", "bits": "4"}}, "does not take"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(path, changes, message):
    rewritten(path)
    load_checkpoint(path)
    with pytest.raises(InputError, match=message):
        load_checkpoint(rewritten(path, **changes))


def test_foreign_safetensors_are_refused(tmp_path):
    save_file({"w": torch.ones(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="not a checkpoint of this package"):
        load_checkpoint(tmp_path / "foreign.safetensors")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_and_not_run(tmp_path, protocol):
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Trap(), protocol))
    with pytest.raises(InputError, match="is a pickle"):
        load_checkpoint(tmp_path / "net.pt")


def test_a_torch_file_is_refused(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "net.pt")
    with pytest.raises(InputError, match="is a pickle"):
        load_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"hello, this is no network at all", b"\x02\0\0\0\0\0\0\0{}"])
def test_junk_is_refused(tmp_path, data):
    (tmp_path / "junk").write_bytes(data)
    with pytest.raises(InputError):
        load_checkpoint(tmp_path / "junk")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        load_checkpoint(tmp_path / "nothing.safetensors")


def test_an_assembled_network_is_frozen():
    assert not assemble(card_of(BnnWaq(), Sign())).training
