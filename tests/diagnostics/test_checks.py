import pytest
import torch
from torch import nn

from diagnostics.cases import Through, case_of
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.diagnostics import checks
from quantattack.diagnostics.clean_gradients import clean_gradients


def test_probabilities_are_not_logits(zoo, probe_images):
    found = checks.logits_check(case_of(Through(zoo["float"], after=lambda a: a.softmax(1)), *probe_images))
    assert (found.verdict, found.code) == ("fail", "probabilities")
    log = checks.logits_check(case_of(Through(zoo["float"], after=lambda a: a.log_softmax(1)), *probe_images))
    assert log.verdict == "pass"
    assert "log-probabilities" in log.evidence
    assert checks.logits_check(case_of(zoo["float"], *probe_images)).verdict == "pass"


@pytest.mark.parametrize(("size", "verdict"), [(0.0, "pass"), (1e-7, "pass"), (1e-2, "fail")])
def test_noise_is_told_from_rounding(zoo, probe_images, size, verdict):
    torch.manual_seed(0)
    noisy = Through(zoo["float"], after=lambda a: a + size * a.std() * torch.randn_like(a))
    found = checks.randomness_check(case_of(noisy, *probe_images))
    assert found.verdict == verdict
    assert found.code == ("random" if verdict == "fail" else "")


def test_an_image_that_depends_on_its_company_is_found(zoo, probe_images):
    apart = case_of(Through(zoo["float"], after=lambda a: a - a.mean(0)), *probe_images)
    assert (checks.batch_check(apart).verdict, checks.batch_check(apart).code) == ("fail", "batch_dependent")
    assert checks.batch_check(case_of(zoo["float"], *probe_images)).verdict == "pass"
    assert checks.batch_check(case_of(zoo["float"], *probe_images).first(5)).verdict == "cannot tell"


def test_a_random_model_says_nothing_of_batches(zoo, probe_images):
    torch.manual_seed(0)
    noisy = Through(zoo["float"], before=lambda x: x + 0.1 * torch.randn_like(x))
    assert checks.batch_check(case_of(noisy, *probe_images)).verdict == "cannot tell"


def test_a_silent_gradient_has_its_reason(zoo, probe_images):
    cut = case_of(Through(zoo["float"], after=torch.Tensor.detach), *probe_images)
    assert checks.path_check(clean_gradients(cut), None).code == "no_gradient"
    assert checks.path_check(clean_gradients(cut), 8).code == "shattered"
    assert checks.path_check(clean_gradients(case_of(zoo["float"], *probe_images)), 8).verdict == "pass"


def test_a_saturated_softmax_inside_is_the_cause_that_is_named(zoo, probe_images):
    case = case_of(Through(zoo["float"], after=lambda logits: (1000 * logits).softmax(1)), *probe_images)
    seen = clean_gradients(case)
    found = checks.path_check(seen, None)
    assert (found.verdict, found.code) == ("fail", "saturation")
    assert "the softmax before is saturated" in found.evidence
    assert "without the softmax" in found.advice
    assert checks.margins_check(case, seen).verdict == "cannot tell"
    assert "are probabilities" in checks.margins_check(case, seen).evidence


@pytest.mark.parametrize(("name", "verdict"), [("float", "pass"), ("mdtanhs-bn", "pass"), ("mdtanhs", "fail")])
def test_a_saturated_network_is_told_from_the_others(zoo, probe_images, name, verdict):
    case = case_of(zoo[name], *probe_images)
    seen = clean_gradients(case)
    for found in (checks.values_check(seen), checks.margins_check(case, seen)):
        assert found.verdict == verdict
        assert found.code == ("saturation" if verdict == "fail" else "")


def test_the_histogram_counts_every_margin(zoo, probe_images):
    case = case_of(zoo["float"], *probe_images)
    data = checks.margins_check(case, clean_gradients(case)).data
    assert sum(data["counts"]) == len(case) == data["images"]
    assert len(data["edges"]) == len(data["counts"]) + 1
    assert data["dtype"] == "float32"


def test_nan_gradients_are_a_failure(zoo, probe_images):
    broken = Through(zoo["float"], before=lambda x: x + 0 * (x - x).sqrt())
    assert checks.values_check(clean_gradients(case_of(broken, *probe_images))).code == "nan"


def test_float64_tells_a_gradient_that_rounding_made(zoo, probe_images):
    lost = Through(zoo["float"], before=lambda x: x + 1e-3 * torch.sin(3.3e8 * x))
    case = case_of(lost, *probe_images)
    assert checks.precision_check(case, clean_gradients(case)).code == "shattered"
    honest = case_of(zoo["bnn-waq"], *probe_images)
    assert checks.precision_check(honest, clean_gradients(honest)).verdict == "pass"


@pytest.mark.parametrize("norm", [Linf(), L2(), L1()])
@pytest.mark.parametrize("name", ["float", "mdtanhs", "bnn-waq"])
def test_a_gradient_leads_upward_in_every_norm(zoo, probe_images, name, norm):
    radius = {Linf: 0.2, L2: 1.0, L1: 6.0}[type(norm)]
    case = case_of(zoo[name], *probe_images, radius=radius, norm=norm)
    assert checks.ascent_check(case, clean_gradients(case)).verdict == "pass"


def test_a_gradient_that_misleads_is_found(zoo, probe_images):
    class Turned(nn.Module):
        """The pixels as they are, with a derivative of the wrong sign."""

        def forward(self, x):
            return zoo["float"](x.detach() + (x.detach() - x))

    case = case_of(Turned().eval(), *probe_images)
    assert checks.ascent_check(case, clean_gradients(case)).code == "shattered"
