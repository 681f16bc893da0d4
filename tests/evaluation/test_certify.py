"""`certify` from end to end: both sides of robust accuracy, kills, parts, saved images, and what a record says."""

import json

import pytest
import torch

import quantattack as qa
from quantattack.certification.exact import MISSING, Exact
from quantattack.data.sources import source_of
from quantattack.errors import InputError
from quantattack.evaluation.saved_images import load_shard
from quantattack.evaluation.verify import verify
from quantattack.nn.architectures import build
from quantattack.nn.quantizers import BnnWaq, Sign
from quantattack.record.bounds import Bound
from quantattack.record.merge import merge
from quantattack.record.record import Record
from quantattack.report.bracket import worst_words
from quantattack.report.drawings import radius_drawings
from quantattack.report.figures import radius_figure
from quantattack.report.page import render
from quantattack.report.percent import percent
from quantattack.report.tables import headline

SHAPE = (1, 4, 4)
THREAT = qa.Threat("linf", 0.03)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    net = build("perceptron", {"shape": SHAPE, "classes": 3, "hidden": 12})
    model = qa.quantize(net, weights=BnnWaq(), activations=Sign())
    with torch.no_grad():
        model.train()(torch.rand(64, *SHAPE))
    return model.eval()


def images(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    clean = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(2))
    labels = network()(clean).argmax(1)
    labels[1] = (labels[1] + 1) % 3  # wrong from the start
    return clean, labels


def weak(threat: qa.Threat) -> dict[str, qa.Attack]:
    return {"pgd": qa.pgd(threat, steps=2)}


def certified(out=None, **settings) -> Record:
    return qa.certify(network(), *images(), THREAT, seconds=60.0, attacks=weak, out=out, **settings)


def rows(record: Record) -> dict[int, tuple]:
    """What is known of each image, but for the clock."""
    return {image: (b.verdict, b.method, b.margin, b.slack, b.solver) for image, b in record.bounds.items()}


def test_both_sides_meet_and_are_shown(tmp_path):
    record = certified(tmp_path / "run", keep_images=True)
    verdicts = [bound.verdict for bound in record.bounds.values()]
    assert {"proved", "broken"} <= set(verdicts)
    assert "open" not in verdicts
    proved, worst = record.bracket
    assert proved == worst == record.robust("exact") < record.robust("pgd")
    assert worst_words(record) == f"[{100 * proved:.1f}, {100 * worst:.1f}%]"
    summary = record.summary()
    assert summary["bracket"] == [proved, worst]
    assert summary["bounds"]["broken"] == verdicts.count("broken")
    assert json.loads(json.dumps(summary)) == summary
    assert f"broke {verdicts.count('broken')} of {len(verdicts)} images" in record.codes["exact_breaks"]
    assert f"At least {100 * proved:.1f}% is proved robust" in headline(record)
    assert worst_words(record) in render(record.store, tmp_path / "run")
    assert "black_box_wins" not in record.codes


def test_the_radius_figure_and_its_words_have_what_is_proved():
    group = [certified(), qa.certify(network(), *images(), qa.Threat("linf", 0.01), seconds=60.0, attacks=weak)]
    (line,) = [line for line in radius_figure(group).axes[0].lines if line.get_label() == "proved"]
    assert list(line.get_xdata()) == [0.03, 0.01]
    assert line.get_ydata() == pytest.approx([100 * record.bracket[0] for record in group])
    assert 0 < group[0].bracket[0] < group[1].bracket[0]
    (drawing,) = radius_drawings(group)
    assert f"Proved: {percent(group[1].bracket[0])} at 0.01, {percent(group[0].bracket[0])} at 0.03." in drawing.caption


def test_an_image_that_was_wrong_or_that_an_attack_broke_is_not_searched():
    record = certified()
    left = ~record.broken("pgd")
    assert set(record.bounds) == set(record.indices[left].tolist())
    assert 1 not in record.bounds
    inherited = record.broken("pgd") & (record.column("pgd", "prediction") != record.column("pgd", "clean_prediction"))
    assert (record.column("exact", "seconds")[inherited] == 0).all()
    assert record.broken("exact")[inherited].all()


def test_every_counterexample_breaks_the_network_from_its_saved_image(tmp_path):
    record = certified(tmp_path / "run", keep_images=True)
    model, (clean, labels) = network(), images()
    found = {}
    for shard in record.store.shards(record.cells["exact"]):
        index, attacked = load_shard(tmp_path / "run" / shard.file)
        found |= dict(zip(index.tolist(), attacked, strict=True))
    broken = [image for image, bound in record.bounds.items() if bound.verdict == "broken"]
    for image in broken:
        alone = found[image][None]
        assert int(model(alone).argmax(1)) != int(labels[image])
        assert int(model(torch.cat([alone, clean]))[0].argmax()) != int(labels[image])
        assert bool(THREAT.contains(alone, clean[image][None])[0])
    checked = verify(record, model, source_of(clean, labels, 0.0, 1.0), THREAT)
    assert checked.wrong == ()
    assert checked.unsaved == 0
    assert checked.proofs + checked.unproved == sum(bound.verdict == "proved" for bound in record.bounds.values())


def test_on_bytes_the_saved_bytes_break_the_network(tmp_path):
    threat = qa.Threat("linf", 8 / 255, levels=256)
    clean, labels = images(8)
    clean = (clean * 255).round() / 255
    labels = network()(clean).argmax(1)
    record = qa.certify(network(), clean, labels, threat, attacks=weak, out=tmp_path, keep_images=True)
    verdicts = {image: bound.verdict for image, bound in record.bounds.items()}
    assert "broken" in verdicts.values()
    for shard in record.store.shards(record.cells["exact"]):
        index, attacked = load_shard(tmp_path / shard.file)
        for image, picture in zip(index.tolist(), attacked, strict=True):
            assert torch.equal((picture * 255).round() / 255, picture)
            if verdicts.get(image) == "broken":
                assert int(network()(picture[None]).argmax(1)) != int(labels[image])


def test_a_killed_run_continues_and_says_the_same(tmp_path, monkeypatch):
    whole, count = certified(), 0
    decide = Exact._decide

    def dying(self, *given):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return decide(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Exact, "_decide", dying)
        with pytest.raises(KeyboardInterrupt):
            certified(tmp_path / "run")
    half = Record.load(tmp_path / "run")
    assert len(half.bounds) == 2
    assert half.bracket[0] != half.bracket[0]  # unknown until every image has been searched
    assert half.summary()["bracket"] == [None, None]
    half.store.close()
    continued = certified(tmp_path / "run")
    assert rows(continued) == rows(whole)
    assert continued.bracket == whole.bracket


def test_parts_are_merged_into_the_whole(tmp_path):
    for number in (1, 2):
        certified(tmp_path / str(number), part=(number, 2)).store.close()
    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged").records()[0]
    whole = certified()
    assert rows(merged) == rows(whole)
    assert merged.bracket == whole.bracket
    assert merged.finished


def test_a_proof_that_an_attack_contradicts_is_found(tmp_path):
    record = certified(tmp_path / "run")
    image = next(image for image, bound in record.bounds.items() if bound.verdict == "broken")
    store = record.store
    store.write(record.cells["exact"], [], bounds=[Bound(image, "proved", "crown", 1.0)])
    checked = verify(record, network(), source_of(*images(), 0.0, 1.0), THREAT)
    assert any("exact: broken, and proved by complete search, image" in line for line in checked.wrong)
    again = f"image {image} is proved by crown in the record, and not again (-"
    assert [line[: len(again)] for line in checked.wrong if "not again" in line] == [again]


def test_returned_images_hold_those_that_other_attacks_broke():
    record, returned = qa.evaluate(
        network(), *images(), {**weak(THREAT), "exact": Exact(THREAT, 5.0)}, THREAT, return_images=True
    )
    labels = images()[1]
    fooled = network()(returned["exact"]).argmax(1) != labels
    assert fooled.tolist() == record.broken("exact").tolist()


def test_without_the_extra_bounds_run_and_say_what_it_would_add(monkeypatch):
    for module in ("evaluation.certify", "certification.exact"):
        monkeypatch.setattr(f"quantattack.{module}.has_solvers", lambda: False)
    record = certified()
    reasons = {bound.reason for bound in record.bounds.values() if bound.verdict == "open"}
    assert reasons == {MISSING}
    proved, worst = record.bracket
    assert proved <= worst
    with pytest.raises(InputError, match=r"pip install 'quantattack\[certify\]'"):
        certified(complete=True)


def test_a_network_without_bounds_is_refused_before_anything_is_attacked(tmp_path):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3), torch.nn.GELU()).eval()
    with pytest.raises(InputError, match=r"no bound is known of 2 \(GELU\)"):
        qa.certify(model, *images(), THREAT, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_record_without_complete_search_says_nothing_of_proofs():
    record = qa.evaluate(network(), *images(), weak(THREAT), THREAT)
    assert record.bracket is None
    assert record.bounds == {}
    assert "proved" not in record.summary()


def test_a_small_network_of_signs_is_named_where_complete_search_would_pay():
    attacked = qa.evaluate(network(), *images(), weak(THREAT), THREAT)
    assert "its 12 activations take few values" in attacked.codes["search_pays"]
    assert "search_pays" not in certified().codes
    floating = build("perceptron", {"shape": SHAPE, "classes": 3, "hidden": 12}).eval()
    clean = images()[0]
    assert "search_pays" not in qa.evaluate(floating, clean, floating(clean).argmax(1), weak(THREAT), THREAT).codes
