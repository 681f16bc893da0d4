"""A gradient is held against the model's own outputs: one that lies is told, an estimate that climbs is not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import Times
from quantattack import Gap, Linf, Record, Threat, evaluate, load_data, load_model, pgd, pgd_plus
from quantattack.cli import main
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.slopes import IMAGES, joined, misleading, slopes
from quantattack.nn.zoo import models
from quantattack.rng import Rng

THREAT = Threat(Linf(), 0.1)


class Backward(torch.autograd.Function):
    """The identity, whose gradient goes through a function."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.change = change
        return images.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.change(grad), None


class Changed(nn.Module):
    """A network behind the identity, with another backward pass."""

    def __init__(self, change: Callable[[Tensor], Tensor], name: str = "digits-float") -> None:
        super().__init__()
        self.network, self.change = load_model(name), change

    def forward(self, images: Tensor) -> Tensor:
        return self.network(Backward.apply(images, self.change))


def pattern(shape: torch.Size, *, normal: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    draw = torch.randn if normal else torch.rand
    return draw(shape[1:], generator=generator)


def drawn(grad: Tensor, seed: int = 5) -> Tensor:
    return torch.randn(grad.shape, generator=torch.Generator().manual_seed(seed))


def every(grad: Tensor, of: int) -> Tensor:
    return (torch.arange(grad[0].numel()) % of == 0).reshape(grad.shape[1:]) * grad


TURNED: dict[str, Callable[[Tensor], Tensor]] = {
    "negated": lambda grad: -grad,
    "negated and tiny": lambda grad: -1e-6 * grad,
    "random": lambda grad: drawn(grad) * grad.abs().mean(),
    "random signs": lambda grad: grad * drawn(grad).sign(),
    "of another image": lambda grad: grad.flip(0),
    "mirrored": lambda grad: grad.flip(-1, -2),
    "turned by a fixed pattern": lambda grad: grad * pattern(grad.shape, normal=True),
    "constant": torch.ones_like,
}
SYSTEMATIC = ("mirrored", "turned by a fixed pattern", "constant")  # along which a surrogate may climb by chance
CUT: dict[str, Callable[[Tensor], Tensor]] = {
    "every second pixel": lambda grad: every(grad, 2),
    "every fourth pixel": lambda grad: every(grad, 4),
    "half of the rows": lambda grad: grad * (torch.arange(grad.shape[-2]) % 2)[:, None],
    "scaled by pixel": lambda grad: grad * 2 * pattern(grad.shape),
    "scaled by powers": lambda grad: grad * 10 ** (4 * pattern(grad.shape)),
    "signs alone": torch.sign,
}
HONEST: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda grad: grad,
    "twice as long": lambda grad: 2 * grad,
    "tiny": lambda grad: 1e-9 * grad,
    "almost as it is": lambda grad: grad * (1 + 0.1 * pattern(grad.shape)),
}


def told(model: Any, data: str = "digits", count: int = IMAGES) -> str | None:
    images, labels = load_data(data)
    images, labels = images[:count], labels[:count]
    with torch.no_grad():
        right = (model(images).argmax(1) == labels).nonzero()[:, 0]
    return misleading(slopes(CountedModel(model), images[right], labels[right], THREAT, Rng(0, right)))


@pytest.mark.parametrize("name", ["digits-float", "digits-xnor", "digits-mdtanhs"])
@pytest.mark.parametrize("change", TURNED.values(), ids=TURNED)
def test_a_gradient_that_does_not_climb_is_told(change: Callable[[Tensor], Tensor], name: str):
    assert told(Changed(change, name).eval()) is not None


@pytest.mark.parametrize("name", ["digits-uniform2", "digits-bnn-waq", "digits-uniform4"])
@pytest.mark.parametrize("way", [way for way in TURNED if way not in SYSTEMATIC])
def test_a_surrogate_that_does_not_climb_is_told(way: str, name: str):
    assert "misleads" in str(told(Changed(TURNED[way], name).eval()))


@pytest.mark.parametrize("name", ["digits-float", "digits-bnn-waq"])
def test_of_random_gradients_chance_lets_few_pass(name: str):
    """Of 32 images a random step raises half, and now and then so many more that it looks like an estimate."""
    found = [told(Changed(lambda grad, seed=seed: grad * drawn(grad, seed).sign(), name).eval()) for seed in range(40)]
    assert sum(each is not None for each in found) >= 36


@pytest.mark.parametrize("name", ["digits-float", "digits-ternary", "digits-xnor", "digits-mdtanhs"])
@pytest.mark.parametrize("change", CUT.values(), ids=CUT)
def test_a_gradient_that_is_no_slope_is_told_where_the_outputs_have_one(change: Callable[[Tensor], Tensor], name: str):
    assert "slope" in str(told(Changed(change, name).eval()))


@pytest.mark.parametrize("name", ["digits-float", "digits-uniform2", "digits-bnn-waq"])
@pytest.mark.parametrize("change", HONEST.values(), ids=HONEST)
def test_a_gradient_that_is_one_but_for_a_factor_is_not_told(change: Callable[[Tensor], Tensor], name: str):
    assert told(Changed(change, name).eval()) is None


@pytest.mark.parametrize(
    "network", [each for each in models() if each.data == "digits"], ids=lambda network: network.name
)
def test_no_network_of_the_package_is_told(network: Any):
    assert told(load_model(network.name)) is None


class Sampled(nn.Module):
    """Pools at once, where the even areas of a picture tie, and sees 16 levels straight-through."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(nn.functional.max_pool2d(images, 2).flatten(1))


def rounded(images: Tensor) -> Tensor:
    return load_model("digits-float")(images + (torch.round(15 * images) / 15 - images).detach())


ODD: dict[str, Callable[[], Any]] = {
    "saturated": lambda: Times(load_model("digits-float"), 1024).eval(),
    "almost flat": lambda: Times(load_model("digits-float"), 1e-9).eval(),
    "bounded": lambda: lambda x: 40 * torch.tanh(load_model("digits-float")(x)),
    "beside a constant": lambda: lambda x: load_model("digits-float")(x) + 1e6,
    "levels of the input": lambda: rounded,
    "log-probabilities": lambda: lambda x: load_model("digits-float")(x).log_softmax(1),
    "half precision": lambda: lambda x: load_model("digits-float")(x).bfloat16().float(),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_an_honest_model_of_odd_numbers_is_not_told(make: Callable[[], Any]):
    assert told(make()) is None


@pytest.mark.parametrize("seed", range(4))
def test_even_areas_that_tie_in_a_pool_are_no_lie(seed: int):
    model = Sampled()
    images = load_data("digits")[0][:IMAGES]
    labels = model(images).argmax(1)
    assert misleading(slopes(CountedModel(model), images, labels, THREAT, Rng(seed, torch.arange(IMAGES)))) is None


def test_few_images_and_none_tell_nothing():
    for count in (1, 2):
        assert told(Changed(TURNED["random"]).eval(), count=count) is None
    assert misleading(joined([])) is misleading(joined([None])) is None
    assert told(lambda x: load_model("digits-float")(x.detach())) is None
    assert told(lambda x: load_model("digits-float")((8 * x).round() / 8)) is None


def evaluated(model: Any, threat: Threat = THREAT, count: int = 30) -> Record:
    images, labels = load_data("digits")
    attacks = {"pgd": pgd(threat, steps=10), "gap": pgd_plus(threat, Gap(), steps=10)}
    return evaluate(model, images[:count] * threat.high, labels[:count], attacks, threat)


@pytest.mark.parametrize("change", [TURNED["negated"], TURNED["random"], CUT["every second pixel"]])
@pytest.mark.parametrize("high", [1.0, 255.0])
def test_an_evaluation_flags_it_in_any_range_of_the_pixels(change: Callable[[Tensor], Tensor], high: float):
    model = Changed(change).eval()
    record = evaluated(lambda x: model(x / high), Threat(Linf(), 0.1 * high, high=high))
    assert "gradient" in record.codes["misleading_gradient"]
    assert "\n" not in record.codes["misleading_gradient"]
    assert "misleading_gradient" not in evaluated(load_model("digits-float")).codes


LYING = """
import torch
import quantattack
class Lie(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def backward(ctx, grad):
        return FACTOR * grad
network = quantattack.load_model("digits-float")
class Lying(torch.nn.Module):
    def forward(self, images):
        return network(Lie.apply(images))
def model():
    return Lying().eval()
"""


RANDOM = "torch.randn(grad.shape, generator=torch.Generator().manual_seed(5))"


@pytest.mark.parametrize(("factor", "code"), [("-1", 3), (RANDOM, 3), ("1", 1)], ids=["negated", "random", "as it is"])
def test_the_gate_trusts_no_such_number(factor: str, code: int, tmp_path: Any, capsys: Any):
    path = tmp_path / "lying.py"
    path.write_text(LYING.replace("FACTOR", factor))
    options = ["--data", "digits", "--images", "30", "--radius", "0.1", "--attacks", "pgd[steps=10],pgd_plus_gap"]
    with pytest.raises(SystemExit) as status:
        main(["evaluate", f"{path}:model", *options, "--min-robust", "0.8"])
    assert status.value.code == code
    assert ("misleads" in capsys.readouterr().out) == (code == 3)
