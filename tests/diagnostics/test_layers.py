import pytest
import torch
from torch import nn

from diagnostics.cases import HardSign, case_of
from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.diagnostics.diagnose import diagnose
from quantattack.diagnostics.layers import Call, calls, derivative_check, derivative_of, inventory_check, values_of
from quantattack.nn.layers import Projection
from quantattack.nn.quantizers import Sign, UniformActivation


def called(layer, *shape):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return Call("layer", layer.eval(), x, layer.eval()(x).detach())


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.ReLU(), "own"),
        (nn.Linear(8, 5), "own"),
        (nn.BatchNorm1d(8), "own"),
        (nn.Dropout(0.5), "own"),
        (nn.Identity(), "own"),
        (Projection(Sign()), "surrogate"),
        (Projection(UniformActivation(2, high=3.0)), "surrogate"),
        (HardSign(), "zero"),
    ],
    ids=lambda part: repr(part).split("(")[0],
)
def test_a_backward_pass_is_the_derivative_or_not(layer, kind):
    torch.manual_seed(0)
    assert derivative_of(called(layer, 16, 8)) == kind


def test_a_pooling_layer_over_ties_is_its_own_derivative():
    layer = nn.MaxPool2d(2)
    x = torch.ones(4, 3, 8, 8)
    assert derivative_of(Call("pool", layer, x, layer(x))) == "own"


def test_a_cut_layer_has_no_derivative():
    class Cut(nn.Module):
        def forward(self, x):
            return 2 * x.detach()

    assert derivative_of(called(Cut(), 16, 8)) == "zero"


def test_the_layers_of_a_binarized_network_are_named(zoo, probe_images):
    found = derivative_check(case_of(zoo["bnn-waq"], *probe_images))
    assert found.verdict == "pass"
    assert found.data["surrogate"] == ["features.2", "features.5"]
    assert derivative_check(case_of(zoo["float"], *probe_images)).data["surrogate"] == []


def test_a_layer_without_a_derivative_is_named(zoo, probe_images):
    blocked = nn.Sequential(zoo["float"].normalize, HardSign(), nn.Flatten(), nn.Linear(64, 10)).eval()
    images, _ = probe_images
    found = derivative_check(case_of(blocked, images, blocked(images).argmax(1)))
    assert (found.verdict, found.code, found.data["zero"]) == ("fail", "no_gradient", ["1"])


def test_what_is_quantized_is_counted(zoo, probe_images):
    binary = inventory_check(case_of(zoo["bnn-waq"], *probe_images)).data
    assert set(binary["weights"].values()) == {2}
    assert binary["activations"] == {"features.2": 2, "features.5": 2}
    plain = inventory_check(case_of(zoo["float"], *probe_images)).data
    assert set(plain["weights"].values()) == {None}
    assert plain["activations"] == {}


def test_values_are_counted_with_a_scale_for_each_filter():
    signs = torch.randint(2, (6, 50), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    scales = torch.rand(6, 1, generator=torch.Generator().manual_seed(1)) + 0.5
    assert values_of(signs) == 2
    assert values_of(signs * scales) == 2
    assert values_of(torch.randn(6, 50)) is None
    assert values_of(torch.ones(3, 3)) is None


def test_looking_leaves_no_hook_behind(zoo, probe_images):
    calls(case_of(zoo["float"], *probe_images))
    assert not any(part._forward_hooks for part in zoo["float"].modules())


class Scale(nn.Module):
    """Returns a number without a dimension, as Brevitas' scales and bit widths do."""

    def __init__(self, given):
        super().__init__()
        self.given = given

    def forward(self, x):
        return x.abs().amax() if self.given == "rows" else x * 2


class Scaled(nn.Module):
    """Calls layers with and for numbers without a dimension."""

    def __init__(self):
        super().__init__()
        self.range, self.twice, self.head = Scale("rows"), Scale("number"), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(x.flatten(1)) * self.twice(self.range(x)) / 2


def test_layers_of_numbers_without_a_dimension_are_left_out():
    torch.manual_seed(0)
    model, x = Scaled().eval(), torch.rand(24, 1, 4, 4)
    case = case_of(model, x, model(x).argmax(1))
    assert [call.name for call in calls(case)] == ["head"]
    assert derivative_check(case).verdict == inventory_check(case).verdict == "pass"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.freeze(torch.jit.script(model))])
def test_the_layers_of_a_script_cannot_be_seen(make):
    torch.manual_seed(0)
    x = torch.rand(24, 16)
    model = make(nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval())
    case = case_of(model, x, model(x).argmax(1))
    assert derivative_check(case).verdict == inventory_check(case).verdict == "cannot tell"


class Hidden(nn.Module):
    """A network whose layers run inside of what is no module, as a runtime is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.inside = [network]
        self.told = nn.Linear(1, 1)  # runs never

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inside[0](images)


def test_layers_that_do_not_run_say_nothing_of_the_model():
    torch.manual_seed(0)
    x = torch.rand(24, 16)
    model = Hidden(nn.Linear(16, 3)).eval()
    case = case_of(model, x, model(x).argmax(1))
    assert derivative_check(case).verdict == inventory_check(case).verdict == "cannot tell"


class OnlyFloat32(nn.Module):
    """A layer of a library that asserts its dtype, as torchao's fake quantizers do."""

    def forward(self, x):
        assert x.dtype == torch.float32
        return x * 2


class Keyword(nn.Module):
    """A layer that cannot be called with its input alone, as Brevitas's clamps cannot."""

    def forward(self, x, *, most):
        return x.clamp(-most, most)


class Calling(nn.Module):
    def __init__(self):
        super().__init__()
        self.clamp, self.head = Keyword(), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.clamp(x.flatten(1), most=0.5))


def test_a_layer_without_double_precision_is_not_known():
    images, torch_model = torch.rand(8, 12), nn.Sequential(OnlyFloat32(), nn.Linear(12, 3)).eval()
    labels = torch_model(images).argmax(1)
    finding = found(torch_model, images, labels)["derivatives"]
    assert (finding.verdict, finding.data["unknown"]) == ("cannot tell", ["0"])


def test_a_layer_that_is_called_with_keywords_is_left_out():
    images, torch_model = torch.rand(8, 12), Calling().eval()
    finding = found(torch_model, images, torch_model(images).argmax(1))["derivatives"]
    assert (finding.verdict, finding.data["layers"]) == ("pass", 1)


def found(model, images, labels):
    diagnosis = diagnose(model, images, labels, Threat(Linf(), 0.1), budget=30)
    return {finding.check: finding for finding in diagnosis.findings}
