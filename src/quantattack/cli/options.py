"""Arguments and options that several commands share, each with its one help text."""

from typing import Annotated, TypeAlias

import typer

DEBUG = "--debug"  # taken anywhere on the command line

Network: TypeAlias = Annotated[str, typer.Argument(help="Name of the zoo, checkpoint, or package.module:function.")]
Data: TypeAlias = Annotated[
    str | None, typer.Option(help="Data set, an .npz, or a folder of images; else what the model was trained on.")
]
DataRoot: TypeAlias = Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")]
NormName: TypeAlias = Annotated[str, typer.Option(help="linf, l2 or l1.")]
Seed: TypeAlias = Annotated[int, typer.Option(help="Seed of every random number.")]
Device: TypeAlias = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")]
