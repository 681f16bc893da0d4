"""Augmentation of a batch of images, drawn from a generator."""

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

Augment = Callable[[Tensor, Generator], Tensor]


def none(images: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """Leave the images as they are."""
    return images


def shift(images: Tensor, generator: Generator, reach: int = 1) -> Tensor:
    """Move each image by up to ``reach`` pixels in each direction, zeros from outside."""
    n, _, height, width = images.shape
    offset = torch.randint(0, 2 * reach + 1, (2, n), generator=generator)
    rows = offset[0, :, None] + torch.arange(height)
    columns = offset[1, :, None] + torch.arange(width)
    padded = pad(images, (reach,) * 4)
    index = torch.arange(n)
    return padded.permute(0, 2, 3, 1)[index[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def crop_flip(images: Tensor, generator: Generator) -> Tensor:
    """Move each image by up to 4 pixels and mirror half of them: the usual augmentation of CIFAR."""
    moved = shift(images, generator, reach=4)
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], moved.flip(3), moved)


AUGMENT: Mapping[str, Augment] = {"none": none, "shift": shift, "crop-flip": crop_flip}
