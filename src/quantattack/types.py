"""Tensor types; in shapes, n is images, k classes, d pixels per image and m probe images throughout."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Images: TypeAlias = Float[Tensor, " n *shape"]  # pixels in [0, 1]; normalization is a layer of the model
Labels: TypeAlias = Int[Tensor, " n"]
Classes: TypeAlias = Int[Tensor, "n r"]  # r classes of each image
Logits: TypeAlias = Float[Tensor, "n k"]
PerImage: TypeAlias = Float[Tensor, " n"]
Indices: TypeAlias = Int[Tensor, " n"]
Mask: TypeAlias = Bool[Tensor, " n"]
Masks: TypeAlias = Bool[Tensor, "n r"]  # r masks
Jacobian: TypeAlias = Float[Tensor, "n k d"]
Gram: TypeAlias = Float[Tensor, "n k k"]
Model: TypeAlias = Callable[[Images], Logits]


def oddity(tensor: Tensor) -> str:
    """Return in a word why a tensor holds no plain numbers in memory; empty where it does."""
    if tensor.is_nested:
        return "nested"
    if tensor.is_meta:
        return "meta"
    if tensor.layout is not torch.strided:
        return "sparse" if "sparse" in str(tensor.layout) else "mkldnn"
    return "quantized" if tensor.is_quantized else "complex" if tensor.is_complex() else ""
