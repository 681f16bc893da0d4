"""Image classifiers of Hugging Face's transformers, from a folder on this machine; nothing is downloaded or run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from quantattack.deployed.pixels import Pixels
from quantattack.errors import InputError
from quantattack.reading import first_line, is_file, is_folder, parsing, shown

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
_WHITE = 255  # of the bytes that a processor rescales


def is_hugging_face(name: str) -> bool:
    """Return whether a path is a model's folder, or the weights in one."""
    return is_folder(name) or (Path(name).name == WEIGHTS and is_file(Path(name).parent / CONFIG))


def hugging_face_model(name: str) -> tuple[nn.Module, Pixels | None, str]:
    """Return an image classifier, what its processor makes of pixels, and the size of the images that it makes.

    Arguments:
        name: Its folder, with config.json and model.safetensors, or the latter's path.

    Raises:
        InputError: If a file is missing or damaged, the weights are pickles, or the model is no image classifier.
    """
    folder = Path(name) if is_folder(name) else Path(name).parent
    _check_files(folder)
    model = _loaded(folder)
    if not is_file(folder / PROCESSOR):
        return model, None, ""
    about = _settings_in(folder / PROCESSOR)
    return model, _pixels_of(about, folder / PROCESSOR), _size_of(about)


def _check_files(folder: Path) -> None:
    if not is_file(folder / CONFIG):
        raise InputError(f"{shown(folder)} is a folder without {CONFIG}; name a model's file, or its folder with both")
    if "auto_map" in _settings_in(folder / CONFIG):
        raise InputError(f"{shown(folder)} needs code of its own (auto_map), which is not run; load it in Python")
    if is_file(folder / WEIGHTS) or is_file(folder / f"{WEIGHTS}.index.json"):
        return
    pickled = [path.name for path in sorted(folder.iterdir()) if path.suffix in (".bin", ".pt", ".pth")]
    has = f"has only {pickled[0]}, a pickle, which runs code when loaded" if pickled else "has no weights"
    line = f"A.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
    line = f'python -c "from transformers import AutoModelForImageClassification as A; {line}"'
    raise InputError(f"{shown(folder)} {has}; {WEIGHTS} is needed{f': {line} writes it' if pickled else ''}")


def _loaded(folder: Path) -> nn.Module:
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise InputError(
            f"{shown(folder)} needs transformers ({first_line(error)}): pip install 'quantattack[transformers]'"
        ) from None
    how = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True, "output_loading_info": True}
    with parsing(folder, "an image classifier of transformers", "take another folder"), _no_bars():
        model, about = AutoModelForImageClassification.from_pretrained(folder, **how)
    if missing := sorted(about["missing_keys"]):
        raise InputError(f"{shown(folder)} lacks weights of its network: {few(missing)}; take the classifier's folder")
    network: nn.Module = model.float().eval()
    return network


@contextmanager
def _no_bars() -> Iterator[None]:
    """Show no progress bar of transformers for a small file that is read from the disk."""
    from transformers.utils import logging

    shows = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shows:
            logging.enable_progress_bar()


def few(names: list[str], most: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _settings_in(path: Path) -> dict[str, Any]:
    with parsing(path, "settings in JSON", "take another folder"):
        settings = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise InputError(f"{shown(path)} must hold settings in JSON; take another folder")
    return settings


def _pixels_of(about: dict[str, Any], path: Path) -> Pixels:
    """Return what a processor makes of pixels: rescaled bytes, less the mean, over the deviation."""
    with parsing(path, "a processor's settings", "take another folder"):
        factor = float(about.get("rescale_factor", 1 / _WHITE)) if about.get("do_rescale", True) else 1.0
        low = -1.0 if about.get("rescale_offset") else 0.0
        normal = about.get("do_normalize", "image_mean" in about)
        mean, std = (_numbers(about[key]) if normal else () for key in ("image_mean", "image_std"))
        return Pixels("nchw", low, low + round(factor * _WHITE, 9), mean, std)


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list) else (float(value),)


def _size_of(about: dict[str, Any]) -> str:
    """Return height and width of the images that a processor makes; empty where it does not say."""
    size = about.get("crop_size") if about.get("do_center_crop") else about.get("size")
    if isinstance(size, dict):
        sides = [size.get("height", size.get("shortest_edge")), size.get("width", size.get("shortest_edge"))]
        return " x ".join(map(str, sides)) if all(sides) else ""
    return f"{size} x {size}" if isinstance(size, int) else ""
