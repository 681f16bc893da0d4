"""At 60, 80 and 120 columns no command cuts a network's name or a number, nor breaks one over lines."""

import re
from pathlib import Path
from typing import Any

import pytest

from commands import command
from quantattack.cli.commands import app
from report.gated import GAP, PLAIN, add, held, made

LONG = "cifar10-resnet8-uniform8-finetuned-with-a-long-name"
NETWORKS = ("digits-float", "digits-mdtanhs", "nets/mine.py:build_the_network", LONG)
ATTACKS = {"pgd[steps=40]": PLAIN, "pgd_plus_gap[steps=40,restarts=20]": GAP, "square": {"part": "Square"}}
COMMANDS = {
    "show": "show runs/all",
    "compare": "compare runs/all",
    "leaderboard": "leaderboard runs",
    "list models": "list models",
    "list data": "list data",
    "list attacks": "list attacks",
    "list quantizers": "list quantizers",
    "list architectures": "list architectures",
    "inspect": "inspect digits-bnn-waq",
    "evaluate": "evaluate digits-float digits-mdtanhs-bn --attacks pgd[steps=2],fgsm --images 9 --quiet --out done",
    "certify": "certify digits-float --attacks fgsm --images 4 --seconds-per-image 0.1 --quiet --out certified",
    "merge": "merge runs/all --out merged",
    "diagnose": "diagnose digits-float --images 12 --budget 60",
    "signal": "signal digits-float digits-mdtanhs --images 6 --quiet --out signals",
    "reproduce": "reproduce gupta2022 table12 digits-float --images 4 --budget 40 --quiet --out reproduced",
}
WITHOUT = {"report", "export", "verify", "fetch", "train", "export-onnx"}  # these print lines, and no table
NUMBER = re.compile(r"(?<![\w.,:=-])\d[\d.,]*%?(?![\w/])")
SAID = re.compile(r"In \d+ tables, since.*|Left out, since(?s:.)*?--json\s+has\s+all\.|[\d.]+ s(?=\b)")
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a record of four networks under two radii, with counts that need many digits."""
    where = tmp_path_factory.mktemp("widths")
    store = made(where / "runs" / "all")
    for place, network in enumerate(NETWORKS):
        for radius in (0.1, 8 / 255):
            add(store, network, held(731 - 7 * place, of=1000), ATTACKS, radius=radius)
    store.finish()
    store.close()
    return where


@pytest.fixture
def printed(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(folder)

    def run(words: str, width: int) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        assert command(*words.split()) in (0, 3)
        return str(capsys.readouterr().out)

    return run


def numbers(text: str) -> set[str]:
    return {number.strip(".,") for number in NUMBER.findall(SAID.sub("", text))}


def test_every_command_that_prints_a_table_is_here():
    named = {each.name for each in app.registered_commands}
    assert named - WITHOUT == {name.partition(" ")[0] for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_name_and_no_number_is_cut_or_broken(name: str, printed: Any):
    wide = printed(COMMANDS[name], 500)
    for width in (60, 80, 120):
        text = printed(COMMANDS[name], width)
        assert "…" not in text
        assert numbers(text) <= numbers(wide), (width, text)
        assert "Left out" in text or numbers(text) == numbers(wide), (width, text)
        for network in re.findall(r"digits-[\w-]+", wide):
            assert network in text, (width, text)
        tables = [line for line in text.splitlines() if line.startswith(" ")]
        assert max(map(len, tables), default=0) <= width, (width, text)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["show", "compare", "leaderboard"])
def test_a_long_name_is_folded_and_loses_no_letter(name: str, width: int, printed: Any):
    text = printed(COMMANDS[name], width)
    for part in re.split(r"(?<=-)", LONG):
        assert part in text
