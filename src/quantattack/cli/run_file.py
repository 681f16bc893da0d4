"""What a run is: the models, data sets, threats and attacks of a run file, or of the command line."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from quantattack.errors import InputError
from quantattack.reading import read_yaml, shown


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> Any:
    return [
        str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item for item in _listed(value)
    ]


Names = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Radii = Annotated[list[str], BeforeValidator(_texts), Field(min_length=1)]


class ThreatEntry(BaseModel):
    """A norm and its radii; without radii each data set's own.

    Arguments:
        norm: Name of the norm.
        radius: The radii.
        levels: How many values a pixel can have: a number, true for the 256 of bytes, false for any real number; left
            out, bytes for deployed models alone.
    """

    model_config = ConfigDict(extra="forbid")
    norm: str = "linf"
    radius: Radii | None = None
    levels: bool | int | None = None


class RunFile(BaseModel):
    """A run of several models, data sets, threats and attacks: every model meets each of the others.

    Arguments:
        models: Names of the zoo, checkpoints, deployed files, my.py:name, folders of Hugging Face.
        data: Data sets, .npz or parquet files, folders of images; else what the models were trained on.
        data_root: Folder of the data sets; else QUANTATTACK_DATA.
        threats: Norms and radii.
        attacks: Attacks, with settings in brackets; else `standard`, or `deployed` for deployed files.
        float: The float network that deployed files were made of: a name or a file.
        layout: How models take pixels: nchw, nhwc or flat; else what their shapes tell.
        range: What black and white are to models; else what their files say.
        mean: Mean of each channel in units of the range, where they take normalized pixels.
        std: Standard deviation of each channel, likewise.
        architecture: What weights alone belong to: lenet[width=0.5], timm:NAME, my.py:Class.
        runtime: What runs deployed files, such as litert:reference; else each format's own.
        one_logit: Whether the networks return one logit, whose sigmoid is the probability of class 1.
        padding: Whether batches are padded to row counts for which logits are the same in any batch.
        images: How many test images, from the first on; else all.
        seed: Seed of every random number.
        batch_size: Images attacked at once; found where it is left out.
        device: Where the models are.
        speed: FastSearch options.
        save_images: Whether the attacked images are kept; png for PNG files too.
        workers: Processes that share the work.
        out: Folder of the record, seen from the working directory.
    """

    model_config = ConfigDict(extra="forbid")
    models: Names
    data: Names | None = None
    data_root: str | None = None
    threats: Annotated[list[ThreatEntry], BeforeValidator(_listed), Field(min_length=1)] = [ThreatEntry()]
    attacks: Names | None = None
    float_model: Annotated[str | None, Field(alias="float")] = None
    layout: str | None = None
    range: Radii | None = None
    mean: Radii | None = None
    std: Radii | None = None
    architecture: str | None = None
    runtime: str | None = None
    one_logit: bool = False
    padding: bool = True
    images: int | None = None
    seed: int = 0
    batch_size: int | None = None
    device: str = "cpu"
    speed: Annotated[list[str], BeforeValidator(_listed)] = []
    save_images: bool | Literal["png"] = False
    workers: int | None = None
    out: Path | None = None


def read_run_file(path: Path) -> RunFile:
    """Return the run of a YAML file.

    Raises:
        InputError: If the file cannot be read, or a setting in it is unknown, missing or of the wrong kind.
    """
    settings = read_yaml(path, "models: [digits-float]")
    try:
        return RunFile(**settings)
    except ValidationError as error:
        raise InputError(f"{shown(path)}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """Say the first thing that is wrong, and where."""
    first = error.errors()[0]
    where = ".".join(str(key) for key in first["loc"])
    if first["type"] == "extra_forbidden":
        names = (field.alias or name for name, field in RunFile.model_fields.items())
        return f"there is no setting {where}; there are {', '.join(names)}"
    return f"{where}: {first['msg']}"
