"""The benchmark of deployed files runs on a small one: its record, its PNG files judged alone, its ratios."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantattack.data.sets import load_data
from quantattack.record.store import Store

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("unchecked")
ROOT = Path(__file__).parents[2]


def test_it_runs_on_a_small_file(tmp_path: Path):
    images, labels = load_data("digits")
    data = tmp_path / "digits.npz"
    np.savez(data, images=(images[:40] * 255).round().byte().numpy(), labels=labels[:40].numpy())
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "deployed.py"))
    case = benchmark["Case"]("small", "digits-mdtanhs", data=str(data))
    folders = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    tiny = [
        "--images",
        "12",
        "--radius",
        "24/255",
        "--pairs",
        "1",
        "--attacks",
        "pgd[steps=3],pgd_plus_gap[steps=3],transfer",
    ]
    benchmark["main"]([*folders, *tiny], [case])
    found = {
        name: json.loads((tmp_path / "out" / f"{name}.json").read_text())
        for name in ("reproduced", "formats", "ratios")
    }
    counts = found["reproduced"]["small"]
    assert counts["successes"] == counts["judged"] == counts["reproduced"] > 0
    assert set(found["formats"]["small"]) == {f"onnx, {form.text}" for form in benchmark["FORMS"]}
    assert all(kind["clean"]["argmax"] == 1.0 for kind in found["formats"]["small"].values())
    assert all(value > 0 for value in found["ratios"]["small"].values())
    records = Store.load(tmp_path / "out" / "small").records()
    assert [record.subject.model for record in records] == ["digits-mdtanhs-qdq-u8s8.onnx", "digits-mdtanhs"]
    assert records[0].threat == records[1].threat

    # a success that is none is not counted as one
    images = (tmp_path / "work" / "runs" / "small" / "images").glob("pgd_plus_gap*/*.png")
    image, (index, label, prediction) = next(
        (path, parts) for path in sorted(images) if (parts := path.stem.split("-"))[1] != parts[2]
    )
    wrong = next(digit for digit in "0123456789" if digit not in (label, prediction))
    image.rename(image.with_name(f"{index}-{label}-{wrong}.png"))
    file = next((tmp_path / "work" / "files").glob("*qdq-u8s8.onnx"))
    judge = [sys.executable, str(ROOT / "examples" / "judge_onnx.py"), str(file), str(image.parents[1])]
    done = subprocess.run(judge, capture_output=True, text=True)
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["judge_onnx", "judge_tflite"])
def test_the_judges_import_only_the_runtime_pillow_and_numpy(name: str):
    lines = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= {"sys", "pathlib", "numpy", "PIL", "onnxruntime", "ai_edge_litert"}
    assert len([line for line in lines if line and not line.startswith('"""')]) <= 20
