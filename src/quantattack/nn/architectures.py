"""Architectures by name, in float; ``quantize`` makes quantized networks of them."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from torch import Tensor, nn

from quantattack.errors import InputError, unknown
from quantattack.nn.layers import Normalize

Builder = Callable[..., nn.Module]


class Small(nn.Module):
    """Two 3×3 convolutions, one pooling and a linear head, for small images.

    Without ``head_norm`` the logits are the head's raw sums, whose size grows with its features: with binary weights
    that is what saturates the softmax.

    Arguments:
        shape: Channels, height and width of an image.
        classes: Number of logits.
        width: Channels of the first convolution; the second has twice as many.
        affine: Whether the BatchNorms have parameters.
        head_norm: Whether a BatchNorm follows the last layer.

    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        classes: int = 10,
        width: int = 32,
        affine: bool = False,
        head_norm: bool = False,
    ) -> None:
        super().__init__()
        channels, height, across = shape
        self.normalize = Normalize([0.5] * channels, [0.5] * channels)
        self.features = nn.Sequential(
            *_unit(channels, width, affine),
            *_unit(width, 2 * width, affine),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(2 * width * (height // 2) * (across // 2), classes)
        self.head_norm = nn.BatchNorm1d(classes, affine=affine) if head_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head_norm(self.head(self.features(self.normalize(x))))
        return logits


def _unit(before: int, after: int, affine: bool) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after, affine=affine), nn.ReLU()


ARCHITECTURES: Mapping[str, Builder] = {"small": Small}


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """Return a new float network.

    Arguments:
        name: A name of ``ARCHITECTURES``.
        settings: The builder's arguments.

    Raises:
        InputError: If the name is unknown or a setting is not the builder's.

    """
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    builder = ARCHITECTURES[name]
    for setting in settings:
        if setting not in signature(builder).parameters:
            raise unknown(f"setting of architecture {name}", setting, signature(builder).parameters)
    try:
        return builder(**settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"architecture {name} cannot be built: {str(error).splitlines()[0]}") from None
