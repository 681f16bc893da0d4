"""What a run is: the models, data sets, threats and attacks of a run file, or of the command line."""

from pathlib import Path
from typing import Annotated, Any

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
    """A norm and its radii; without radii each data set's own."""

    model_config = ConfigDict(extra="forbid")
    norm: str = "linf"
    radius: Radii | None = None


class RunFile(BaseModel):
    """A run of several models, data sets, threats and attacks: every model meets each of the others.

    Arguments:
        models: Names of the zoo, checkpoints, or package.module:function.
        data: Names of data sets, .npz files or folders of images; else the one that the models were trained on.
        data_root: Folder of the data sets; else QUANTATTACK_DATA.
        threats: Norms and radii.
        attacks: Attacks, with settings in brackets.
        images: How many test images, from the first on; else all.
        seed: Seed of every random number.
        batch_size: Images attacked at once; found where it is left out.
        device: Where the models are.
        speed: FastSearch options.
        save_images: Whether the attacked images are kept.
        workers: Processes that share the work.
        out: Folder of the record, seen from the working directory.
    """

    model_config = ConfigDict(extra="forbid")
    models: Names
    data: Names | None = None
    data_root: str | None = None
    threats: Annotated[list[ThreatEntry], BeforeValidator(_listed), Field(min_length=1)] = [ThreatEntry()]
    attacks: Names = ["standard"]
    images: int | None = None
    seed: int = 0
    batch_size: int | None = None
    device: str = "cpu"
    speed: Annotated[list[str], BeforeValidator(_listed)] = []
    save_images: bool = False
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
        return f"there is no setting {where}; there are {', '.join(RunFile.model_fields)}"
    return f"{where}: {first['msg']}"
