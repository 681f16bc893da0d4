"""Arguments and options that several commands share, each with its one help text."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from quantattack.errors import InputError

DEBUG = "--debug"  # taken anywhere on the command line

MODELS = "Name of the zoo, checkpoint, deployed file, my.py:name, weights, or a folder of Hugging Face"

Network: TypeAlias = Annotated[str, typer.Argument(help=f"{MODELS}.")]
Folder: TypeAlias = Annotated[Path, typer.Argument(help="Folder of a record.")]
Data: TypeAlias = Annotated[
    str | None, typer.Option(help="Data set, .npz, parquet, image folder; else what the model was trained on.")
]
DataRoot: TypeAlias = Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")]
NormName: TypeAlias = Annotated[str, typer.Option(help="linf, l2 or l1.")]
Seed: TypeAlias = Annotated[int, typer.Option(help="Seed of every random number.")]
Device: TypeAlias = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")]
Out: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of the record; the same command continues, another one adds.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Images: TypeAlias = Annotated[int | None, typer.Option(help="How many test images, from the first on; else all.")]
Part: TypeAlias = Annotated[str, typer.Option(help="Do part 2/5 of the images; `quantattack merge` joins the parts.")]
SaveImages: TypeAlias = Annotated[str, typer.Option(help="Keep attacked images: files, as it says alone, or png.")]
WorkerCount: TypeAlias = Annotated[
    int | None, typer.Option("--workers", help="Processes that share the work, through Ray.")
]
Pixels: TypeAlias = Annotated[
    bool | None,
    typer.Option("--pixels/--no-pixels", help="Search on the 256 levels of bytes; else for deployed models alone."),
]
NoPadding: TypeAlias = Annotated[
    bool, typer.Option("--no-padding", help="Show networks batches of any size, not of a multiple of 8 rows.")
]

Layout: TypeAlias = Annotated[
    str | None, typer.Option(help="How a model takes pixels: nchw, nhwc or flat; else what its file tells.")
]
Range: TypeAlias = Annotated[
    str | None, typer.Option("--range", help="What black and white are to a model, 0,255; else what its file says.")
]
Mean: TypeAlias = Annotated[
    str | None, typer.Option(help="Mean of each channel in units of the range, where a model takes normalized pixels.")
]
Std: TypeAlias = Annotated[str | None, typer.Option(help="Standard deviation of each channel, likewise.")]
Architecture: TypeAlias = Annotated[
    str | None, typer.Option(help="What weights alone belong to: lenet[width=0.5], timm:NAME, my.py:Class.")
]
RuntimeName: TypeAlias = Annotated[
    str | None, typer.Option(help="What runs a deployed file: litert:reference, onnxruntime:basic; else its own.")
]
Float: TypeAlias = Annotated[
    str | None, typer.Option("--float", help="The float network that the model was made of, by name or file.")
]
One: TypeAlias = Annotated[
    bool,
    typer.Option("--one-logit", help="The networks return one logit, whose sigmoid is the probability of class 1."),
]

MinRobust: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Least worst case, 0.3 or 30%: else exit with 1, or with 3 where it is not to be trusted."),
]
GateOn: TypeAlias = Annotated[
    str, typer.Option(help="What --min-robust holds to it: the number, or the lower end of its 95 % interval, `lower`.")
]
Junit: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write JUnit XML, a test case for each model and radius; with --min-robust.")
]
SummaryFile: TypeAlias = Annotated[
    Path | None, typer.Option("--summary", help="Append a Markdown summary to a file, such as $GITHUB_STEP_SUMMARY.")
]
Badge: TypeAlias = Annotated[Path | None, typer.Option(help="Write the JSON of a badge, as shields.io reads it.")]

FILES = "files"  # what `--save-images` alone says
_CONFIG = "--config"
_BESIDE = {_CONFIG, "--part", "--ray-address", "--gpus-per-worker", "--workers", "--out", "--quiet", "--help", DEBUG}
_BESIDE |= {"--min-robust", "--gate-on", "--junit", "--summary", "--badge"}  # what a run file does not say, or need not


def with_values(arguments: Sequence[str]) -> list[str]:
    """Give `--save-images` its value where it stands alone: at the end, or before another option."""
    given = list(arguments)
    for at, (option, following) in enumerate(pairwise([*arguments, DEBUG])):
        if option == "--save-images" and following.startswith("-"):
            given[at] = f"--save-images={FILES}"
    return given


def check_words(arguments: Sequence[str]) -> None:
    """Raise InputError where a word would be lost: an option that the run file says, or a list that a space cut in two.

    The second half of a list would be taken for a model's name.
    """
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    for option in options if _CONFIG in options else ():
        if option not in _BESIDE:
            raise InputError(f"{option} goes into the run file that {_CONFIG} names; beside it nothing would read it")
    for first, second in pairwise(arguments):
        if first.endswith(",") and not second.startswith("-"):
            both = f"{first!r} and {second!r} are two words"
            raise InputError(f"{both}; write a list as one, {first}{second}, or in quotes")


def value_of(option: str, arguments: Sequence[str]) -> str:
    """Return the word that was given as an option's value; the last one, as it is the one that counts."""
    found = ""
    for word, following in pairwise([*arguments, ""]):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
