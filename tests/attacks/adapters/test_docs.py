"""Every example of the page on attacks from elsewhere runs with the real library, in under 20 lines."""

import re
from pathlib import Path

import pytest

from attacks.adapters.peers import MODULES, need

PAGE = (Path(__file__).parents[3] / "docs" / "attacks-from-elsewhere.md").read_text()
EXAMPLES = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE, re.DOTALL))


def test_each_adapter_has_an_example_under_20_lines():
    assert set(EXAMPLES) >= {*MODULES, "bound", "models"}
    assert all(len(text.strip().splitlines()) < 20 for text in EXAMPLES.values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("extra", EXAMPLES)
def test_the_example_runs(extra, capsys):
    need(extra)
    exec(compile(EXAMPLES[extra], f"docs: {extra}", "exec"), {})
    printed = capsys.readouterr().out
    assert bool(printed) == ("print(" in EXAMPLES[extra])


def test_all_examples_but_the_one_that_asserts_print_a_number():
    silent = [extra for extra, text in EXAMPLES.items() if "print(" not in text]
    assert silent == ["scaled"]
    assert "assert torch.equal" in EXAMPLES["scaled"]
