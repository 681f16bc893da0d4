"""Deployed models that others published, by name: where they are, their checksum, and where they lie once fetched."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from quantattack.data.fetch import Advance, Published, fetch_file
from quantattack.errors import InputError, unknown


@dataclass(frozen=True)
class ModelFile:
    """A published model that does not come with the package.

    Arguments:
        name: Its name, such as ``mlperf-tiny/resnet8-int8``; what is before the slash is its folder in the data root.
        file: The name of its file there.
        published: Where it is published, with SHA-256 and size.
        data: The data set of its inputs; empty where it is none of ours.
        architecture: Its architecture, as its publisher calls it.
        quantizer: What its weights and activations are: ``int8`` or ``float``.
        license: Its license with the address of the license's text.
        range: What black and white are to it, as its publisher says; None where its inputs are no images.
    """

    name: str
    file: str
    published: Published
    data: str
    architecture: str
    quantizer: str
    license: str
    range: tuple[float, float] | None = None

    def path(self, root: Path) -> Path:
        """Return where the file lies in a data root."""
        return root / self.name.partition("/")[0] / self.file


_TINY = "https://raw.githubusercontent.com/mlcommons/tiny/1afd2c9820f795965a6134facd0b4dfae41ef23f/benchmark/training/"
_APACHE = "Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0"
_RESNET = "image_classification/trained_models/"


def _tiny(name: str, file: str, there: str, total: str, size: int, *kind: str) -> ModelFile:
    data, architecture, quantizer = kind
    published = Published(_TINY + there, total, size=size)
    span = None if architecture == "DS-CNN" else (0.0, 255.0)  # which takes sound
    return ModelFile(f"mlperf-tiny/{name}", f"{file}.tflite", published, data, architecture, quantizer, _APACHE, span)


MODEL_FILES: Mapping[str, ModelFile] = {
    model.name: model
    for model in (
        _tiny(
            "resnet8-int8", "resnet8_cifar10_int8", _RESNET + "pretrainedResnet_quant.tflite",
            "3c002613d1b2475eb51dd78dfb85a546c8ae658dee71cf6ade43b022fe205415", 98_496, "cifar10", "ResNet-8", "int8",
        ),
        _tiny(
            "resnet8-float", "resnet8_cifar10_float", _RESNET + "pretrainedResnet.tflite",
            "b5c0046d6e0328b4956afd6baa29555a29b1f1c65bdd45aaed75b7cd484d9f79", 318_144, "cifar10", "ResNet-8", "float",
        ),
        _tiny(
            "vww96-int8", "mobilenet_vww96_int8", "visual_wake_words/trained_models/vww_96_int8.tflite",
            "597a384c8c2c8a1276f04702f25013b7838f2f814f1ca7c174d295b73e3d6b7b", 333_288, "", "MobileNet-V1", "int8",
        ),
        _tiny(
            "kws-int8", "dscnn_kws_int8", "keyword_spotting/trained_models/kws_ref_model.tflite",
            "aeea436800704fce17b17292e4412630ad856e9d777c044c64ef748a880bd0ae", 53_936, "", "DS-CNN", "int8",
        ),
    )
}  # fmt: skip


def path_of_file(name: str, root: Path | str | None = None) -> Path:
    """Return where the file of a published model lies, once it was fetched.

    Arguments:
        name: A name of ``MODEL_FILES``.
        root: Folder of the data sets; None takes it from the variable QUANTATTACK_DATA.

    Raises:
        InputError: If nothing has the name, or it was not fetched yet.
    """
    model = _model(name)
    folder = root or os.environ.get("QUANTATTACK_DATA")
    if not folder:
        raise InputError(f"{name} does not come with the package; run `quantattack fetch {name} --data-root FOLDER`")
    path = model.path(Path(folder))
    if not path.is_file():
        where = f" --data-root {root}" if root else ""
        raise InputError(f"{path} is not there; run `quantattack fetch {name}{where}`")
    return path


def fetch_model(
    name: str, to: Path | str | None = None, root: Path | str | None = None, advance: Advance | None = None
) -> Path:
    """Download a published model from its official place, and return its path; what is there already is left alone.

    Arguments:
        name: A name of ``MODEL_FILES``.
        to: The file, or a folder for it, where it is not to go into its folder of the data root.
        root: Folder of the data sets; None takes it from the variable QUANTATTACK_DATA.
        advance: Called with the file's name, the number of bytes so far and the total.

    Raises:
        InputError: If nothing has the name, no place is given, the server cannot be reached, or the checksum does not
            match.
    """
    model, folder = _model(name), root or os.environ.get("QUANTATTACK_DATA")
    if to is None and not folder:
        raise InputError("say where to put it: --out, or --data-root FOLDER, or QUANTATTACK_DATA")
    path = model.path(Path(folder)) if to is None and folder else _place(to, model.file)
    return fetch_file(model.published, path, advance)


def fetch_address(address: str, sha256: str, to: Path | str | None = None, advance: Advance | None = None) -> Path:
    """Download a file of one's own, and return its path.

    Arguments:
        address: Its URL, http or https.
        sha256: Its SHA-256 in hexadecimal.
        to: The file, or a folder for it; None puts it into the current folder under the name that the address has.
        advance: Called with the file's name, the number of bytes so far and the total.

    Raises:
        InputError: If address or checksum are none, the server cannot be reached, or the checksum does not match.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(f"the SHA-256 must be 64 hexadecimal digits, not {sha256!r}; `sha256sum FILE` prints it")
    try:
        scheme, host = urlsplit(address).scheme, urlsplit(address).hostname
        file = Published(address, sha256.lower())
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", address):
        raise InputError(f"{address!r} is no address of a file; give one like https://host/model.onnx")
    return fetch_file(file, _place(to, file.name), advance)


def is_model_file(name: str) -> bool:
    """Return whether a name is that of a published model, fetched or not."""
    return name in MODEL_FILES


def _model(name: str) -> ModelFile:
    if name not in MODEL_FILES:
        raise unknown("model to fetch", name, MODEL_FILES)
    return MODEL_FILES[name]


def _place(to: Path | str | None, name: str) -> Path:
    """Return the file that is meant: what was given, or the name in the folder that was given."""
    if to is not None and not Path(to).is_dir() and not str(to).endswith(("/", os.sep)):
        return Path(to)
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0"):
        raise InputError(f"the address names no file ({name!r}); say what to call it: --out FILE")
    return Path(to or "") / name
