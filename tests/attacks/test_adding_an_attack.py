"""The page on adding an attack: its code is run, evaluated, and held to the contracts."""

import re
import shlex
from pathlib import Path

import pytest

import quantattack as qa
from attacks import test_contracts as contracts
from commands import command
from contracts import THREATS, Member
from quantattack.attacks.base import TracedAttack, adopt
from quantattack.record.description import describe

PAGE = (Path(__file__).parents[2] / "docs" / "adding-an-attack.md").read_text(encoding="utf-8")
FILE, LINE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SPACE: dict[str, object] = {"Member": Member, "__name__": "jump"}
exec(compile(FILE, "docs: the attack", "exec"), SPACE)
MEMBER = eval(compile(LINE.strip(), "docs: its line in the list", "eval"), SPACE)
CONTRACTS = [
    contracts.test_every_image_stays_in_the_threat,
    contracts.test_the_same_seed_gives_the_same_images,
    contracts.test_repr_and_description_state_every_setting,
    contracts.test_equal_settings_make_equal_attacks,
    contracts.test_more_restarts_never_raise_robust_accuracy,
]
every_threat = pytest.mark.parametrize("threat", THREATS, ids=lambda threat: type(threat.norm).__name__)


def code_lines(text: str) -> int:
    """Lines of code but for imports, docstrings and blank ones."""
    return len([line for line in text.splitlines() if line.strip() and not re.match(r'(from|import|\s+""")', line)])


def test_it_is_one_short_file_and_one_line():
    assert code_lines(FILE) <= 17
    assert len(LINE.strip().splitlines()) == 1
    assert max(len(line) for line in PAGE.splitlines()) <= 130


@every_threat
def test_it_keeps_the_contracts(threat, network, images, labels):
    every = {"member": MEMBER, "threat": threat, "network": network, "images": images, "labels": labels}
    for contract in CONTRACTS:
        wanted = contract.__code__.co_varnames[: contract.__code__.co_argcount]
        contract(**{name: every[name] for name in wanted})
    contracts.test_nothing_is_left_changed(MEMBER, threat, images, labels)
    contracts.test_any_batch_and_image_shape_works(MEMBER, threat)
    contracts.test_cutting_and_reordering_change_no_verdict(MEMBER, threat, images, labels)


@every_threat
def test_it_is_evaluated_like_any_other(threat, network, images, labels):
    attack = MEMBER.make(threat, network, images, 1)
    record = qa.evaluate(network, images, labels, {"jump": attack, "fgsm": qa.fgsm(threat)}, threat)
    assert record.robust("jump") <= record.clean
    assert record.column("jump", "forwards").max() <= 2
    assert (record.column("jump", "inside") == 1).all()
    assert describe(attack)["part"] == "Jump"
    assert isinstance(adopt(attack), TracedAttack)


def test_its_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FILE, encoding="utf-8")
    (line,) = re.findall(r"```sh\nquantattack (.*?)\n```", PAGE)
    assert command(*shlex.split(line), "--quiet") == 0
    record = qa.Record.load("runs/jump")
    assert record.attacks == ["pgd[steps=10]", "mine.py:Jump"]
    assert record.settings("mine.py:Jump")["loss"] == "cross_entropy"
    assert not {"opaque", "random_attack"} & set(record.codes)
