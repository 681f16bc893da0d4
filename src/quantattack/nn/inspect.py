"""What is really quantized in a network, judged by its tensors and not by its name."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.nn.convert import WEIGHTED, freeze
from quantattack.nn.packing import levels_of, pack
from quantattack.types import Images

MOST = 256


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer.

    Arguments:
        name: Its name in the model.
        kind: Its class.
        weights: Number of levels that its weights have, of a filter where each has its own; None for float.
        values: The levels, where they are at most 16 and the same for every filter.
        inputs: Number of levels that its inputs have on the images given; None for more than 256.
        parameters: Weights and biases.
        quantized: Those among them that have levels.
        multiply_adds: Of one image.
        first: Whether it comes first.
        last: Whether it comes last.

    """

    name: str
    kind: str
    weights: int | None
    values: tuple[float, ...]
    inputs: int | None
    parameters: int
    quantized: int
    multiply_adds: int
    first: bool
    last: bool


@dataclass(frozen=True)
class Inspection:
    """The layers and sizes of a network.

    Arguments:
        layers: Its convolutions and linear layers in the order in which they run.
        parameters: Parameters of the whole network, its BatchNorms' included.
        bytes: Size of its packed tensors.

    """

    layers: tuple[Layer, ...]
    parameters: int
    bytes: int

    @property
    def quantized_parameters(self) -> float:
        """Share of the network's parameters that have levels, 0 to 1."""
        return sum(layer.quantized for layer in self.layers) / self.parameters

    @property
    def quantized_multiply_adds(self) -> float:
        """Share of the multiply-adds whose weight has levels, 0 to 1."""
        return self._share(lambda layer: layer.weights is not None)

    @property
    def integer_multiply_adds(self) -> float:
        """Share of the multiply-adds whose weight and input both have levels, 0 to 1."""
        return self._share(lambda layer: layer.weights is not None and layer.inputs is not None)

    def _share(self, counts: Callable[[Layer], bool]) -> float:
        chosen = [layer for layer in self.layers if counts(layer)]
        return sum(layer.multiply_adds for layer in chosen) / sum(layer.multiply_adds for layer in self.layers)


@torch.no_grad()
def inspect(model: nn.Module, images: Images) -> Inspection:
    """Return what is quantized in a network, judged by its final form.

    Arguments:
        model: The network; it is frozen first.
        images: Some images to run through it.

    Raises:
        InputError: If it has neither a convolution nor a linear layer that runs.

    """
    final = freeze(model)
    seen = list(_watch(final, images))
    if not seen:
        raise InputError("the model has no convolution and no linear layer that runs; there is nothing to inspect")
    layers = tuple(
        _layer(name, module, data, sums, index == 0, index == len(seen) - 1)
        for index, (name, module, data, sums) in enumerate(seen)
    )
    stored = {f"{name}.{key}": part for name, held in final.state_dict().items() for key, part in _parts(held).items()}
    packed = pack(stored).values()
    parameters = sum(parameter.numel() for parameter in final.parameters())
    return Inspection(layers, parameters, sum(tensor.numel() * tensor.element_size() for tensor in packed))


Seen = tuple[str, nn.Module, Tensor, int]


def _watch(model: nn.Module, images: Tensor) -> Iterator[Seen]:
    """Every layer as it runs, with its input and its multiply-adds for one image."""
    seen: dict[str, Seen] = {}

    def look(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        fan = int(module.weight[0].numel())  # type: ignore[index]
        seen.setdefault(name, (name, module, inputs[0], fan * output[0].numel()))

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, WEIGHTED):
                stack.callback(module.register_forward_hook(partial(look, name)).remove)
        model(images)
    yield from seen.values()


def _layer(name: str, module: nn.Module, data: Tensor, sums: int, first: bool, last: bool) -> Layer:
    parameters = dict(module.named_parameters())
    table = _levels(parameters["weight"])
    return Layer(
        name=name,
        kind=type(module).__name__,
        weights=None if table is None else table.shape[-1],
        values=_values(parameters["weight"], table),
        inputs=_count(data),
        parameters=sum(parameter.numel() for parameter in parameters.values()),
        quantized=sum(p.numel() for p in parameters.values() if _levels(p) is not None),
        multiply_adds=sums,
        first=first,
        last=last,
    )


def _is_made_of_others(tensor: Tensor) -> bool:
    return hasattr(tensor, "__tensor_flatten__")


def _parts(tensor: Tensor) -> dict[str, Tensor]:
    """The tensors that a tensor is made of, as torchao's are; itself where it is an ordinary one."""
    if not _is_made_of_others(tensor):
        return {"": tensor}
    names, _ = tensor.__tensor_flatten__()  # type: ignore[attr-defined]
    return {name: getattr(tensor, name) for name in names}


def _levels(tensor: Tensor) -> Tensor | None:
    """The levels of a tensor: of one that is made of integers those, of one that packs them what they stand for."""
    if not _is_made_of_others(tensor):
        return levels_of(tensor)
    whole = [part for part in _parts(tensor).values() if part.shape == tensor.shape and not part.is_floating_point()]
    return whole[0].unique() if whole else levels_of(tensor.dequantize())  # type: ignore[no-untyped-call]


def _values(weight: Tensor, table: Tensor | None) -> tuple[float, ...]:
    """The levels where they are few and every filter's: integers that a tensor is made of have a scale for each."""
    few = table is not None and table.ndim == 1 and len(table) <= 16 and not _is_made_of_others(weight)
    return tuple(table.tolist()) if table is not None and few else ()


def _count(data: Tensor) -> int | None:
    count = len(torch.unique(data))
    return count if count <= MOST and count < data.numel() else None
