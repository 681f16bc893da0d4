"""The derivative that a twin gives to jumps: sign and comparison have none that an attack could climb.

This is the one place to change it: both take the derivative of the hard tanh, 1 where a value's magnitude is below 1
and 0 elsewhere, as binarized networks are trained with.
"""

import torch
from torch import Tensor
from torch.nn.functional import hardtanh

from quantattack.deployed.onnx.grid import through


def smooth_sign(values: Tensor) -> Tensor:
    """Return the function whose derivative the sign takes: the hard tanh.

    Arguments:
        values: Any tensor.
    """
    return hardtanh(values)


def sign_through(values: Tensor) -> Tensor:
    """Return the sign with the surrogate's derivative.

    Arguments:
        values: Any tensor.
    """
    return through(torch.sign(values.detach()), smooth_sign(values))


def above_through(above: Tensor, difference: Tensor) -> Tensor:
    """Return the truth of a comparison as 0 and 1 with the derivative of ``(1 + surrogate(difference)) / 2``.

    Arguments:
        above: The truth, a boolean tensor.
        difference: What is compared with 0, of the same shape.
    """
    return through(above.to(difference.dtype), smooth_sign(difference) / 2 + 0.5)
