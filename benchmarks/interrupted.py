"""Runs that are stopped at fifty random moments with SIGINT or SIGKILL, and what they print and keep each time.

    python benchmarks/interrupted.py             # 50 interruptions; results/robustness/interrupted.json
    python benchmarks/interrupted.py --times 10 --images 60

Two attacks, on 300 images if nothing else is said.  After each interruption every number of the record is compared
with that of a run that nobody stopped: it is null, or the same.  What a call was given is noted before it begins, and
what it has spent while it goes on, so that the work lost is known: at most one call's, which is no more than that of
one batch whose images all resist.  The same command continues; when it ends, another run begins.
"""

import argparse
import importlib
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "results" / "robustness" / "interrupted.json"
ATTACKS = "pgd[steps=10],square[queries=40]"
BATCH = 16
COMMAND = ["evaluate", "digits-mdtanhs", "--batch-size", str(BATCH), "--attacks", ATTACKS, "--quiet", "--images"]


def begun(folder: Path, calls: Path, images: int) -> int:
    """Start the command in a process of its own, which appends to a file what each attack call is given and spends."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    from quantattack.attacks.base import passes
    from quantattack.cli import main
    from quantattack.evaluation import judge

    attacked, log = judge._attacked, os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def noted(task: Any, name: str, positions: Any, at_once: int, watch: Any, twice: bool) -> Any:  # noqa: ARG001
        most = passes(task.attacks[name], classes=0) + 1  # and the judge's own
        os.write(log, f"{len(positions)} {time.monotonic()} {most}\n".encode())
        spent = lambda _, rows: os.write(log, f"spent {rows}\n".encode())  # noqa: E731
        return attacked(task, name, positions, at_once, spent, twice)

    judge._attacked = noted
    try:
        main([*COMMAND, str(images), "--out", str(folder)])
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    os._exit(1)


def numbers(folder: Path) -> dict[str, Any]:
    """Return every number that `show --json` prints, and each verdict kept; empty where nothing is there yet."""
    from quantattack.errors import InputError
    from quantattack.record.record import Record

    try:
        record = Record.load(folder)
    except InputError:  # it has no row yet
        return {}
    shown, kept = record.summary(), sum(int(cell.right.sum()) for cell in record.by_attack.values())
    free = {"forwards": 0.0, "backwards": 0.0, "seconds": 0.0}
    verdicts = {name: [replace(one, **free) for one in record.outcomes(name)] for name in record.attacks}
    at_most = record.at_most
    record.store.close()
    rates = {
        "clean": shown["clean"],
        "worst_case": shown["worst_case"],
        "gap": shown["masking_gap"],
        **shown["attacks"],
    }
    return {"rates": rates, "kept": kept, "done": shown["done"], "at_most": at_most, "verdicts": verdicts}


def check(after: dict[str, Any], whole: dict[str, Any], seen: Counter[str]) -> None:
    """Compare each number after an interruption with the run that nobody stopped."""
    for name, rate in after.get("rates", {}).items():
        seen["numbers printed" if rate is not None else "numbers withheld"] += 1
        seen["numbers wrong"] += rate is not None and rate != whole["rates"][name]
    if after and not math.isnan(after["at_most"]):
        seen["upper bounds printed"] += 1
        seen["upper bounds wrong"] += after["at_most"] < whole["rates"]["worst_case"]


def wait(child: int, calls: Path, lines: float) -> int | None:
    """Wait until a run has noted so many lines, on a slow machine as on a fast one; return its status if it ended."""
    while (len(calls.read_bytes().splitlines()) if calls.exists() else 0) < lines:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    return None


def interrupt(
    folder: Path, calls: Path, images: int, length: int, rng: random.Random, lost: list[dict[str, Any]]
) -> bool:
    """Stop the command at a random moment; return whether it was still running, and note what it lost."""
    before = numbers(folder).get("kept", 0)
    calls.unlink(missing_ok=True)
    child, by = begun(folder, calls, images), rng.choice([signal.SIGINT, signal.SIGKILL])
    status = wait(child, calls, length * rng.uniform(-0.1, 1.0))
    if status is None:
        time.sleep(0.02 * rng.random())
        os.kill(child, by)
        _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return False
    stopped = time.monotonic()
    noted = [line.split() for line in calls.read_text().splitlines()] if calls.exists() else []
    given = [line for line in noted if line[0] != "spent"]
    kept = numbers(folder).get("kept", 0) - before
    gone = sum(int(count) for count, *_ in given) - kept
    last = given[-1] if given and gone else ["0", str(stopped), "1"]
    spent = int(noted[-1][1]) if gone and noted[-1][0] == "spent" else 0
    lost.append(
        {
            "signal": by.name,
            "images": gone,
            "seconds": round(stopped - float(last[1]), 3),
            "batches": round(spent / (BATCH * int(last[2])), 3),
            "largest_call": max((int(count) for count, *_ in given), default=0),
        }
    )
    return True


def complete(folder: Path, calls: Path, images: int) -> int:
    """Run the command to its end and return how many lines it noted."""
    _, status = os.waitpid(begun(folder, calls, images), 0)
    assert status == 0, status
    return len(calls.read_bytes().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    for module in ("quantattack.cli", "quantattack.evaluation.judge", "quantattack.record.record"):
        importlib.import_module(module)  # once, and not in every process, so that the moments fall into the work
    rng, seen, lost = random.Random(asked.seed), Counter[str](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as kept:
        calls = Path(kept) / "calls"
        length = complete(Path(kept) / "whole", calls, asked.images)
        whole, run = numbers(Path(kept) / "whole"), 0
        while len(lost) < asked.times:
            folder = Path(kept) / f"run-{run}"
            if interrupt(folder, calls, asked.images, length, rng, lost):
                check(numbers(folder), whole, seen)
            else:
                run += 1
        complete(folder, calls, asked.images)
        ended = numbers(folder)
        same = (ended["rates"], ended["verdicts"]) == (whole["rates"], whole["verdicts"])
    over = sum(row["images"] > row["largest_call"] for row in lost)
    batches = max(row["batches"] for row in lost)
    result = {
        "command": " ".join(["quantattack", *COMMAND, str(asked.images)]),
        "seed": asked.seed,
        "interruptions": dict(Counter(row["signal"] for row in lost)),
        **{name: seen[name] for name in ("numbers printed", "numbers withheld", "numbers wrong")},
        **{name: seen[name] for name in ("upper bounds printed", "upper bounds wrong")},
        "interruptions that lost more than the call that they fell into": over,
        "images lost, at most": max(row["images"] for row in lost),
        "seconds of work lost, at most": max(row["seconds"] for row in lost),
        "batches of work lost, at most": batches,
        "the last run, continued to its end, has the same numbers": same,
        "lost": lost,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in result.items() if name != "lost"}, indent=1))
    if seen["numbers wrong"] or seen["upper bounds wrong"] or over or batches > 1 or not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
