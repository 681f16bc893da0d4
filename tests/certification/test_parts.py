"""Every part's interval holds what its module returns in float32, and its rows bound it from below."""

import pytest
import torch
from torch import nn

from quantattack.certification.parts import Box, total
from quantattack.certification.table import TABLE, part_of
from quantattack.errors import InputError
from quantattack.nn.architectures.plain import Affine
from quantattack.nn.layers import Normalize, Projection, Slot
from quantattack.nn.quantizers import Sign, UniformActivation, Xnor

IMAGE, FLAT = (1, 4, 6, 6), (1, 12)
MODULES = {
    "convolution": (nn.Conv2d(4, 6, 3, padding=1), IMAGE),
    "strided convolution": (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), IMAGE),
    "grouped convolution": (nn.Conv2d(4, 4, 3, groups=2, dilation=2), IMAGE),
    "linear": (nn.Linear(12, 7), FLAT),
    "batch norm": (nn.BatchNorm2d(4), IMAGE),
    "batch norm of features": (nn.BatchNorm1d(12, affine=False), FLAT),
    "normalize": (Normalize([0.4] * 4, [0.3] * 4), IMAGE),
    "affine": (Affine(12), FLAT),
    "average": (nn.AvgPool2d(2), IMAGE),
    "padded average": (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), IMAGE),
    "mean": (nn.AdaptiveAvgPool2d(1), IMAGE),
    "flatten": (nn.Flatten(), IMAGE),
    "identity": (nn.Identity(), FLAT),
    "slot": (Slot(), FLAT),
    "dropout": (nn.Dropout(), FLAT),
    "dropout of channels": (nn.Dropout2d(), IMAGE),
    "relu": (nn.ReLU(), FLAT),
    "relu6": (nn.ReLU6(), FLAT),
    "hardtanh": (nn.Hardtanh(), FLAT),
    "narrow hardtanh": (nn.Hardtanh(-0.1, 0.2), FLAT),
    "maximum": (nn.MaxPool2d(2), IMAGE),
    "overlapping maximum": (nn.MaxPool2d(3, stride=2, padding=1), IMAGE),
    "sign": (Projection(Sign()), FLAT),
    "2 bits": (Projection(UniformActivation(2, 1.0)), FLAT),
    "8 bits": (Projection(UniformActivation(8, 1.0)), FLAT),
}


def prepared(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(1)
    module, shape = MODULES[name]
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.train()(torch.randn(64, *shape[1:]) * 2 + 1)
    return module.eval(), shape


def boxes(shape: tuple[int, ...]) -> list[Box]:
    """Intervals of several widths: a point, narrow, wide, far from 0, and of one sign."""
    torch.manual_seed(2)
    middle = torch.randn(shape, dtype=torch.float64).float().double()
    widths = (0.0, 1e-6, 0.1, 3.0)
    around = [Box(middle - width, middle + width) for width in widths]
    return [*around, Box(middle.abs(), middle.abs() + 0.5), Box(-middle.abs() - 8, -middle.abs() + 4)]


def inside(box: Box, count: int = 200) -> torch.Tensor:
    """Points of a box in float32, half of them at its corners."""
    share = torch.rand(count, *box.low.shape[1:], dtype=torch.float64)
    share[: count // 2] = share[: count // 2].round()
    points = (box.low + share * (box.high - box.low)).float()
    return points.double().clamp(box.low, box.high).float() if bool((box.high > box.low).all()) else points


def within(points: torch.Tensor, box: Box) -> Box:
    """The box, and what casting to float32 moved past its ends."""
    return Box(
        torch.minimum(box.low, points.double().amin(0, keepdim=True)),
        torch.maximum(box.high, points.double().amax(0, keepdim=True)),
    )


def test_every_class_of_the_table_is_tested():
    assert {type(module) for module, _ in MODULES.values()} == set(TABLE)


@torch.no_grad()
@pytest.mark.parametrize("name", MODULES)
def test_no_value_is_outside_its_interval_or_below_its_rows(name: str):
    module, shape = prepared(name)
    part = part_of(name, module, shape)
    for box in boxes(shape):
        points = inside(box)
        box = within(points, box)
        values = module(points).double()
        interval = part.interval(box)
        assert bool((values >= interval.low).all()), name
        assert bool((values <= interval.high).all()), name
        rows = torch.randn(16, *values.shape[1:], dtype=torch.float64)
        (back,), constant = part.backward(rows, box)
        reached = values.flatten(1) @ rows.flatten(1).T
        bound = points.double().flatten(1) @ back.flatten(1).T + constant
        assert bool((bound <= reached + 1e-9 * total(rows.abs())).all()), name


@torch.no_grad()
@pytest.mark.parametrize("name", ["relu", "hardtanh", "sign", "2 bits", "8 bits"])
def test_lines_are_no_looser_than_the_interval_allows_at_the_middle(name: str):
    module, shape = prepared(name)
    part = part_of(name, module, shape)
    for box in boxes(shape)[2:]:
        middle = (box.low + box.high) / 2
        lines, interval = part.lines(box), part.interval(box)
        (slope, shift), (steep, lift) = lines
        assert bool((slope * middle + shift >= interval.low - 1e-9).all())
        assert bool((steep * middle + lift <= interval.high + 1e-9).all())


def test_a_module_without_a_bound_is_refused_by_name():
    with pytest.raises(InputError, match=r"no bound is known of features\.3 \(GELU\)"):
        part_of("features.3", nn.GELU(), FLAT)
    with pytest.raises(InputError, match="the quantizer xnor of activations has no bound"):
        part_of("head", Projection(Xnor()), FLAT)
    with pytest.raises(InputError, match="padded by 'reflect'"):
        part_of("stem", nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), IMAGE)
    with pytest.raises(InputError, match="ceil_mode"):
        part_of("pool", nn.MaxPool2d(2, ceil_mode=True), IMAGE)


def test_sums_of_whole_numbers_are_exact_and_a_bias_adds_one_unit_in_the_last_place():
    from quantattack.certification.linear import convolution, on_integers

    module = nn.Conv2d(4, 6, 3, padding=1)
    nn.init.constant_(module.bias, 0.3)
    with torch.no_grad():
        module.weight.copy_(module.weight.sign())
    shape = IMAGE
    ones = Box(-torch.ones(shape, dtype=torch.float64), torch.ones(shape, dtype=torch.float64))
    plain, exact = convolution(module, shape), on_integers(convolution(module, shape))
    assert float(exact.error(ones).max()) == 2**-23 * 64  # 36 ones and the bias are below 64
    assert float(exact.error(ones).max()) < float(plain.error(ones).max())
    torch.manual_seed(0)
    inputs = torch.randint(0, 2, (500, *shape[1:])) * 2.0 - 1
    off = (module(inputs).double() - (plain.apply(inputs.double()) + plain.shift)).abs()
    assert bool((off <= exact.error(ones)).all())
