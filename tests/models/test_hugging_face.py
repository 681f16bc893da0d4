"""Image classifiers of Hugging Face's transformers, from folders; the library itself is optional."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import quantattack as qa
from quantattack.cli import main

IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
PROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.3, 0.4],
    "size": {"height": 32, "width": 32},
}


def library() -> Any:
    if os.environ.get("QUANTATTACK_MODELS") == "required":
        return __import__("transformers")
    return pytest.importorskip(
        "transformers", reason="transformers is not installed; make test-extras brings it", exc_type=ImportError
    )


@pytest.fixture
def classifier(tmp_path: Path) -> tuple[Any, Path]:
    """A small network and its folder."""
    transformers = library()
    settings = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=10
    )
    torch.manual_seed(0)
    inside = transformers.ResNetForImageClassification(settings).eval()
    inside.save_pretrained(tmp_path / "net")
    return inside, tmp_path / "net"


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(PROCESSOR[key]).reshape(3, 1, 1) for key in ("image_mean", "image_std"))
    return (images - mean) / std


@pytest.mark.filterwarnings("ignore")
def test_a_folder_is_a_model_with_its_processor_s_pixels(classifier: tuple[Any, Path]):
    inside, folder = classifier
    with torch.no_grad():
        assert torch.equal(qa.load_model(folder)(IMAGES), inside(IMAGES).logits)
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        for name in (folder, folder / "model.safetensors"):
            model = qa.load_model(name)
            assert torch.allclose(model(IMAGES), inside(normalized(IMAGES)).logits, atol=1e-5)
            assert not any(module.training for module in model.modules())
        told = qa.load_model(folder, range=(0, 1))
        assert torch.equal(told(IMAGES), inside(IMAGES).logits)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [({"do_rescale": False}, 0, 255), ({"rescale_factor": 1 / 127.5, "rescale_offset": True}, -1, 1), ({}, 0, 1)],
)
def test_what_a_processor_does_not_normalize_it_may_rescale(
    classifier: tuple[Any, Path], settings: dict[str, Any], low: float, high: float
):
    inside, folder = classifier
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | {"do_normalize": False} | settings))
    with torch.no_grad():
        found = qa.load_model(folder)(IMAGES)
        assert torch.allclose(found, inside(low + (high - low) * IMAGES).logits, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_it_is_stated_and_verified(classifier: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch, capsys: Any):
    import numpy as np

    _, folder = classifier
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    monkeypatch.chdir(folder.parent)
    np.savez("mine.npz", images=IMAGES.numpy(), labels=qa.load_model("net")(IMAGES).argmax(1).numpy())
    how = ["--data", "mine.npz", "--radius", "1/255", "--attacks", "fgsm", "--out", "run", "--quiet"]
    for command in (["evaluate", "net", *how], ["verify", "run"], ["inspect", "net", "--data", "mine.npz"]):
        with pytest.raises(SystemExit) as end:
            main(command)
        said = capsys.readouterr()
        assert not end.value.code, said.err
        words = "net takes pixels as nchw, black is 0 and white 1, less the mean 0.4, 0.5, 0.6, over the deviation"
        assert words in said.err
        assert (
            "(preprocessor_config.json); its processor makes images of 32 x 32, and yours are not resized" in said.err
        )
    assert qa.Record.load("run").clean == 1.0


@pytest.mark.filterwarnings("ignore")
def test_a_network_without_its_classifier_is_refused(classifier: tuple[Any, Path]):
    inside, folder = classifier
    inside.resnet.save_pretrained(folder.parent / "backbone")
    with pytest.raises(qa.InputError, match=r"lacks weights of its network: classifier\.1\.bias"):
        qa.load_model(folder.parent / "backbone")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(qa.InputError, match="is not an image classifier of transformers") as refusal:
        qa.load_model(folder)
    assert "\n" not in str(refusal.value)


def test_what_is_missing_is_said_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    folder = tmp_path / "net"
    folder.mkdir()

    def refusal() -> str:
        with pytest.raises(qa.InputError) as error:
            qa.load_model(folder)
        return str(error.value)

    assert "is a folder without config.json" in refusal()
    (folder / "config.json").write_text("[1]")
    assert "must hold settings in JSON" in refusal()
    (folder / "config.json").write_text('{"auto_map": {}}')
    assert "code of its own (auto_map), which is not run" in refusal()
    (folder / "config.json").write_text("{}")
    assert "has no weights; model.safetensors is needed" in refusal()
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    assert "has only pytorch_model.bin, a pickle, which runs code when loaded" in refusal()
    (folder / "model.safetensors").write_bytes(b"")
    assert "pip install 'quantattack[transformers]'" in refusal()
