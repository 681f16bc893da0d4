"""Build what `quantattack list` prints, so that it needs no torch; `--check` only says whether it is stale."""

import json
import sys
from pathlib import Path

from quantattack.cli.attacks import attack_rows
from quantattack.cli.names import architecture_rows, data_rows, model_rows, quantizer_rows

PATH = Path(__file__).parents[1] / "src" / "quantattack" / "cli" / "listing.json"


def built() -> str:
    """The networks, the data sets, the attacks, the quantizers and the architectures, a row each."""
    kinds = {"models": model_rows(), "data": data_rows(), "attacks": attack_rows()}
    kinds |= {"quantizers": quantizer_rows(), "architectures": architecture_rows()}
    return json.dumps(kinds, indent=1) + "\n"


def main() -> None:
    if "--check" in sys.argv:
        sys.exit(0 if built() == PATH.read_text(encoding="utf-8") else f"{PATH.name} is stale: run `make results`")
    PATH.write_text(built(), encoding="utf-8")


if __name__ == "__main__":
    main()
