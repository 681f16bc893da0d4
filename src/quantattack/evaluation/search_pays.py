"""Whether complete search would pay: in networks of few activations that take few values, attacks miss most."""

import torch
from torch import nn

from quantattack.certification.activations import Steps
from quantattack.certification.program import program_of
from quantattack.errors import InputError
from quantattack.nn.convert import activations
from quantattack.record.record import Record
from quantattack.types import Images, Model

MOST = 2_000  # activations that complete search mostly decides in ten seconds


def search_pays(record: Record, model: Model, image: Images) -> str | None:
    """Return a sentence where complete search was not run and would decide most images; None elsewhere.

    Arguments:
        record: The record of an evaluation.
        model: The model as it was given.
        image: One image with shape (1, ...).
    """
    if record.bracket is not None or not isinstance(model, nn.Module) or not any(activations(model)):
        return None
    try:
        program = program_of(model, image)
    except InputError:
        return None
    count = sum(torch.Size(step.shape).numel() for step in program.steps if isinstance(step.part, Steps))
    if not 0 < count <= MOST:
        return None
    return f"its {count} activations take few values: `quantattack certify` decides most images; attacks miss many"
