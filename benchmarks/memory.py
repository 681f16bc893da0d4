"""Peak memory of an evaluation of 10,000 and of 100,000 images at 32x32, which stream from a file made by repeating.

    python benchmarks/memory.py            # writes results/speed/memory.json

Each run is a process of its own, with the same batch size.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "results" / "speed" / "memory.json"
COUNTS = (10_000, 100_000)
MODEL, BATCH = "memory:tiny", 64

MODULE = """
import torch
from torch import nn

def tiny():
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 10)).eval()
"""

RUN = """
import resource, sys
from quantattack.cli import main
try:
    main(["evaluate", "memory:tiny", "--data", "cifar10", "--data-root", sys.argv[1], "--attacks", "fgsm", "--quiet",
          "--batch-size", sys.argv[2], "--out", sys.argv[3]])
except SystemExit as end:
    assert not end.code, end.code
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(count: int, folder: Path) -> float:
    """Return the peak memory of a run in MiB."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (1000, 3073), np.uint8)
    rows[:, 0] %= 10
    (folder / "cifar10").mkdir(parents=True)
    with (folder / "cifar10" / "test_batch.bin").open("wb") as file:
        for _ in range(count // 1000):
            file.write(rows.tobytes())
    (folder / "memory.py").write_text(MODULE)
    command = [sys.executable, "-c", RUN, str(folder), str(BATCH), str(folder / "run")]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=dict(os.environ))
    return int(said.stdout.split("peak")[1]) / 1024


def main() -> None:
    assert resource.RUSAGE_SELF == 0
    with tempfile.TemporaryDirectory() as place:
        found = {count: round(peak(count, Path(place) / str(count)), 1) for count in COUNTS}
    ratio = found[COUNTS[1]] / found[COUNTS[0]]
    OUT.write_text(json.dumps({"batch_size": BATCH, "peak_mib": found, "ratio": round(ratio, 4)}, indent=1) + "\n")
    print(f"peak memory: {found} MiB, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
