"""Diagnose every network of the zoo whose data set is available, and write the table of networks by checks.

With --names the other networks' rows stay as they are.

Usage: python benchmarks/zoo_checks.py --out results/zoo_checks [--images 100] [--budget 500] [--names a b]
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.data.sets import SETS, load_data
from quantattack.diagnostics.diagnose import BUDGET, Diagnosis, diagnose
from quantattack.errors import InputError
from quantattack.nn.zoo import Description, load_model, models

MARK = {"pass": "pass", "fail": "FAIL", "cannot tell": "?"}


def twin_of(network: Description, known: tuple[Description, ...]) -> str | None:
    """Return the plainly trained float network of the same architecture on the same data."""
    same = [other.name for other in known if other.data == network.data and other.quantizer in ("float", "none")]
    same = [name for name in same if name != network.name]
    near = [name for name in same if name.rpartition("-")[0] and network.name.startswith(name.rpartition("-")[0])]
    return (near or [None])[0]


def looked(network: Description, twin: str | None, images: int, budget: float) -> dict[str, Any]:
    """Diagnose one network at its data set's own radius."""
    pixels, labels = load_data(network.data)
    threat = Threat(Linf(), SETS[network.data].radius("linf"))
    begun = time.perf_counter()
    other = None if twin is None else load_model(twin)
    found = diagnose(
        load_model(network.name), pixels[:images], labels[:images], threat, float_model=other, budget=budget
    )
    return row_of(network.name, twin, threat.radius, found, time.perf_counter() - begun)


def row_of(name: str, twin: str | None, radius: float, found: Diagnosis, seconds: float) -> dict[str, Any]:
    shares = {key: getattr(found, key) for key in ("images", "clean", "pgd", "worst", "forwards", "backwards")}
    verdict = {"trusted": found.trusted, "masked": found.masked, "reasons": list(found.reasons)}
    findings = [asdict(finding) for finding in found.findings]
    return {
        "network": name,
        "twin": twin,
        "radius": radius,
        **shares,
        **verdict,
        "seconds": round(seconds, 1),
        "findings": findings,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the networks by checks as Markdown."""
    checks = list(dict.fromkeys(finding["check"] for row in rows for finding in row["findings"]))
    lines = ["| check | " + " | ".join(row["network"] for row in rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for key, words in (("clean", "right, %"), ("pgd", "left by PGD, %"), ("worst", "left by all tried, %")):
        lines.append(f"| {words} | " + " | ".join(f"{100 * row[key]:.1f}" for row in rows) + " |")
    for key, words in (("radius", "radius"), ("forwards", "forward passes"), ("backwards", "backward passes")):
        lines.append(f"| {words} | " + " | ".join(f"{row[key]:.3g}" for row in rows) + " |")
    for check in checks:
        cells = [{finding["check"]: finding for finding in row["findings"]}.get(check) for row in rows]
        words = [("" if cell is None else f"{MARK[cell['verdict']]} {cell['code']}".strip()) for cell in cells]
        lines.append(f"| {check} | " + " | ".join(words) + " |")
    lines.append(
        "| **trusted** | " + " | ".join("yes" if row["trusted"] else f"no: {row['reasons'][0]}" for row in rows) + " |"
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/zoo_checks"))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--budget", type=float, default=float(BUDGET))
    parser.add_argument("--names", nargs="*")
    given = parser.parse_args()
    path, known = given.out / "zoo_checks.json", models()
    kept = {row["network"]: row for row in json.loads(path.read_text())["networks"]} if path.exists() else {}
    for network in known:
        if given.names and network.name not in given.names:
            continue
        try:
            kept[network.name] = looked(network, twin_of(network, known), given.images, given.budget)
        except InputError as error:
            print(f"{network.name}: {error}")
            continue
        print(network.name, f"{kept[network.name]['seconds']} s", *kept[network.name]["reasons"], flush=True)
    rows = [kept[network.name] for network in known if network.name in kept]
    given.out.mkdir(parents=True, exist_ok=True)
    summary = {"torch": torch.__version__, "images": given.images, "budget": given.budget, "networks": rows}
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (given.out / "zoo_checks.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
