"""Converters from other libraries' models to differentiable modules that map images in [0, 1] to logits."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.deployed import adopted, from_program
from quantattack.deployed.pixels import Pixels
from quantattack.errors import InputError
from quantattack.gradients import NoGradient, gradient, logits_in
from quantattack.types import Images, Logits


class Normalized(nn.Module):
    """Wrap a model of normalized images: it normalizes images in [0, 1] and returns only the model's logits.

    Arguments:
        model: The model to wrap.
        mean: Per-channel means; None for 0.
        std: Per-channel standard deviations; None for 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: nn.Module, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor([0.0] if mean is None else list(mean)))
        self.register_buffer("std", torch.tensor([1.0] if std is None else list(std)))
        in_eval_mode(self)

    def forward(self, images: Images) -> Logits:
        shape = (1, -1, *[1] * (images.ndim - 2))
        mean, std = self.mean.to(images).reshape(shape), self.std.to(images).reshape(shape)
        return logits_of(self.model((images - mean) / std))


class Ranged(nn.Module):
    """Wrap a library's model with its own pixel range and preprocessing: it rescales images from [0, 1].

    Arguments:
        call: Maps images in the library's pixel range to the model's output.
        model: The underlying module, registered for its parameters.
        low: Lower end of the library's pixel range.
        high: Upper end of the library's pixel range.
    """

    def __init__(self, call: Any, model: nn.Module, low: float, high: float) -> None:
        super().__init__()
        self.call, self.model, self.low, self.high = call, model, low, high
        in_eval_mode(self)

    def forward(self, images: Images) -> Logits:
        return logits_of(self.call(self.low + images * (self.high - self.low)))

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}"


def in_eval_mode(module: nn.Module) -> None:
    """Put a wrapper and what it wraps in eval mode; an exported program has no modes, and keeps those it has."""
    module.training = False
    with suppress(NotImplementedError):
        module.eval()


def logits_of(output: Any) -> Logits:
    """Extract the logits from a model's output: a tensor, or the attribute `logits` or `value` of an output object."""
    logits = output if isinstance(output, Tensor) else logits_in(output)
    if logits is not None:
        return logits
    raise InputError(f"the model must return logits or an output that has them, not {type(output).__name__}")


def from_foolbox(model: Any) -> nn.Module:
    """Convert a `foolbox.PyTorchModel`, with its bounds and preprocessing.

    Arguments:
        model: The wrapped model.

    Raises:
        InputError: If it is not a `PyTorchModel`.
    """
    captured = [cell.cell_contents for cell in getattr(getattr(model, "_model", None), "__closure__", None) or ()]
    modules = [value for value in captured if isinstance(value, nn.Module)]  # PyTorchModel keeps it in a closure
    if not modules or not hasattr(model, "bounds"):
        raise InputError(f"from_foolbox takes a foolbox.PyTorchModel, not {type(model).__name__}")
    low, high = model.bounds
    return Ranged(model, modules[0], float(low), float(high))


def from_art(classifier: Any) -> nn.Module:
    """Convert ART's `PyTorchClassifier`, with its clip values and preprocessing.

    Arguments:
        classifier: The classifier.

    Raises:
        InputError: If it is not a `PyTorchClassifier`, has no clip values, or has a non-differentiable defense.
    """
    if not isinstance(getattr(classifier, "model", None), nn.Module):
        raise InputError(f"from_art takes ART's PyTorchClassifier, not {type(classifier).__name__}")
    if classifier.clip_values is None:
        raise InputError("the classifier has no clip_values, so its pixel range is unknown; give it some")
    if not classifier.all_framework_preprocessing:
        raise InputError("the classifier has a NumPy defense, which passes no gradient; remove it")
    low, high = (float(value.max()) for value in classifier.clip_values)

    def call(images: Images) -> Any:
        return classifier.model(classifier._apply_preprocessing(images, y=None, fit=False, no_grad=False)[0])

    return Ranged(call, classifier.model, low, high)


def from_huggingface(model: Any, processor: Any = None) -> nn.Module:
    """Convert an image classifier of Hugging Face's transformers.

    Arguments:
        model: An `...ForImageClassification`.
        processor: Its image processor, of which only the normalization is applied, not the resizing; None for none.

    Raises:
        InputError: If it is not an image classifier.
    """
    if not isinstance(model, nn.Module) or not type(model).__name__.endswith("ForImageClassification"):
        raise InputError(f"from_huggingface takes an ...ForImageClassification, not {type(model).__name__}")
    if processor is None or not getattr(processor, "do_normalize", True):
        return Normalized(model)
    return Normalized(model, processor.image_mean, processor.image_std)


def from_timm(model: Any) -> nn.Module:
    """Convert a timm model, with the normalization of its pretrained configuration.

    Arguments:
        model: A model from `timm.create_model`.

    Raises:
        InputError: If its configuration has no means and standard deviations.
    """
    known = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None) or {}
    if not isinstance(model, nn.Module) or not {"mean", "std"} <= set(known):
        raise InputError(f"from_timm takes a model of timm with a pretrained_cfg, not {type(model).__name__}")
    return Normalized(model, known["mean"], known["std"])


def from_quantized(model: Any, example: Images, mean: Any = None, std: Any = None) -> nn.Module:
    """Convert a quantized module of Brevitas, torchao or torch.ao, after checking that it is differentiable.

    What was converted to integers (`convert_pt2e`, `convert_fx`) comes as a deployed model: `deployed.from_program`.

    Arguments:
        model: The module.
        example: At least one image in [0, 1], on which to compute a gradient.
        mean: Per-channel means, if the module expects normalized images; None for 0.
        std: Per-channel standard deviations; None for 1.

    Raises:
        InputError: If it is not a module, or has no gradient from its logits to its input.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"from_quantized takes a torch.nn.Module, not {type(model).__name__}")
    if adopted(model) is not model:
        return from_program(model, Pixels(mean=tuple(mean or ()), std=tuple(std or ())))
    converted = Normalized(model, mean, std)
    try:
        gradient(converted, example, lambda logits: logits.sum(1))
    except (NoGradient, NotImplementedError, RuntimeError) as error:
        if not isinstance(error, NoGradient) and "grad" not in str(error) and "quantized" not in str(error).lower():
            raise
        raise InputError(
            "the module passes no gradient: give the fake-quantized one, before its conversion to integers"
        ) from None
    return converted
