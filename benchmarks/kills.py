"""A run that is killed with SIGKILL fifty times at random moments, compared with one that is not interrupted.

    python benchmarks/kills.py                 # 40 processes, 5 Ray workers, 5 Ray drivers; results/speed/kills.json
    python benchmarks/kills.py --processes 10 --workers 0 --drivers 0

Moments are drawn from the length of a run, so that they fall before the first outcome, between outcomes, while the
record or an image file is written, and after the last; a killed run is continued by the same command.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "results" / "speed" / "kills.json"
ATTACKS = "pgd[steps=10],pgd_plus_njs[steps=10],square[queries=20]"
COMMAND = ["evaluate", "digits-mdtanhs", "--images", "480", "--batch-size", "16", "--attacks", ATTACKS]
COMMAND += ["--save-images", "--quiet", "--out"]
COLUMNS = "cell, image, label, clean_prediction, prediction, margin, size, step, restart, inside"
_KEPT: list[int] = []


def rows(folder: Path) -> dict[tuple[int, int], Any]:
    """Return every outcome but its costs, by cell and image; the number of rows must be that of the keys."""
    if not (folder / "record.sqlite").is_file():
        return {}
    connection = sqlite3.connect(folder / "record.sqlite")
    try:
        found = connection.execute(f"SELECT {COLUMNS} FROM outcome").fetchall()
    except sqlite3.OperationalError:  # the tables are not there yet
        return {}
    finally:
        connection.close()
    keyed = {row[:2]: row for row in found}
    assert len(keyed) == len(found)
    return keyed


def begun(folder: Path) -> int:
    """Start the command in a process of its own, which need not import everything again."""
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        from quantattack.cli import main

        try:
            main([*COMMAND, str(folder)])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        os._exit(1)
    return child


def whole(folder: Path) -> float:
    """Run the command to its end and return how long it took."""
    started = time.perf_counter()
    _, status = os.waitpid(begun(folder), 0)
    assert status == 0, status
    return time.perf_counter() - started


def killed_processes(folder: Path, kills: int, length: float, rng: random.Random) -> Counter[str]:
    """Kill one process after the other, all on one run, until one ends before it is killed."""
    seen: Counter[str] = Counter()
    while seen["processes killed"] < kills:
        child = begun(folder)
        time.sleep(length * rng.random() ** 2)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return seen
        seen["processes killed"] += 1
        wal = folder / "record.sqlite-wal"
        seen["left a log to undo or redo"] += int(wal.is_file() and wal.stat().st_size > 0)
        seen["left half an image file"] += bool(list(folder.rglob("*.part")))
        check_kept(folder)
    return seen


def check_kept(folder: Path) -> None:
    """What was committed before a kill is there after it."""
    count = len(rows(folder))
    assert not _KEPT or count >= _KEPT[-1], (count, _KEPT[-1])
    _KEPT.append(count)


def killed_on_ray(folder: Path, of: str, rng: random.Random) -> Counter[str]:
    """Kill a worker, after which the run must end by itself, or the driver."""
    process = subprocess.Popen([sys.executable, "-m", "quantattack", *COMMAND, str(folder), "--workers", "2"])
    had, until = len(rows(folder)), time.monotonic() + 200
    while process.poll() is None and len(rows(folder)) <= had and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(rng.uniform(0, 0.5))
    victims = ray_workers() if of == "worker" else [process.pid]
    for victim in victims[:1]:
        os.kill(victim, signal.SIGKILL)
    if of == "worker":
        assert process.wait(timeout=500) == 0
    process.wait()
    check_kept(folder)
    return Counter({f"{of} killed": len(victims[:1])})


def ray_workers() -> list[int]:
    """Ray's workers that are at work on this machine for this run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text()
            except OSError:
                continue
            found += [int(entry.name)] if words.startswith("ray::_do") else []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("processes", 40), ("workers", 5), ("drivers", 5)):
        parser.add_argument(f"--{name}", type=int, default=count)
    arguments, rng = parser.parse_args(), random.Random(0)
    import quantattack.cli  # noqa: F401  (before the forks)

    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        unbroken = Path(place) / "unbroken"
        length, runs = whole(unbroken), 0
        while seen["processes killed"] < arguments.processes:
            folder, _KEPT[:] = Path(place) / f"killed-{runs}", []
            seen += killed_processes(folder, min(10, arguments.processes - seen["processes killed"]), length / 4, rng)
            length = min(length, whole(folder) * 4)  # the machine may have other work at first
            assert rows(folder) == rows(unbroken)
            runs += 1
        for of, count in (("driver", arguments.drivers), ("worker", arguments.workers)):
            for kill in range(count):
                folder, _KEPT[:] = Path(place) / f"{of}-{kill}", []
                seen += killed_on_ray(folder, of, rng)
                whole(folder)
                assert rows(folder) == rows(unbroken)
        outcomes = len(rows(unbroken))
    found = {"outcomes of a run": outcomes, "runs": runs, **dict(sorted(seen.items())), "verdicts that differ": 0}
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
