import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from diagnostics.cases import Through
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.threat import Threat
from quantattack.diagnostics.diagnose import diagnose
from quantattack.diagnostics.recording import record_diagnosis
from quantattack.errors import InputError
from quantattack.evaluation.evaluate import evaluate
from quantattack.record.findings import read_findings
from quantattack.record.store import Store

THREAT = Threat(Linf(), 0.2)


def loaded(name):
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


maskings = loaded("maskings")


@pytest.fixture(scope="session")
def networks():
    """The benchmark's networks, trained for less long."""
    return maskings.Networks(epochs=5)


SUBSET = (
    maskings.Case("scale", "float", {"factor": 100.0}),
    maskings.Case("scale", "bn", {"factor": 3e4}),
    maskings.Case("scale", "adversarial", {"factor": 1e3}),
    maskings.Case("distillation", "float", {"temperature": 40.0}),
    maskings.Case("hard_sign", "sign-float", {"layers": ["features.2"]}),
    maskings.Case("hard_sign", "sign-float", {"layers": ["features.2", "features.5"]}),
    maskings.Case("detach", "bn", {"place": "input"}),
    maskings.Case("detach", "adversarial", {"place": "logits"}),
    maskings.Case("rounding", "float", {"levels": 4}),
    maskings.Case("rounding", "bn", {"levels": 32}),
    maskings.Case("rounding", "adversarial", {"levels": 11}),
    maskings.Case("noise", "float", {"size": 0.005, "place": "input"}),
    maskings.Case("noise", "bn", {"size": 0.1, "place": "logits"}),
    maskings.Case("batch", "float", {"weight": 0.2, "place": "input"}),
    maskings.Case("batch", "adversarial", {"weight": 1.0, "place": "logits"}),
)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", SUBSET, ids=lambda case: f"{case.kind}-{case.network}")
def test_a_masking_is_flagged_with_its_reason_first(networks, case):
    found = maskings.run(case, networks, images=24)
    assert not found.trusted
    assert found.reasons[0] == maskings.REASON[case.kind]


@pytest.mark.parametrize(
    ("network", "radius", "reasons"),
    [
        ("float", 0.1, ()),
        ("float", 0.2, ()),
        ("bn", 0.1, ("weak_attack",)),  # plain PGD is too weak for it there
        ("bn", 0.2, ()),
        ("adversarial", 0.1, ()),
        ("adversarial", 0.2, ()),
    ],
)
def test_an_honest_network_is_not_flagged(networks, network, radius, reasons):
    found = maskings.run(maskings.Case("honest", network, radius=radius, seed=1), networks, images=50)
    assert not found.masked
    assert found.reasons == reasons


@pytest.mark.parametrize("budget", [1, 20, 70, 200])
def test_the_budget_is_kept_and_what_does_not_fit_cannot_tell(zoo, probe_images, budget):
    found = diagnose(zoo["mdtanhs"], *probe_images, THREAT, budget=budget)
    assert found.forwards + found.backwards <= budget + 1  # the one that finds out which images are right
    assert any(finding.verdict == "cannot tell" for finding in found.findings)
    assert sum(finding.passes for finding in found.findings) <= budget


def test_the_default_budget_holds_every_check(zoo, probe_images):
    found = diagnose(zoo["mdtanhs"], *probe_images, THREAT, float_model=zoo["float"])
    assert [finding.check for finding in found.findings if finding.verdict == "cannot tell"] == []
    assert len({finding.check for finding in found.findings}) == len(found.findings) == 27
    assert found.worst < 0.1 < found.pgd <= found.clean
    assert found.reasons[0] == "saturation"


def test_probabilities_are_diagnosed_not_refused(zoo, probe_images):
    found = diagnose(Through(zoo["float"], after=lambda a: a.softmax(1)), *probe_images, THREAT)
    assert found.reasons[0] == "probabilities"


def test_a_plain_callable_is_diagnosed_as_far_as_it_goes(zoo, probe_images):
    found = diagnose(lambda x: zoo["float"](x), *probe_images, THREAT)
    unknown = {finding.check for finding in found.findings if finding.verdict == "cannot tell"}
    assert {"quantized", "derivatives", "precision"} <= unknown
    assert found.trusted


def test_the_same_seed_finds_the_same(zoo, probe_images):
    one, other = (diagnose(zoo["mdtanhs-bn"], *probe_images, THREAT, seed=3, batch_size=size) for size in (16, 40))
    assert [f.evidence for f in one.findings] == [f.evidence for f in other.findings]


def test_progress_hears_every_finding(zoo, probe_images):
    heard = []
    found = diagnose(zoo["float"], *probe_images, THREAT, budget=80, progress=heard.append)
    assert tuple(heard) == found.findings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m, x, y: (m, x, (y + 1) % 10), "none of the 40 images right"),
        (lambda m, x, y: (m, x[:, :, :5, :5], y), "does not take images of shape"),
        (lambda m, x, y: (m, x, y + 90), "labels run from"),
    ],
)
def test_bad_input_is_one_line(zoo, probe_images, change, says):
    with pytest.raises(InputError, match=says):
        diagnose(*change(zoo["float"], *probe_images), THREAT)


def test_a_new_folder_gets_pgds_record_and_the_findings(zoo, probe_images, tmp_path):
    found = diagnose(zoo["mdtanhs"], *probe_images, THREAT)
    record_diagnosis(found, tmp_path / "run", zoo["mdtanhs"], *probe_images, THREAT)
    store = Store.load(tmp_path / "run")
    (record,) = store.records()
    assert record.robust("pgd") == pytest.approx(found.pgd)
    assert read_findings(store.connection, record.subject) == found.findings
    store.close()


def test_a_diagnosis_joins_the_evaluation_of_the_same_network_alone(zoo, probe_images, tmp_path):
    images, labels = probe_images
    evaluate(zoo["mdtanhs"], images, labels, {"pgd": pgd(THREAT, steps=2)}, THREAT, out=tmp_path / "run").store.close()
    found = diagnose(zoo["mdtanhs"], images[:20], labels[:20], THREAT, budget=20)
    for _ in range(2):
        record_diagnosis(found, tmp_path / "run", zoo["mdtanhs"], images[:20], labels[:20], THREAT)
    store = Store.load(tmp_path / "run")
    (record,) = store.records()
    assert read_findings(store.connection, record.subject) == found.findings
    assert record.images == 40
    store.close()
    with pytest.raises(InputError, match="another model"):
        record_diagnosis(found, tmp_path / "run", zoo["float"], images, labels, THREAT)
    with pytest.raises(InputError, match="no evaluation of model"):
        record_diagnosis(found, tmp_path / "run", zoo["mdtanhs"], images, labels, Threat(Linf(), 0.1))


def test_probabilities_are_recorded_without_an_evaluation(zoo, probe_images, tmp_path):
    model = Through(zoo["float"], after=lambda a: a.softmax(1))
    found = diagnose(model, *probe_images, THREAT, budget=20)
    record_diagnosis(found, tmp_path / "run", model, *probe_images, THREAT)
    with_it = Store.load(tmp_path / "run")
    assert with_it.connection.execute("SELECT count(*) FROM diagnosis").fetchone()[0] == len(found.findings)
    with_it.close()


def test_diagnosing_leaves_the_model_as_it_was(zoo, probe_images):
    before = {name: value.clone() for name, value in zoo["bnn-waq"].state_dict().items()}
    state = torch.random.get_rng_state()
    diagnose(zoo["bnn-waq"], *probe_images, THREAT, budget=100)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in zoo["bnn-waq"].state_dict().items())
