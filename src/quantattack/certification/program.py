"""A network as a list of steps, each with its part, read off the calls that one image makes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.certification import linear
from quantattack.certification.activations import Clip, MaxPool, Steps
from quantattack.certification.parts import Part, is_integral
from quantattack.certification.table import TABLE, part_of
from quantattack.deployed.base import DeployedModel
from quantattack.errors import InputError, guarded
from quantattack.nn.convert import freeze
from quantattack.types import Images, Model

_SUMS = ("add", "add_", "__add__", "__iadd__", "__radd__")
_FLATTENINGS = ("flatten", "view", "reshape")
_CLIPS = ("relu", "relu_")
_SIZES = ("size", "dim", "numel", "__get__", "__len__")  # what is asked of a value's shape, not of its numbers
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a network.

    Arguments:
        name: Its name in the network.
        part: How it is bounded.
        inputs: Which steps it takes, by their places; the image is at place 0.
        shape: Shape of its value for one image.
    """

    name: str
    part: Part
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A network as steps, the first of which is the image and the last the logits.

    Arguments:
        steps: The steps, each after those that it takes.
    """

    steps: tuple[Step, ...]

    @property
    def last(self) -> int:
        """The place of the logits."""
        return len(self.steps) - 1

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.steps[-1].shape[1]


def network_of(model: Model) -> nn.Module:
    """Return the network behind a model as an evaluation shows it.

    Raises:
        InputError: If it is no network of float32 whose modules can be read, or products are computed in fewer bits.
    """
    network = getattr(model, "as_given", model)
    if not isinstance(network, nn.Module):
        raise InputError(f"bounds need a torch.nn.Module, whose modules can be read; not {type(network).__name__}")
    if isinstance(network, DeployedModel):
        raise InputError("no bound is known of a deployed file; certify the network that it was made of")
    kinds = {parameter.dtype for parameter in network.parameters()} - {torch.float32, torch.float64}
    if kinds:
        raise InputError(f"the bounds hold for float32, and the model has {kinds.pop()}; give it in float32")
    _check_products(network)
    return network


def _check_products(network: nn.Module) -> None:
    """Raise InputError where torch may round the factors of a product to fewer bits than float32 has."""
    if torch.get_float32_matmul_precision() != "highest":
        raise InputError('the bounds hold for products in float32; call torch.set_float32_matmul_precision("highest")')
    if any(each.is_cuda for each in network.parameters()) and torch.backends.cudnn.allow_tf32:
        raise InputError("the bounds hold for products in float32; set torch.backends.cudnn.allow_tf32 = False")


@torch.inference_mode(False)
@torch.no_grad()
def program_of(model: Model, image: Images) -> Program:
    """Return a network as steps.

    Arguments:
        model: The network, or what an evaluation wraps it in.
        image: One image with shape (1, ...), for the shapes of the values.

    Raises:
        InputError: If a module or an operation of it has no bound, which is named.
    """
    network = freeze(network_of(model)).cpu()
    reader = _Reader()
    with guarded("the model"), reader.watching(network):
        logits = network(reader.image(image.detach().cpu()[:1].to(_dtype_of(network)).clone()))
    return reader.program(logits)


def _dtype_of(network: nn.Module) -> torch.dtype:
    return next((each.dtype for each in network.parameters()), torch.float32)


class _Value(Tensor):
    """A value of the network that tells the reader what is done with it.

    Attributes:
        plain: The value as an ordinary tensor.
        place: The step that it is of.
        reader: Who is told.
    """

    plain: Tensor
    place: int
    reader: "_Reader"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        values = [each for each in args if isinstance(each, _Value)]
        plain = [each.plain if isinstance(each, _Value) else each for each in args]
        result = func(*plain, **(kwargs or {}))
        name = getattr(func, "__name__", str(func))
        if name in _SIZES and not isinstance(result, Tensor):
            return result
        if not values:
            raise InputError(f"no bound is known of the operation {name} of several values")
        return values[0].reader.called(name, args, kwargs or {}, values, result)


class _Reader:
    """Collects the steps of a network while one image runs through it."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._integral: list[bool] = []
        self._versions: list[int] = []

    def image(self, image: Tensor) -> Tensor:
        """Return the image as the first value."""
        return self._value("image", linear.unchanged(), [], image)

    def program(self, logits: Any) -> Program:
        """Return what was read, which ends in the logits."""
        if not isinstance(logits, _Value) or logits.place != len(self._steps) - 1:
            raise InputError("the model returns something other than its last value; bounds need the logits alone")
        if logits.plain.ndim != 2:
            raise InputError(f"the model returns a value of shape {tuple(logits.plain.shape)}, not one of logits")
        return Program(tuple(self._steps))

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Read every module that has a bound, and refuse those of torch that have none."""
        with ExitStack() as stack:
            for name, module in network.named_modules():
                if type(module) in TABLE or _is_leaf(module):
                    forward = self._read(name or type(module).__name__, module)
                    own = module.forward
                    module.forward = forward
                    stack.callback(setattr, module, "forward", own)
            yield

    def _read(self, name: str, module: nn.Module) -> Callable[[Tensor], Tensor]:
        run = module.forward

        def forward(value: Tensor) -> Tensor:
            if not isinstance(value, _Value):
                raise InputError(f"{name} does not take a value that follows from the image")
            part = part_of(name, module, tuple(value.plain.shape))
            if isinstance(part, linear.Linear) and self._integral[value.place]:
                part = linear.on_integers(part)
            return self._value(name, part, [value], run(self._used(value)))

        return forward

    def called(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], values: Sequence[_Value], result: Tensor
    ) -> Tensor:
        """Add the step of an operation outside of the modules."""
        for value in values:
            self._used(value)
        if name in _SUMS and len(args) == len(values) == 2 and not kwargs:
            return self._value(name, linear.Sum(), values, result)
        shape = tuple(values[0].plain.shape)
        if name in _FLATTENINGS and len(values) == 1 and tuple(result.shape) == (1, values[0].plain.numel()):
            return self._value(name, linear.flattened(shape), values, result)
        if name in _CLIPS and len(values) == 1:
            return self._value(name, Clip(), values, result)
        raise InputError(f"no bound is known of the operation {name}; use modules, or add, flatten and relu")

    def _used(self, value: _Value) -> Tensor:
        """Return a value's tensor, unless an operation has changed it in place since it was read."""
        if value.plain._version != self._versions[value.place]:
            name = self._steps[value.place].name
            raise InputError(f"the value of {name} is changed in place and used after that; bounds need inplace=False")
        return value.plain

    def _value(self, name: str, part: Part, inputs: Sequence[_Value], result: Tensor) -> Tensor:
        places = tuple(value.place for value in inputs)
        self._integral.append(self._keeps_integers(part, places))
        self._steps.append(Step(name, part, places, tuple(result.shape)))
        self._versions.append(result._version)
        value = result.detach().clone().as_subclass(_Value)
        value.plain, value.place, value.reader = result, len(self._steps) - 1, self
        return value

    def _keeps_integers(self, part: Part, places: Sequence[int]) -> bool:
        """Return whether a step's values are whole numbers, whatever the image."""
        if isinstance(part, Steps):
            return is_integral(part.values)
        if not places or not all(self._integral[place] for place in places):
            return False
        if isinstance(part, linear.Linear):
            return part.integral and is_integral(part.shift)
        return isinstance(part, MaxPool | linear.Sum)


def _is_leaf(module: nn.Module) -> bool:
    """Return whether a module is one of torch's own that does something itself."""
    own = type(module).__module__.startswith("torch.nn.modules")
    return own and not isinstance(module, _CONTAINERS) and not any(True for _ in module.children())
