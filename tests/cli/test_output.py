"""What becomes of the output: a full disk, a reader that leaves, an encoding that lacks characters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store

THREAT = '{"norm":"Linf","radius":0.1}'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    store = Store.open(tmp_path / "run", {"seed": 0})
    outcome = Outcome(0, 1, 1, 1, 0.5, 0.1, None, 0, 1.0, 1.0, 0.1, True)
    store.write(store.cell(Subject("net é→", "digits", THREAT), "pgd", {}, 1), [outcome])
    store.finish()
    store.close()
    return tmp_path / "run"


def shell(command: str, run: Path, **environment: str) -> tuple[int, str]:
    """The status of `quantattack show` in a shell, and what it said on standard error."""
    line = command.format(show=f"{sys.executable} -m quantattack show {run}")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment or None)
    return done.returncode, done.stderr


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_full_output_is_one_line(option: str, run: Path):
    code, said = shell(f"{{show}} {option} > /dev/full", run)
    assert (code, said) == (2, "error: cannot write the output: No space left on device; make room\n")


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_reader_that_leaves_is_no_error(option: str, run: Path):
    assert shell(f"set -o pipefail; {{show}} {option} | head -c 0", run) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_encoding_of_the_output_is_written(encoding: str, run: Path):
    code, said = shell("{show} > /dev/null", run, **{**os.environ, "PYTHONIOENCODING": encoding})
    assert (code, said) == (0, "")


@pytest.mark.parametrize("option", ["", "--json"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_output_is_no_error(closed: str, option: str, run: Path):
    assert shell(f"{{show}} {option} {closed}" + ("" if closed.startswith((">", "<")) else " >/dev/null"), run) == (
        0,
        "",
    )


def test_the_listing_takes_a_closed_output(run: Path):
    assert shell(f"{sys.executable} -m quantattack list models >&-", run) == (0, "")


@pytest.mark.parametrize("option", ["", "--json"])
def test_an_output_that_is_only_read_is_one_line(option: str, run: Path):
    code, said = shell(f"{{show}} {option} 1</dev/null", run)
    assert (code, said) == (2, "error: cannot write the output: Bad file descriptor; open it for writing\n")
