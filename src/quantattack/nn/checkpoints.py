"""Checkpoints: a network with its architecture and quantizers in one safetensors file; loading runs no code."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load as parse
from safetensors.torch import save as serialize
from torch import nn

from quantattack.errors import InputError, is_number, one_line, unknown
from quantattack.nn.architectures import build
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.packing import pack, unpack
from quantattack.nn.pickles import refuse_pickle
from quantattack.nn.quantizers import ACTIVATIONS, WEIGHTS, Quantizer
from quantattack.nn.quantizers.names import TRAINED
from quantattack.reading import parsing, read_bytes, shown

FORMAT = 1
KEY = "quantattack"
BLANK = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a checkpoint states about its network.

    Arguments:
        architecture: Name of the architecture.
        settings: The architecture's settings.
        weights: The weights' quantizer, as ``quantizer_card`` states it; None for float.
        activations: The activations' quantizer, the same way.
        skip: Names of the modules that stay float.
        data: Name of the data set it was trained on.
        adversarial: The adversary of its training as JSON, empty for none.
        training: The settings of its training.
        clean: Accuracy on the whole test set, 0 to 1.
        checksum: SHA-256 of the file with this entry blank.

    """

    architecture: str
    settings: Mapping[str, Any]
    weights: Mapping[str, Any] | None = None
    activations: Mapping[str, Any] | None = None
    skip: tuple[str, ...] = ()
    data: str = ""
    adversarial: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    clean: float = 0.0
    checksum: str = BLANK
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    @property
    def quantizer(self) -> str:
        """The method's name: ``float``, the weights' quantizer, or both joined by ``+``."""
        names = [quantizer.name for quantizer in map(quantizer_of, (self.weights, self.activations)) if quantizer]
        return "bnn-waq" if names == ["bnn-waq", "sign"] else "+".join(names) or "float"

    @property
    def logit_scale(self) -> float:
        """What the loss that its training ended on multiplied the logits with; 1 for the logits as they are."""
        scale = self.training.get("logit_scale", 1.0)
        if isinstance(scale, Mapping) and scale.get("kind") == "rise":
            return 1.0
        if not (is_number(scale) and scale > 0):
            raise InputError(f"the checkpoint states a training on {scale!r} times its logits; it is damaged")
        return float(scale)


def quantizer_card(quantizer: Quantizer | None) -> dict[str, Any] | None:
    """Return a quantizer's class and settings as JSON; a temperature is the training's, not the network's."""
    if quantizer is None:
        return None
    settings = {key: value for key, value in asdict(quantizer).items() if key != TRAINED}  # type: ignore[call-overload]
    return {"quantizer": type(quantizer).__name__, **settings}


def quantizer_of(card: Mapping[str, Any] | None) -> Quantizer | None:
    """Return the quantizer that a card states.

    Raises:
        InputError: If it names an unknown quantizer or setting.

    """
    if card is None:
        return None
    known = {kind.__name__: kind for kind in (*WEIGHTS, *ACTIVATIONS)}
    settings = dict(card)
    name = str(settings.pop("quantizer", ""))
    if name not in known:
        raise unknown("quantizer", name, known)
    for setting in settings:
        takes = [field.name for field in fields(known[name])]
        if setting not in takes:
            raise unknown(f"setting of {name}", setting, takes)
    try:
        quantizer: Quantizer = known[name](**settings)
    except TypeError as error:
        raise InputError(f"{name} does not take {settings}: {_line(error)}") from None
    return quantizer


def save(model: nn.Module, path: Path | str, card: Card) -> None:
    """Write a network's final form to a file; weights with few levels take few bits.

    Arguments:
        model: The network; it is frozen first.
        path: Where the file goes.
        card: What it is; the checksum is added here.

    """
    tensors = pack(freeze(model).cpu().state_dict())
    entry = json.dumps({"format": FORMAT, **asdict(card), "checksum": BLANK}, sort_keys=True)
    data = serialize(tensors, metadata={KEY: entry})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # Written whole and then renamed, so that a kill leaves the old file or the new one.
    part = Path(f"{path}.part")
    part.write_bytes(data.replace(BLANK.encode(), _checksum(data).encode(), 1))
    part.replace(path)


def load(path: Path | str) -> nn.Module:
    """Return the network of a checkpoint in eval mode, in float32; it takes images with pixels in [0, 1].

    Raises:
        InputError: If the file is empty, cut off, changed, of another kind, or does not fit its architecture.

    """
    data = _read(path)
    card = _card(data, path)
    try:
        with parsing(path, "a checkpoint that fits its architecture", "take another file"):
            tensors = parse(data)
            model = assemble(card)
            _fill(model, {name: _single(tensor) for name, tensor in tensors.items()})
    except InputError as error:
        where = "" if shown(path) in str(error) else f"{shown(path)}: "
        raise InputError(f"{where}{error}") from None
    return model.eval()


def assemble(card: Card) -> nn.Module:
    """Return the frozen, untrained network that a card states."""
    model = build(card.architecture, card.settings)
    activations = quantizer_of(card.activations)
    names = {name for name, _ in model.named_modules()}
    return freeze(quantize(model, activations=activations, skip=[name for name in card.skip if name in names]))


def read_card(path: Path | str) -> Card:
    """Return a checkpoint's card, after checking the file.

    Raises:
        InputError: If the file is empty, cut off, changed, or of another kind.

    """
    return _card(_read(path), path)


def _fill(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = unpack(tensors, shapes)
    wrong = [name for name in {*state, *shapes} if name not in state or state[name].shape != shapes.get(name)]
    if wrong:
        raise InputError(f"the tensors do not fit the architecture at {min(wrong)}; take another file")
    model.load_state_dict(state)


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _read(path: Path | str) -> bytes:
    data = read_bytes(path, "a checkpoint", "give a checkpoint file")
    if not data:
        raise InputError(f"{shown(path)} is empty; give a checkpoint file")
    refuse_pickle(path)
    return data


def _card(data: bytes, path: Path | str) -> Card:
    entry = dict(_entry(data, path))
    if entry.pop("format", None) != FORMAT:
        raise InputError(f"{shown(path)} has another version's format; train it again or update the package")
    try:
        card = TypeAdapter(Card).validate_python(entry)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(f"{shown(path)} states settings that no network has ({what}); take another file") from None
    if _checksum(data.replace(card.checksum.encode(), BLANK.encode(), 1)) != card.checksum:
        raise InputError(f"{shown(path)} was changed or cut off: its checksum does not match; take another copy")
    return card


def _entry(data: bytes, path: Path | str) -> Mapping[str, Any]:
    """The metadata from the header: eight bytes of length, then JSON."""
    with parsing(path, "a checkpoint of this package, or was cut off", "take another file"):
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        entry = json.loads(header["__metadata__"][KEY])
    if not isinstance(entry, dict):
        raise InputError(f"{shown(path)} is not a checkpoint of this package; take another file")
    return entry


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _line(error: Exception) -> str:
    return one_line(error)[:160]
