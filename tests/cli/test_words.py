"""No word of the command line is lost, or taken for what it is not: one line says what was meant."""

from pathlib import Path
from typing import Any

import pytest

from commands import command

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def refused(capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command that is refused in an empty folder, and return its one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert command(*arguments) == 2
        line = str(capsys.readouterr().err)
        assert line.startswith("error: ")
        assert line.count("\n") == 1
        return line

    return run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--save-images all", "--save-images takes files or png, not 'all'"),
        ("--save-images digits-float", "--save-images takes files or png, not 'digits-float'"),
        ("--attacks pgd, gap", "write a list as one, pgd,gap, or in quotes"),
        ("--attacks pgd[steps=2, restarts=2]", "write a list as one, pgd[steps=2,restarts=2], or in quotes"),
        ("--attacks pgd gap", "gap is an attack, not a model; write the attacks as one word, --attacks pgd,gap"),
        ("--attacks pgd fgsm[step_size=1/9]", "--attacks pgd,fgsm[step_size=1/9]"),
        ("--radius 0.1 0.2", "0.2 is a number, not a model"),
        ("--radius 1/255 2/255", "2/255 is a number, not a model"),
    ],
)
def test_a_word_that_is_no_model_is_not_taken_for_one(words: str, says: str, refused: Any):
    assert says in refused("evaluate", "digits-float", "--images", "4", *words.split(" "))


@pytest.mark.parametrize(
    "words", ["--radius 0.2", "--attacks pgd", "--data mnist", "--images 3", "--seed 0", "--one-logit", "--save-images"]
)
def test_what_a_run_file_says_is_not_said_beside_it(words: str, refused: Any):
    Path("run.yaml").write_text("{models: digits-float, attacks: fgsm, images: 4}")
    line = refused("evaluate", "--config", "run.yaml", *words.split())
    assert f"{words.split()[0]} goes into the run file that --config names" in line
