"""Build docs/gallery.md from the programs in examples/: each is run, and shown with what it printed.

python scripts/gallery.py [NAME...]: the named programs alone; the others keep the output that the page has.
"""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"
PROGRAMS = {
    "own_model": "Your own torch model",
    "resnet_normalized": "A ResNet with its normalization inside",
    "huggingface_vit": "A vision transformer of Hugging Face",
    "deployed_onnx": "An ONNX file that ships",
    "deployed_tflite": "A TFLite file that ships",
    "adversarial_training": "Adversarial training of a binarized network",
    "new_attack": "A new attack",
    "beside_autoattack": "AutoAttack beside ours",
    "release_gate": "A gate before a release",
    "read_record": "Reading a record with SQL or a data frame",
}
INTRODUCTION = """# Gallery

Short programs, each complete: `python examples/own_model.py`. They take seconds on digits that come with scikit-learn,
and more images as an argument. Numbers may differ by an image on another processor.
"""


def path_of(name: str) -> Path:
    return ROOT / "examples" / f"{name}.py"


def printed_by(name: str) -> str:
    """What a program prints, its exit status on a line of its own where it is not 0."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), patch.object(sys, "argv", [f"{name}.py"]):
        try:
            runpy.run_path(str(path_of(name)), run_name="__main__")
        except SystemExit as end:
            output.write(f"exit status {end.code}\n" if end.code else "")
    return output.getvalue()


def shown_on(text: str) -> dict[str, str]:
    """The output of each program that a page shows."""
    return dict(re.findall(r"<!-- (\w+) -->\n```text\n(.*?)```", text, re.DOTALL))


def built(outputs: dict[str, str]) -> str:
    """The page with these outputs."""
    parts = [INTRODUCTION]
    for name, title in PROGRAMS.items():
        code = path_of(name).read_text(encoding="utf-8")
        parts.append(f"## {title}\n\n```python\n{code}```\n\n<!-- {name} -->\n```text\n{outputs.get(name, '')}```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    kept = shown_on(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else {}
    new = {name: printed_by(name) for name in sys.argv[1:] or PROGRAMS}
    PAGE.write_text(built({**kept, **new}), encoding="utf-8")
