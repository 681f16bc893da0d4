"""Arguments and options that several commands share, each with its one help text."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, TypeAlias

import typer

DEBUG = "--debug"  # taken anywhere on the command line

MODELS = "Name of the zoo, checkpoint, deployed file, my.py:name, weights, or a folder of Hugging Face"

Network: TypeAlias = Annotated[str, typer.Argument(help=f"{MODELS}.")]
Data: TypeAlias = Annotated[
    str | None, typer.Option(help="Data set, .npz, parquet, image folder; else what the model was trained on.")
]
DataRoot: TypeAlias = Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")]
NormName: TypeAlias = Annotated[str, typer.Option(help="linf, l2 or l1.")]
Seed: TypeAlias = Annotated[int, typer.Option(help="Seed of every random number.")]
Device: TypeAlias = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")]
Pixels: TypeAlias = Annotated[
    bool | None,
    typer.Option("--pixels/--no-pixels", help="Search on the 256 levels of bytes; else for deployed models alone."),
]
NoPadding: TypeAlias = Annotated[
    bool, typer.Option("--no-padding", help="Show networks batches of any size, not of a multiple of 8 rows.")
]

FILES = "files"  # what `--save-images` alone says


def with_values(arguments: Sequence[str]) -> list[str]:
    """Give `--save-images` its value where it stands alone: what follows it is its value only where it is one."""
    given = list(arguments)
    for at, (option, following) in enumerate(pairwise([*arguments, ""])):
        if option == "--save-images" and following not in (FILES, "png"):
            given[at] = f"--save-images={FILES}"
    return given
