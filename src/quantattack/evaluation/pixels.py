"""Pixels of a few bits in an evaluation: who has a grid, what the judge rounds, and what rounding would lose."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from quantattack.attacks.grid import BYTE, Grid
from quantattack.attacks.norms import per_image
from quantattack.attacks.threat import Threat
from quantattack.data.sources import Source
from quantattack.errors import InputError
from quantattack.evaluation.models import CountedModel
from quantattack.gradients import is_twinned
from quantattack.types import Images, Labels, Mask, Model

_CHANNELS = (1, 3)  # of PNG files: gray and color
_FIRST = 16  # images by which a data set is taken for one of bytes


def usual_threat(model: Model, source: Source, threat: Threat) -> Threat:
    """Return the threat with 256 levels if the model is a deployed one and its images are bytes, else as it is.

    What a deployed file classifies comes as bytes.

    Arguments:
        model: The model to attack.
        source: The clean images.
        threat: A threat without levels, or one that states its own.
    """
    if threat.levels is not None or not is_twinned(model):
        return threat
    first = source.take(range(min(_FIRST, len(source))))[0]
    return replace(threat, levels=BYTE) if bool(bytes_of(threat).holds(first).all()) else threat


def levels_named(levels: bool | int | None) -> int | None:
    """Return the number of levels that a setting says: a number, True for the 256 of bytes, else None."""
    return BYTE if levels is True else levels or None


def bytes_of(threat: Threat) -> Grid:
    """Return the grid of 8-bit images over a threat's pixel range."""
    return Grid(threat.low, threat.high, BYTE)


def grid_of(threat: Threat) -> Grid | None:
    """Return a threat's grid, or None if it has no levels."""
    return None if threat.levels is None else threat.grid


def check_clean(threat: Threat, images: Images, index: Sequence[int]) -> None:
    """Check that clean images are on the threat's grid, if it has one.

    Arguments:
        threat: The threat.
        images: Clean images with shape (n, ...).
        index: Their indices in the data set.

    Raises:
        InputError: If one is not; it names the image.
    """
    grid = grid_of(threat)
    if grid is None:
        return
    off = ~grid.holds(images)
    if bool(off.any()):
        raise grid.off(f"clean image {index[int(off.int().argmax())]}")


def check_png(threat: Threat, shape: tuple[int, ...]) -> None:
    """Check that attacked images can be written as PNG files.

    Arguments:
        threat: The threat.
        shape: Shape of one image.

    Raises:
        InputError: If the threat has no 256 levels, or the images have neither one nor three channels.
    """
    if threat.levels != BYTE:
        raise InputError(f"PNG files hold 8-bit images: give the threat {BYTE} levels (--pixels), or save no PNG files")
    if len(shape) != 3 or shape[0] not in _CHANNELS:
        raise InputError(f"PNG files hold images of 1 or 3 channels, not of the shape {shape}; save no PNG files")


def judged_images(threat: Threat, images: Images, clean: Images, slack: float) -> Images:
    """Return the images that the judge measures: those that an attack returned, on the grid if the threat has one.

    Images inside the threat's stated radius become the nearest ones inside the ball; others are rounded only, so that
    they stay outside.

    Arguments:
        threat: The threat.
        images: Images that an attack returned, with shape (n, ...).
        clean: Clean images with the same shape.
        slack: Fraction of the radius by which an image may exceed it, for rounding.
    """
    if threat.levels is None:
        return images
    inside = replace(threat, levels=None).contains(images, clean, slack)
    return torch.where(per_image(inside, images), threat.snap(images, clean), threat.grid(images))


def lost_by_rounding(
    threat: Threat, model: CountedModel, images: Images, clean: Images, labels: Labels, broken: Mask
) -> Mask:
    """Return which broken images fool the model no longer when they are rounded to 8 bits; none if there is a grid.

    Only images are asked whose clean image is one of bytes; it costs at most one forward pass of the broken images.

    Arguments:
        threat: The threat.
        model: The model that judges.
        images: Attacked images with shape (n, ...).
        clean: Clean images with the same shape.
        labels: True classes with shape (n,).
        broken: Which images the attack broke, with shape (n,).
    """
    grid = bytes_of(threat)
    asked = broken & grid.holds(clean) if threat.levels is None else torch.zeros_like(broken)
    if not bool(asked.any()):
        return asked
    with torch.no_grad():
        right = model(grid(images[asked])).argmax(1) == labels[asked]
    return asked.masked_scatter(asked, right)
