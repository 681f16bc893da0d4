"""Models from elsewhere as models of ours: images in [0, 1] go in, logits come out, gradients flow."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.errors import InputError
from quantattack.gradients import NoGradient, gradient
from quantattack.types import Images, Logits


class Normalized(nn.Module):
    """A model that wants normalized images, given images in [0, 1]; what it returns is reduced to its logits.

    Arguments:
        model: The model as its library made it.
        mean: The channels' means; None leaves the images as they are.
        std: The channels' standard deviations.
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
        self.eval()

    def forward(self, images: Images) -> Logits:
        shape = (1, -1, *[1] * (images.ndim - 2))
        mean, std = self.mean.to(images).reshape(shape), self.std.to(images).reshape(shape)
        return logits_of(self.model((images - mean) / std))


class Ranged(nn.Module):
    """A model whose library has a pixel range and a preprocessing of its own, given images in [0, 1].

    Arguments:
        call: What the library calls with images in its range.
        model: The module inside, whose parameters are the model's.
        low: The range's lower end.
        high: The range's upper end.
    """

    def __init__(self, call: Any, model: nn.Module, low: float, high: float) -> None:
        super().__init__()
        self.call, self.model, self.low, self.high = call, model, low, high
        self.eval()

    def forward(self, images: Images) -> Logits:
        return logits_of(self.call(self.low + images * (self.high - self.low)))

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}"


def logits_of(output: Any) -> Logits:
    """Return the logits of what a model returned: a tensor, an output with `logits`, or a quantized tensor."""
    for name in ("logits", "value"):
        logits = getattr(output, name, None)
        if isinstance(logits, Tensor):
            return logits
    if isinstance(output, Tensor):
        return output
    raise InputError(f"the model must return logits or an output that has them, not {type(output).__name__}")


def from_foolbox(model: Any) -> nn.Module:
    """Return a `foolbox.PyTorchModel` as a model, with its bounds and its preprocessing.

    Arguments:
        model: The wrapped model.

    Raises:
        InputError: If it is no `PyTorchModel`.
    """
    held = [cell.cell_contents for cell in getattr(getattr(model, "_model", None), "__closure__", None) or ()]
    inside = [part for part in held if isinstance(part, nn.Module)]
    if not inside or not hasattr(model, "bounds"):
        raise InputError(f"from_foolbox takes a foolbox.PyTorchModel, not {type(model).__name__}")
    low, high = model.bounds
    return Ranged(model, inside[0], float(low), float(high))


def from_art(classifier: Any) -> nn.Module:
    """Return ART's `PyTorchClassifier` as a model, with its clip values and its preprocessing.

    Arguments:
        classifier: The classifier.

    Raises:
        InputError: If it is no `PyTorchClassifier`, has no clip values, or a defence that passes no gradient.
    """
    if not isinstance(getattr(classifier, "model", None), nn.Module):
        raise InputError(f"from_art takes ART's PyTorchClassifier, not {type(classifier).__name__}")
    if classifier.clip_values is None:
        raise InputError("the classifier has no clip_values, so its pixel range is unknown; give it some")
    if not classifier.all_framework_preprocessing:
        raise InputError("the classifier has a defence in NumPy, which passes no gradient; take it out")
    low, high = (float(value.max()) for value in classifier.clip_values)

    def call(images: Images) -> Any:
        return classifier.model(classifier._apply_preprocessing(images, y=None, fit=False, no_grad=False)[0])

    return Ranged(call, classifier.model, low, high)


def from_huggingface(model: Any, processor: Any = None) -> nn.Module:
    """Return an image classifier of Hugging Face's transformers as a model.

    Arguments:
        model: An `...ForImageClassification`.
        processor: Its image processor, whose means and deviations normalize the images; resizing is left to the data.

    Raises:
        InputError: If it is no image classifier.
    """
    if not isinstance(model, nn.Module) or not type(model).__name__.endswith("ForImageClassification"):
        raise InputError(f"from_huggingface takes an ...ForImageClassification, not {type(model).__name__}")
    if processor is None or not getattr(processor, "do_normalize", True):
        return Normalized(model)
    return Normalized(model, processor.image_mean, processor.image_std)


def from_timm(model: Any) -> nn.Module:
    """Return a model of timm as a model, normalized as its own configuration says.

    Arguments:
        model: What `timm.create_model` returned.

    Raises:
        InputError: If it has no configuration with means and deviations.
    """
    known = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None) or {}
    if not isinstance(model, nn.Module) or not {"mean", "std"} <= set(known):
        raise InputError(f"from_timm takes a model of timm with a pretrained_cfg, not {type(model).__name__}")
    return Normalized(model, known["mean"], known["std"])


def from_quantized(model: Any, example: Images, mean: Any = None, std: Any = None) -> nn.Module:
    """Return a fake-quantized module, of Brevitas, torchao or torch.ao, as a model, once its gradient is seen.

    Arguments:
        model: The module, before its conversion to integers.
        example: One image or more in [0, 1], on which it is tried.
        mean: The channels' means, where the module wants normalized images.
        std: The channels' standard deviations.

    Raises:
        InputError: If it is no module, or passes no gradient from its logits to its input.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"from_quantized takes a torch.nn.Module, not {type(model).__name__}")
    ours = Normalized(model, mean, std)
    try:
        gradient(ours, example, lambda logits: logits.sum(1))
    except (NoGradient, NotImplementedError, RuntimeError) as error:
        if not isinstance(error, NoGradient) and "grad" not in str(error) and "quantized" not in str(error).lower():
            raise
        raise InputError(
            "the module passes no gradient: give the fake-quantized one, before its conversion to integers"
        ) from None
    return ours
