"""The contracts of a record hold for deployed models: identity, resume, parts, batches, flags and notes."""

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import quantattack as qa
from deployed.fake import FakeRuntime, Write
from quantattack.attacks.deployed import OnOutputs, deployed_suite, showing_outputs, suite_of
from quantattack.attacks.recipes import pgd
from quantattack.attacks.wrappers import Ensemble, Transfer
from quantattack.deployed.base import DeployedModel
from quantattack.deployed.load import load
from quantattack.errors import InputError
from quantattack.evaluation.cells import keep
from quantattack.evaluation.deployed_flags import deployed_flags
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.models import CountedModel, model_checksum
from quantattack.evaluation.ray import sent
from quantattack.evaluation.task import prepare
from quantattack.evaluation.verify import verify
from quantattack.nn.zoo import load_model
from quantattack.record.deployed import agreements, deployed_note
from quantattack.record.merge import merge
from quantattack.record.record import Record
from quantattack.record.statistics import above

THREAT = qa.Threat(qa.Linf(), 0.15)
STEPS = 4


def data(count: int = 24) -> tuple[Tensor, Tensor]:
    images, labels = qa.load_data("digits")
    return images[:count], labels[:count]


def attacks(threat: qa.Threat) -> dict[str, qa.Attack]:
    walk = pgd(threat, steps=STEPS)
    return {"pgd": OnOutputs(walk), "pgd_logits": walk}


def run(model: DeployedModel, out: Path | None = None, count: int = 24, **settings: object) -> Record:
    record = qa.evaluate(model, *data(count), attacks, THREAT, out=out, name="m", data="digits", **settings)
    assert isinstance(record, Record)
    return record


def verdicts(record: Record) -> list[tuple[int, int, int]]:
    return [
        (outcome.image, outcome.clean_prediction, outcome.prediction)
        for name in record.attacks
        for outcome in record.outcomes(name)
    ]


def test_the_runtime_alone_judges(fake: Write):
    model, (images, labels) = load(fake(factor=4.0, shift=0.1)), data()
    record, attacked = qa.evaluate(model, images, labels, attacks, THREAT, return_images=True)
    for name, returned in attacked.items():
        judged = model.returned(returned).argmax(1)
        assert [outcome.prediction for outcome in record.outcomes(name)] == judged.tolist()
    clean = model.returned(images).argmax(1)
    assert [outcome.clean_prediction for outcome in record.outcomes("pgd")] == clean.tolist()


def test_pgd_on_a_flat_softmax_stands_still_where_pgd_on_the_logits_does_not(fake: Write):
    record = run(load(fake(factor=8.0)))
    assert record.masking_gap is not None
    assert record.masking_gap >= 0.2
    assert "saturated_softmax" in record.codes
    assert "255/256" in record.codes["saturated_softmax"]


def test_without_a_softmax_the_outputs_are_the_logits(fake: Write):
    record = run(load(fake(softmax=False)))
    on_outputs, on_logits = ([o.prediction for o in record.outcomes(name)] for name in ("pgd", "pgd_logits"))
    assert on_outputs == on_logits
    assert "saturated_softmax" not in record.codes


def test_showing_outputs_wraps_the_deployed_model_and_counts_its_passes(fake: Write):
    model = CountedModel(load(fake(factor=8.0)))
    shown, (images, _) = showing_outputs(model), data(8)
    assert shown is not model
    assert torch.equal(shown(images), model(images))
    assert model.passes.forwards == 16
    plain = CountedModel(load_model("digits-float"))
    assert showing_outputs(plain) is plain


@pytest.mark.parametrize("size", [1, 7, 24])
def test_the_verdicts_do_not_depend_on_the_batch_size(fake: Write, size: int):
    path = fake(shift=0.05)
    assert verdicts(run(load(path), batch_size=size)) == verdicts(run(load(path)))


def test_batches_have_at_least_sixteen_rows_and_a_multiple_of_eight(fake: Write):
    model = load(fake())
    run(model, count=5)
    assert isinstance(model.runtime, FakeRuntime)
    assert model.runtime.calls
    through_the_engine = [rows for rows in model.runtime.calls if rows != 5]  # the facts look at the images themselves
    assert all(rows >= 16 and rows % 8 == 0 for rows in through_the_engine)


def test_a_run_continues_and_another_file_or_runtime_is_refused(fake: Write, tmp_path: Path):
    path = fake(shift=0.05)
    whole = verdicts(run(load(path)))
    calls = []

    def stop(*args: object) -> int:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return keep(*args)  # type: ignore[arg-type]

    with patch("quantattack.evaluation.run.keep", side_effect=stop), pytest.raises(KeyboardInterrupt):
        run(load(path), tmp_path / "run", batch_size=8)
    resumed = run(load(path), tmp_path / "run", batch_size=8)
    assert verdicts(resumed) == whole
    with pytest.raises(InputError, match="another run"):
        run(load(path, runtime="fake:reference"), tmp_path / "run", batch_size=8)
    with pytest.raises(InputError, match="another run"):
        run(load(fake("other.fake", shift=0.06)), tmp_path / "run", batch_size=8)


def test_parts_are_merged_into_the_whole(fake: Write, tmp_path: Path):
    path = fake(shift=0.05)
    for part in (1, 2):
        run(load(path), tmp_path / f"part-{part}", part=(part, 2))
    merged = merge([tmp_path / "part-1", tmp_path / "part-2"], tmp_path / "merged").records()[0]
    assert verdicts(merged) == verdicts(run(load(path)))
    assert deployed_note(merged.store, "m") is not None


def test_a_record_is_verified_on_the_runtime(fake: Write, tmp_path: Path):
    path = fake(factor=4.0, shift=0.1)
    model = load(path)
    record = run(model, tmp_path / "run", keep_images=True)
    from quantattack.data.sources import TensorSource, source_of

    source = source_of(*data(), 0.0, 1.0)
    assert isinstance(source, TensorSource)
    verified = verify(record, load(path), source, THREAT)
    assert verified.wrong == ()
    assert verified.attacked > 0
    other = verify(record, load(fake("other.fake", factor=4.0, shift=0.2)), source, THREAT)
    assert any("another checksum" in line for line in other.wrong)


def test_the_checksum_covers_file_runtime_and_pixels(fake: Write):
    path = fake()
    own = model_checksum(load(path))
    assert model_checksum(load(path)) == own
    assert model_checksum(load(path, float_model="digits-float")) == own
    assert model_checksum(load(path, runtime="fake:reference")) != own
    assert model_checksum(load(path, range=(0, 256))) != own


def test_workers_get_the_file_and_open_it_themselves(fake: Write):
    import pickle

    model = load(fake(shift=0.05))
    suite = suite_of(THREAT, load_model("digits-float")).attacks
    task = prepare(model, *data(), {"transfer": suite["transfer"]}, THREAT, make=model.file)
    there = pickle.loads(pickle.dumps(sent(task))).load()
    images, _ = data()
    assert torch.equal(there.model(images), model(images))
    given = pickle.loads(pickle.dumps(sent(prepare(model, *data(), attacks(THREAT), THREAT)))).load()
    assert torch.equal(given.model(images), model(images))


def test_the_speed_options_are_refused_in_one_line(fake: Write):
    with pytest.raises(InputError, match="a deployed file is run as it is; leave them out"):
        run(load(fake()), speed=FastSearch(fold=True))


def test_the_record_notes_what_runs_and_how_far_the_twin_agrees(fake: Write):
    model = load(fake(shift=0.1), float_model="digits-float")
    record = run(model)
    about = deployed_note(record.store, "m")
    assert about is not None
    assert about["file"]["sha256"] == model.artifact.sha256
    assert about["file"]["settings"]["processor"] == "one"
    assert about["file"]["pixels"]["layout"] == "nhwc"
    assert about["float"] == "digits-float"
    found = agreements(about, record.subject)
    assert list(found) == ["clean", "noise", "attacked"]
    assert not found["noise"].exact
    assert "inexact_twin" in record.codes
    assert deployed_note(record.store, "another") is None


def test_an_exact_twin_raises_no_flag(fake: Write):
    record = run(load(fake(softmax=False)))
    assert "inexact_twin" not in record.codes
    assert "chance" not in record.codes
    assert "clipped_pixels" not in record.codes


def test_clean_accuracy_at_chance_is_flagged(fake: Write):
    record = run(load(fake(), range=(0, 2)), count=40)
    assert record.clean < 0.4
    assert "check --layout, --range, --mean and --std" in record.codes["chance"]
    assert above(10, 100, 1 / 10) > 0.4
    assert above(30, 100, 1 / 10) < 1e-6
    assert above(0, 0, 1 / 10) == 1


def test_clipped_pixels_are_flagged(fake: Write):
    record = run(load(fake(scale=0.9), range=(0, 255)))
    assert "of the pixels, where its derivative is zero" in record.codes["clipped_pixels"]


def test_no_other_model_has_these_flags():
    record = qa.evaluate(load_model("digits-float"), *data(), pgd(THREAT, steps=1), THREAT)
    assert isinstance(record, Record)
    assert deployed_flags(record) == {}


def test_the_suite_has_a_member_for_each_column_of_the_table(fake: Write):
    whole = deployed_suite(load(fake(), float_model="digits-float"), THREAT).attacks
    assert list(whole) == ["pgd", "transfer", "square", "pgd_logits", "gap", "log_odds", "rivals", "close"]
    assert isinstance(whole["pgd"], OnOutputs)
    transfer = whole["transfer"]
    assert isinstance(transfer, Ensemble)
    assert list(transfer.attacks) == ["pgd", "gap"]
    assert all(isinstance(member, Transfer) for member in transfer.attacks.values())
    assert "transfer" not in deployed_suite(load(fake()), THREAT).attacks
    assert "pgd_logits" not in deployed_suite(load(fake(softmax=False)), THREAT).attacks
    assert "square" in suite_of(qa.Threat(qa.L1(), 1.0)).attacks
