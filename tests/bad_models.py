"""Models and attacks that are wrong in one way each, by `package.module:function` and from Python."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quantattack import load_model


class Answer(nn.Module):
    """The carried float network with a last word."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network, self.answer = load_model("digits-float"), answer

    def forward(self, images: Tensor) -> Any:
        return self.answer(self.network(images))


def good() -> nn.Module:
    return Answer(lambda logits: logits).eval()


def two_classes() -> nn.Module:
    return Answer(lambda logits: logits[:, :2]).eval()


def train_mode() -> nn.Module:
    return Answer(lambda logits: logits).train()


def dropout_in_train_mode() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)).eval()
    model[1].train()
    return model


def other_size() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()


def probabilities() -> nn.Module:
    return Answer(lambda logits: logits.softmax(1)).eval()


def nan() -> nn.Module:
    return Answer(lambda logits: logits * torch.nan).eval()


def infinite() -> nn.Module:
    return Answer(lambda logits: logits / 0).eval()


def too_few_rows() -> nn.Module:
    return Answer(lambda logits: logits[:-1]).eval()


def too_many_rows() -> nn.Module:
    return Answer(lambda logits: torch.cat([logits, logits])).eval()


def one_class() -> nn.Module:
    return Answer(lambda logits: logits[:, :1]).eval()


def no_class_axis() -> nn.Module:
    return Answer(lambda logits: logits[:, 0]).eval()


def pair() -> nn.Module:
    return Answer(lambda logits: (logits, logits)).eval()


def mapping() -> nn.Module:
    return Answer(lambda logits: {"logits": logits}).eval()


def array() -> nn.Module:
    return Answer(lambda logits: logits.detach().numpy()).eval()


def integers() -> nn.Module:
    return Answer(lambda logits: logits.long()).eval()


def detached() -> nn.Module:
    return Answer(lambda logits: logits.detach()).eval()


def rounded() -> nn.Module:
    """Integer arithmetic behind floating-point logits, as a deployed model has it."""
    return Answer(lambda logits: logits.mul(16).long().float()).eval()


def through_numpy() -> nn.Module:
    return Answer(lambda logits: torch.from_numpy(logits.numpy() * 2)).eval().requires_grad_(False)


def failing() -> nn.Module:
    raise RuntimeError("no such\nweights here")


def not_a_model() -> str:
    return "a model"


def needs_an_argument(path: str) -> nn.Module:
    return good()


def smaller(model: Any, images: Tensor, labels: Tensor, start: Any = None, rng: Any = None, radius: Any = None) -> Any:
    return images[:-1]


def nan_pixels(
    model: Any, images: Tensor, labels: Tensor, start: Any = None, rng: Any = None, radius: Any = None
) -> Any:
    return images * torch.nan


def nothing(model: Any, images: Tensor, labels: Tensor, start: Any = None, rng: Any = None, radius: Any = None) -> Any:
    return None


def two_arguments(model: Any, images: Tensor) -> Any:
    return images


class Late(nn.Module):
    """The carried float network, which raises in a later call."""

    def __init__(self, error: BaseException, calls: int = 9) -> None:
        super().__init__()
        self.network, self.error, self.left = load_model("digits-float"), error, calls

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left <= 0:
            raise self.error
        return self.network(images)


def raises_late() -> nn.Module:
    return Late(ValueError("no such\nlayer")).eval()


def exits_late() -> nn.Module:
    return Late(SystemExit(0)).eval()


def raises_while_fitted() -> nn.Module:
    return Late(KeyError("layer"), 4).eval()
