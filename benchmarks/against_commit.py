"""Overhead now and at another commit, in one run: the two trees take turns, and the median of each is printed.

    python benchmarks/against_commit.py REVISION [--pairs 5]

Both run in the same environment, each with its own tree's package in front: `benchmarks/overhead.py`'s ratios, and the
seconds of `evaluate` on the demo's network.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"^(.*): ([0-9.]+)$")
EVALUATE = """
import time
import quantattack as qa
model, (images, labels) = qa.load_model("digits-mdtanhs"), qa.load_data("digits")
threat = qa.Threat(qa.Linf(), 0.2)
for name, attacks in {"pgd, pgd_plus gap": {"a": qa.pgd(threat), "b": qa.pgd_plus(threat, qa.Gap())}}.items():
    qa.evaluate(model, images, labels, attacks, threat, batch_size=256)
    begun = time.perf_counter()
    for _ in range(3):
        qa.evaluate(model, images, labels, attacks, threat, batch_size=256)
    print(f"seconds of evaluate, {name}, demo network: {time.perf_counter() - begun:.4f}")
"""


def numbers(tree: Path, code: list[str]) -> dict[str, float]:
    """Run a script in a tree and return the numbers that it prints, by what they are of."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    done = subprocess.run(
        [sys.executable, *code], cwd=tree, env=environment, capture_output=True, text=True, check=True
    )
    lines = (NUMBER.match(line) for line in done.stdout.splitlines())
    return {line.group(1): float(line.group(2)) for line in lines if line}


def both(tree: Path) -> dict[str, float]:
    return numbers(tree, ["benchmarks/overhead.py"]) | numbers(tree, ["-c", EVALUATE])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("revision", help="the commit to compare with")
    parser.add_argument("--pairs", type=int, default=5, help="how often each tree takes its turn")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "tree"
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(other), asked.revision], cwd=ROOT, check=True
        )
        try:
            turns = [(both(other), both(ROOT)) for _ in range(asked.pairs)]
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)
    for name in turns[0][0]:
        before, now = (statistics.median(turn[side][name] for turn in turns) for side in (0, 1))
        change = statistics.median(turn[1][name] / turn[0][name] for turn in turns)
        print(f"{name}: {before:.4g} at {asked.revision}, {now:.4g} now, ratio {change:.3f}")


if __name__ == "__main__":
    main()
