"""Images of a user's own by their path: an `.npz` file, a folder of images, or tables of Hugging Face's datasets."""

from collections.abc import Callable, Mapping
from pathlib import Path

from quantattack.data.npz import read_npz
from quantattack.data.readers import Arrays, OwnArrays, read_folder
from quantattack.data.tables import SUFFIXES, is_table, read_table
from quantattack.errors import unknown
from quantattack.reading import exists, name_and_settings

_SETTINGS: Mapping[str, tuple[str, ...]] = {"npz": ("layout",), "table": ("image", "label", "split"), "folder": ()}


def is_own_file(name: str) -> bool:
    """Return whether a name is that of a file of images, by its suffix."""
    return Path(path_in(name)).suffix.lower() in (".npz", *SUFFIXES)


def path_in(name: str) -> str:
    """Return the path of a name such as `mine.npz[layout=nhwc]`."""
    return name if exists(name) or not name.endswith("]") else name.partition("[")[0]


def read_own(name: str) -> OwnArrays:
    """Return images (n, channels, height, width), bytes or float32 in [0, 1], and labels (n).

    Arguments:
        name: The path; behind an ``.npz`` file ``[layout=nhwc]``, behind tables ``[image=..,label=..,split=..]``.

    Raises:
        InputError: If it cannot be read, or a setting is not for it.

    """
    path, settings = (name, {}) if path_in(name) == name else name_and_settings("path of images", name)
    kind = "npz" if Path(path).suffix.lower() == ".npz" else "table" if is_table(path) else "folder"
    for setting in settings:
        if setting not in _SETTINGS[kind]:
            raise unknown(f"setting of {path}", setting, _SETTINGS[kind])
    readers: Mapping[str, Callable[..., OwnArrays]] = {"npz": read_npz, "table": read_table, "folder": _folder}
    return readers[kind](path, **{key: str(value) for key, value in settings.items()})


def _folder(path: str) -> Arrays:
    return read_folder(path)[:2]
