"""The report reads records: it imports no torch, and nothing of the package but records and errors."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import quantattack.report

HERE = Path(quantattack.report.__file__).parent
ALONE = """
import sys, types
package = types.ModuleType("quantattack")
package.__path__ = [{path!r}]
sys.modules["quantattack"] = package
import quantattack.report.page, quantattack.report.tables
sys.exit("torch" in sys.modules or "matplotlib.pyplot" in sys.modules)
"""


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_reads_records_only(path):
    own = {name for name in imported(path) if name.startswith("quantattack")}
    allowed = ("quantattack.errors", "quantattack.record.", "quantattack.report.")
    assert all(name.startswith(allowed) for name in own), own
    assert not {name for name in imported(path) if name.split(".")[0] == "torch"}


def test_no_torch_is_loaded_beside_the_packages_front_door():
    done = subprocess.run([sys.executable, "-c", ALONE.format(path=str(HERE.parent))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tables_do_without_matplotlib():
    names = set(imported(HERE / "tables.py"))
    assert not any(name.startswith("matplotlib") for name in names)
