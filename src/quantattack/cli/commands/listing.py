"""The command `list`: what there is by name, read from `listing.json`, which `scripts/listing.py` builds."""

import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from quantattack.cli.options import AsJson
from quantattack.data.model_files import MODEL_FILES, ModelFile
from quantattack.errors import unknown

_MODELS = ("name", "data", "clean", "bytes", "quantizer", "adversarial", "where", "architecture")  # as they are printed


def list_(
    kind: Annotated[str, typer.Argument(help="models, data, attacks, quantizers or architectures.")],
    as_json: AsJson = False,
) -> None:
    """List the networks, the data sets, the attacks, the quantizers or the architectures."""
    kinds = listing()
    if kind not in kinds:
        raise unknown("list", kind, kinds)
    rows = [*kinds[kind], *(map(_file_row, MODEL_FILES.values()) if kind == "models" else ())]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print(rows)


def listing() -> Mapping[str, list[dict[str, Any]]]:
    """Return what the package carries by kind, such as models, a row each."""
    text = files("quantattack.cli").joinpath("listing.json").read_text(encoding="utf-8")
    kinds: Mapping[str, list[dict[str, Any]]] = json.loads(text)
    return kinds


def _file_row(model: ModelFile) -> dict[str, Any]:
    """Return what is known of a published model; its accuracy is what an evaluation finds."""
    root = os.environ.get("QUANTATTACK_DATA")
    path = model.path(Path(root)) if root else None
    return {
        "name": model.name,
        "data": model.data,
        "architecture": model.architecture,
        "quantizer": model.quantizer,
        "adversarial": False,
        "clean": None,
        "bytes": model.published.size,
        "where": "fetched" if path is not None and path.is_file() else "to fetch",
    }


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows, what tells them apart before what is long."""
    from rich.console import Console

    from quantattack.report.columns import print_rows

    headers = (
        sorted(rows[0], key=_MODELS.index) if rows and "architecture" in rows[0] else list(rows[0] if rows else ())
    )
    cells = [[_cell(row[header]) for header in headers] for row in rows]
    numbers = [header for header in headers if rows and type(rows[0][header]) in (int, float)]
    print_rows(headers, cells, Console(), right=numbers)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(name if setting is None else f"{name}={_cell(setting)}" for name, setting in value.items())
    if isinstance(value, bool):
        return "yes" if value else ""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
