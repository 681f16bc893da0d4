"""Images outside of [0, 1] are answered with what brings them there, and the model what it takes."""

import pytest
import torch

import quantattack as qa

CASES = {
    "times 255": (lambda x: 255 * x, ("from 0 to 255", "give images / 255", "range=(0, 255)", "--range 0,255")),
    "bytes": (lambda x: (255 * x).byte(), ("torch.uint8", "give images / 255", "--range 0,255")),
    "integers": (lambda x: x.long(), ("torch.int64", "images.float()")),
    "normalized": (lambda x: 2 * x - 1, ("from -1 to 1", "undo their normalization", "mean=...", "--mean and --std")),
    "times 16": (lambda x: 16 * x, ("from 0 to 16", "give images / 16")),
    "resized": (lambda x: x * 1.002 - 0.001, ("give images.clamp(0, 1)",)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_message_says_the_range_and_what_to_do(case: str):
    changed, says = CASES[case]
    images, labels = qa.load_data("digits")
    model, threat = qa.load_model("digits-float"), qa.Threat("linf", 0.1)
    with pytest.raises(qa.InputError) as refusal:
        qa.evaluate(model, changed(images[:20]), labels[:20], qa.fgsm(threat), threat)
    assert all(words in str(refusal.value) for words in says), refusal.value
    assert "\n" not in str(refusal.value)


def test_what_it_says_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(
        "import quantattack as qa\n"
        "def model():\n"
        "    import torch\n    net = qa.load_model('digits-float')\n"
        "    class Of255(torch.nn.Module):\n"
        "        def __init__(self):\n            super().__init__()\n            self.net = net\n"
        "        def forward(self, x):\n            return self.net(x / 255)\n"
        "    return Of255().eval()\n"
    )
    images, labels = qa.load_data("digits")
    images, labels, threat = images[:20] * 255 / 255, labels[:20], qa.Threat("linf", 0.1)
    model = qa.load_model("my.py:model", range=(0, 255))
    found = qa.evaluate(model, images, labels, qa.fgsm(threat), threat)
    expected = qa.evaluate(qa.load_model("digits-float"), images, labels, qa.fgsm(threat), threat)
    assert found.clean == expected.clean > 0.9
    assert torch.isfinite(model(images)).all()
