"""The zoo: trained networks by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import nn

from quantattack.errors import unknown
from quantattack.nn.checkpoints import Card, load, read_card
from quantattack.reading import is_file

FOLDER = Path(__file__).parent / "carried"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Description:
    """The description of a network of the zoo.

    Arguments:
        name: Its name in the zoo.
        data: The data set that it was trained on.
        architecture: Its architecture with the settings.
        quantizer: Name of its quantization method; ``float`` for none.
        adversarial: Whether it was trained adversarially.
        clean: Accuracy on the test set, 0 to 1.
        bytes: Size of its file.

    """

    name: str
    data: str
    architecture: str
    quantizer: str
    adversarial: bool
    clean: float
    bytes: int


def load_model(name: str) -> nn.Module:
    """Return a trained network in eval mode, in float32, that takes images with pixels in [0, 1].

    Arguments:
        name: A name of ``models()``, or the path of a checkpoint.

    Raises:
        InputError: If nothing has the name, or the file is not a checkpoint that fits its architecture.

    """
    return load(path_of(name))


def names() -> tuple[str, ...]:
    """Return the name of every network that comes with the package."""
    return tuple(_files())


def path_of(name: str) -> Path:
    """Return the checkpoint file of a network of the zoo, or the path that was given."""
    if name in _files():
        return _files()[name]
    if is_file(name) or name.endswith(SUFFIX):
        return Path(name)
    raise unknown("model", name, _files())


def card_of(name: str) -> Card:
    """Return the card of a network's checkpoint."""
    return read_card(path_of(name))


@cache
def models() -> tuple[Description, ...]:
    """Return the description of every network that comes with the package."""
    return tuple(_describe(name, path) for name, path in _files().items())


def _files() -> Mapping[str, Path]:
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def _describe(name: str, path: Path) -> Description:
    card = read_card(path)
    settings = ", ".join(f"{key}={value}" for key, value in card.settings.items())
    architecture = f"{card.architecture}({settings})"
    return Description(
        name, card.data, architecture, card.quantizer, bool(card.adversarial), card.clean, path.stat().st_size
    )
