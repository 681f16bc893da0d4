"""Batches of a fixed number of rows, for what was exported with one."""

from collections.abc import Callable

import torch
from torch import Tensor


def by_rows(call: Callable[[Tensor], Tensor], inputs: Tensor, rows: int | None) -> Tensor:
    """Call on batches of exactly `rows` inputs; the last is filled up with copies of its last row.

    Arguments:
        call: Maps inputs with shape (rows, ...) to outputs with shape (rows, k).
        inputs: Inputs with shape (n, ...).
        rows: Rows of a batch; None for one batch of any size.
    """
    if rows is None:
        return call(inputs)
    parts = []
    for part in torch.split(inputs, rows):
        missing = rows - len(part)
        whole = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
        parts.append(call(whole)[: len(part)])
    return torch.cat(parts)
