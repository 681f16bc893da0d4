"""From a network to the verdict on the 8-bit ONNX file that ships (extra `onnx`): python deployed_onnx.py [IMAGES]."""

import sys
import tempfile
from pathlib import Path

import quantattack as qa

network = qa.load_model("digits-bnn-waq")
images, _ = qa.load_data("digits", split="train")
count = int(sys.argv[1]) if len(sys.argv) > 1 else 32
tests, answers = (part[:count] for part in qa.load_data("digits"))
tests = (255 * tests).round() / 255  # a file is shown bytes
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.onnx"
    qa.deployed.export_onnx(network, path, images[:64], int8="qdq", calibration=images[:200])
    model = qa.load_model(str(path))  # its twin is searched, onnxruntime judges
    threat = qa.Threat("linf", 16 / 255, levels=256)
    attacks = {"pgd": qa.pgd(threat, steps=10), "gap": qa.pgd_plus(threat, qa.Gap(), steps=10)}
    record = qa.evaluate(model, tests, answers, attacks, threat, name=path.name)
    print(f"{path.name}: clean {record.clean:.2f}  pgd {record.robust('pgd'):.2f}  worst case {record.worst_case:.2f}")
