"""Modules of torch.ao after their conversion to integers: they judge, and their operators' stand-ins are climbed."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from quantattack.deployed.base import Artifact
from quantattack.deployed.facts import checksum_of, torch_version
from quantattack.deployed.rows import by_rows
from quantattack.deployed.torch_programs.grids import averaged, integers, is_placed, placed, quantized
from quantattack.deployed.torch_programs.quantized_operators import AVERAGES, CLAMPS, FIXED, MOVES, OPERATORS
from quantattack.errors import InputError

_CONVERTED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")


def is_converted(model: object) -> bool:
    """Return whether a module holds torch.ao's quantized layers, or torchao's weights that quantize their inputs.

    Arguments:
        model: Any object.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return False
    if any(quantizes_inputs(parameter) for parameter in model.parameters()):
        return True
    return any(type(layer).__module__.startswith(_CONVERTED) and _has_weight(layer) for layer in model.modules())


def _has_weight(layer: nn.Module) -> bool:
    return "reference" not in type(layer).__module__ and hasattr(layer, "_packed_params")


class StraightThrough(TorchFunctionMode):
    """Has torch's quantized operators compute on grids with a derivative while it is entered."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        name, kwargs = _name_of(func), kwargs or {}
        if name == "linear" and len(args) > 1 and quantizes_inputs(args[1]):
            return _linear_of_rows(*args, **kwargs)
        if name in OPERATORS and (name != "cat" or is_placed(args[0][0])):
            return OPERATORS[name](*args, **kwargs)
        if name.startswith("quantized."):
            raise InputError(
                f"the model has the operator {name}, which has no twin here; attack its float model and transfer"
            )
        if not args or not is_placed(args[0]):
            return func(*args, **kwargs)
        return _on_grid(name, func, args, kwargs)


def quantizes_inputs(weight: object) -> bool:
    """Return whether a tensor is one of torchao's that quantizes what it is multiplied with, which has no derivative.

    Arguments:
        weight: Any object.
    """
    return type(weight).__module__.startswith("torchao.") and (
        getattr(weight, "act_quant_kwargs", None) is not None or hasattr(weight, "input_quant_func")
    )


def _linear_of_rows(inputs: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
    """Return what a weight of torchao gives, with the derivative of the product with its numbers."""
    with torch.no_grad():
        exact = nn.functional.linear(inputs.float(), weight, None if bias is None else bias.float())
    numbers = weight.dequantize().to(inputs.dtype).detach()
    smooth = nn.functional.linear(inputs, numbers, None if bias is None else bias.detach())
    return smooth + (exact.to(smooth.dtype) - smooth).detach()


def _on_grid(name: str, func: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Call a function of one quantized tensor on its integers, where the result is on the same grid."""
    centred, grid = integers(args[0])
    if name in AVERAGES:
        return averaged(func(centred, *args[1:], **kwargs), grid)
    if name in FIXED:
        return quantized(func(*args, **kwargs), FIXED[name])
    if name in CLAMPS:
        return quantized(func(*args, **kwargs), grid)
    if name not in MOVES:
        return func(*args, **kwargs)
    moved = func(centred, *args[1:], **kwargs)
    return placed(moved, grid) if isinstance(moved, Tensor) else type(moved)(placed(part, grid) for part in moved)


def _name_of(func: Any) -> str:
    if isinstance(func, torch._ops.OpOverloadPacket):
        return str(func)
    if isinstance(func, torch._ops.OpOverload):
        return str(func.overloadpacket)
    if getattr(func, "__name__", "") == "__get__":  # of a property, such as is_quantized
        return f"property {func.__self__.__name__}"
    name: str = getattr(func, "__name__", "")
    return _UNNAMED.get(func, name)


# Functions that torch.nn.functional makes of two, all with one name.
_UNNAMED = {
    getattr(nn.functional, name): name
    for name in ("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "adaptive_max_pool1d")
}


class ModuleTwin(nn.Module):
    """A converted module with a derivative.

    Arguments:
        inside: The module; it is copied.
        rows: Images that it is shown at once; None for any number.
    """

    def __init__(self, inside: nn.Module, rows: int | None = None) -> None:
        super().__init__()
        self.inside, self.rows = copy.deepcopy(inside), rows
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        with StraightThrough():
            return by_rows(self.inside, inputs, self.rows)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the module, which are its logits."""
        return self(inputs)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class ModuleRuntime:
    """A converted module as it is, run on the CPU without a derivative; deep copies share it.

    Arguments:
        module: The module.
        artifact: What is known of it.
        rows: Images that it is shown at once; None for any number.
    """

    module: nn.Module
    artifact: Artifact
    rows: int | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return by_rows(self.module, inputs.detach().to("cpu", torch.float32), self.rows).float()

    def __deepcopy__(self, memo: dict[int, Any]) -> "ModuleRuntime":
        return self


def _depends_on_batch(model: nn.Module) -> bool:
    dynamic = any("quantized.dynamic" in type(layer).__module__ for layer in model.modules())
    grains = [getattr(getattr(each, "act_quant_kwargs", None), "granularity", None) for each in model.parameters()]
    return dynamic or any(type(grain).__name__ == "PerTensor" for grain in grains)


def read_module(model: nn.Module) -> tuple[ModuleTwin, ModuleRuntime]:
    """Return the twin of a converted module, and the module as what judges; it is copied and not changed.

    Where a layer finds the scale of its input from what it is shown, each image is shown alone.

    Arguments:
        model: The module, as `convert` or `convert_fx` of torch.ao, or `quantize_` of torchao, leaves it.
    """
    rows = 1 if _depends_on_batch(model) else None
    settings = {"engine": torch.backends.quantized.engine} | ({} if rows is None else {"images at once": str(rows)})
    checksum, size = checksum_of(model.state_dict(), repr(model))
    artifact = Artifact(type(model).__name__, "torch.ao", checksum, size, torch_version(), settings)
    kept = copy.deepcopy(model).eval()
    return ModuleTwin(kept, rows), ModuleRuntime(kept, artifact, rows)
