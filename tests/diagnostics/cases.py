"""Cases and faulty networks for the checks."""

import torch
from torch import nn

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.diagnostics.case import Case
from quantattack.evaluation.models import CountedModel
from quantattack.rng import Rng


def case_of(model, images, labels, radius=0.2, batch_size=64, relative=None, norm=None):
    """Return the images that a model has right as a case."""
    host = CountedModel(model)
    threat, rng = Threat(norm or Linf(), radius), Rng(0, torch.arange(len(images)))
    case = Case(host, images, labels, threat, rng, batch_size, None if relative is None else CountedModel(relative))
    return case.where(case.logits().argmax(1) == labels)


class Through(nn.Module):
    """A network with something done to its input and to its output."""

    def __init__(self, model, before=lambda x: x, after=lambda logits: logits):
        super().__init__()
        self.model, self.before, self.after = model, before, after
        self.eval()

    def forward(self, x):
        return self.after(self.model(self.before(x)))


def rounded(model, levels):
    return Through(model, before=lambda x: torch.round(x * (levels - 1)) / (levels - 1))


class HardSign(nn.Module):
    """The sign with its own derivative, zero."""

    def forward(self, x):
        return torch.where(x >= 0, 1.0, -1.0).to(x) + 0 * x.sign()
