"""Results by pair in one file, which a later run continues: the command line of the benchmarks that have one."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def continued(about: str, place: Path, pairs: Sequence[str], measure: Callable[[str], Any]) -> dict[str, Any]:
    """Read the command line, measure the pairs that a file lacks, and return all that it then has, by pair.

    Arguments:
        about: The program's text for `--help`.
        place: The file, which is written after each pair.
        pairs: The pairs where none are named.
        measure: Returns what is measured of a pair, network:radius, as JSON has it.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", help="network:radius, under Linf")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    for pair in () if arguments.table else arguments.pairs or pairs:
        if pair not in done:
            done[pair] = measure(pair)
            place.write_text(json.dumps(done, indent=1) + "\n")
            print(pair, done[pair], flush=True, file=sys.stderr)
    return done
