"""The command `train`."""

from pathlib import Path
from typing import Annotated

import typer

from quantattack.cli.options import DataRoot


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, which is the network's in the zoo, or a YAML file.")],
    out: Annotated[Path, typer.Option(help="File of the checkpoint; the state of the training is kept next to it.")],
    data_root: DataRoot = None,
) -> None:
    """Train a network; the same command continues a training that was interrupted."""
    from quantattack.cli.train import train_to

    train_to(recipe, out, data_root)
