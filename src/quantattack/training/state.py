"""The state of a training in one safetensors file: latent weights, optimizer, history; nothing is pickled."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialize
from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.reading import exists


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch.

    Arguments:
        index: Its number, from 0.
        loss: Mean loss over the epoch.
        training: Share of training images classified correctly on the way, 0 to 1, with the weights of the moment.
        accuracy: Share of the watched images that the final form of the network classifies correctly; None
            if none are watched.

    """

    index: int
    loss: float
    training: float
    accuracy: float | None


def store(
    path: Path | str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: Mapping[str, Any],
    history: list[Epoch],
) -> None:
    """Write the state, whole or not at all."""
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    tensors |= {f"optimizer.{name}": tensor.contiguous() for name, tensor in _moments(optimizer).items()}
    entry = {**training, "history": [asdict(epoch) for epoch in history]}
    part = Path(f"{path}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(serialize(tensors, metadata={"training": json.dumps(entry)}))
    part.replace(path)


def resume(
    path: Path | str, model: nn.Module, optimizer: torch.optim.Optimizer, training: Mapping[str, Any]
) -> list[Epoch]:
    """Bring model and optimizer to the stored state and return its history; empty where nothing is stored.

    Arguments:
        path: The file.
        model: The network, as it is at the beginning.
        optimizer: Its optimizer.
        training: Description of the training, as JSON; the state of another training is refused.

    Raises:
        InputError: If the file is damaged or holds the state of another training.

    """
    if not exists(path):
        return []
    tensors, entry = _read(path)
    if {key: entry.get(key) for key in training} != json.loads(json.dumps(training)):
        raise InputError(f"{path} holds another training; remove it or give the same settings")
    try:
        model.load_state_dict(_under("model.", tensors))
    except RuntimeError:
        raise InputError(f"{path} holds the training of another network; remove it") from None
    _restore(optimizer, _under("optimizer.", tensors))
    return [Epoch(**epoch) for epoch in entry["history"]]


def _read(path: Path | str) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    data = Path(path).read_bytes()
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return parse(data), json.loads(header["__metadata__"]["training"])
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError):
        raise InputError(f"{path} is not the state of a training, or is damaged; remove it") from None


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": value
        for index, moments in state.items()
        for key, value in moments.items()
        if value is not None
    }


def _restore(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
