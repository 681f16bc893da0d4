"""Processor seconds of the commands that start without torch, and of torch's import beside them.

    python benchmarks/startup.py            # writes results/startup.json

Each command runs in a process of its own, several times in turn with the others; what is kept is the least of its
times, user and system together.  Wall time is not kept: it is what else the machine did.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from shutil import copytree

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "startup.json"
DEMO = str(ROOT / "results" / "demo")
TIMES, MOST_SECONDS = 2, 0.6
COMMANDS = {
    "quantattack --help": ["--help"],
    "evaluate --help": ["evaluate", "--help"],
    "diagnose --help": ["diagnose", "--help"],
    "list models": ["list", "models"],
    "list data": ["list", "data"],
    "list attacks": ["list", "attacks"],
    "show": ["show", DEMO],
    "compare": ["compare", DEMO],
    "leaderboard": ["leaderboard", DEMO],
}
SMALL = ROOT / "tests" / "record" / "fixtures" / "version-0.1.0" / "command"
# Its figures are drawn with matplotlib, whose import alone takes most of a second: not held to the limit.
DRAWN = "report, of a small record"
BESIDE = "import torch"


def processor_seconds(arguments: list[str]) -> float:
    """What a process takes of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def measured(commands: dict[str, list[str]]) -> dict[str, float]:
    """The least processor seconds of each command over all rounds."""
    rounds = [{name: processor_seconds(command) for name, command in commands.items()} for _ in range(TIMES)]
    return {name: round(min(each[name] for each in rounds), 3) for name in commands}


def main() -> None:
    program = [sys.executable, "-m", "quantattack"]
    with tempfile.TemporaryDirectory() as place:
        folder = str(copytree(SMALL, Path(place) / "run"))
        commands = {name: [*program, *words] for name, words in COMMANDS.items()}
        commands |= {DRAWN: [*program, "report", folder], BESIDE: [sys.executable, "-c", BESIDE]}
        seconds = measured(commands)
    about = {"python": platform.python_version(), "torch": version("torch"), "cores": os.cpu_count(), "times": TIMES}
    OUT.write_text(json.dumps({"processor_seconds": seconds, **about}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(seconds, indent=1))
    slow = {name: seconds[name] for name in COMMANDS if seconds[name] >= MOST_SECONDS}
    assert not slow, f"these take {MOST_SECONDS} s or more of the processor: {slow}"


if __name__ == "__main__":
    main()
