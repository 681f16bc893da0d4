"""The probe: the few images of a data set on which NJS is fitted."""

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from quantattack.data.streams import Stream
from quantattack.rng import Rng
from quantattack.types import Images

Probe: TypeAlias = Float[Tensor, " m *shape"]
PROBE = 100  # images, as in the paper


def draw_probe(images: Images | Stream, count: int = PROBE) -> Probe:
    """Return images drawn without replacement by seed 0, in the order of the data set: the same for every run.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (100 images of the test set).

    Arguments:
        images: Images with shape (n, ...), or a data set that is read on demand.
        count: How many to draw; all where there are fewer.
    """
    keys = Rng(0, torch.arange(len(images))).uniform(0, 0, (), torch.float64)
    chosen = keys.argsort()[:count].sort().values
    return images[chosen.to(images.device) if isinstance(images, Tensor) else chosen]
