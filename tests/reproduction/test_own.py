"""A paper's table or figure on networks of one's own."""

from dataclasses import replace

import pytest
import torch

from quantattack.attacks.wrappers import Transfer
from quantattack.errors import InputError
from quantattack.nn.zoo import load_model
from quantattack.record.signals import read_signals
from quantattack.reproduction.bench import Bench, Network, Source, kind_of
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.gupta2022.attacks import clever, iterations, propagated, radii, step_sizes, transfer
from quantattack.reproduction.own import with_networks
from quantattack.reproduction.page import write_pages
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.read import Reader
from quantattack.reproduction.run import fill
from quantattack.reproduction.scales import SCALES
from quantattack.reproduction.views import view

KINDS = {"digits-float": "REF", "digits-mdtanhs": "BNN-WQ"}
GUPTA = PAPERS["gupta2022"]


@pytest.fixture(scope="module")
def networks():
    return tuple(Network(name, load_model(name), "digits", kind) for name, kind in KINDS.items())


@pytest.fixture
def bench(networks):
    return Bench(networks, images=16)


def silent(name, done, total):
    assert 0 <= done <= total


@pytest.mark.parametrize(
    ("parts", "kind"),
    [((False, False, False), "REF"), ((True, False, True), "BNN-WQ*"), ((True, True, False), "BNN-WAQ")],
)
def test_a_kind_says_which_of_the_papers_networks_stands_beside(parts, kind):
    assert kind_of(*parts) == kind


def plan_on(networks, out, key, images=8, **more):
    paper, own = with_networks(GUPTA, key, [(network.name, network) for network in networks])
    return Plan(paper, (key,), replace(SCALES["smallest"], images=images, signals=images), out, own=own, **more)


def test_the_parts_of_a_figure_run_alone():
    assert {"figure1a", "figure1b", "figure1c"} < set(GUPTA.runnable)
    assert "table6" not in GUPTA.runnable  # settings: nothing to run


def test_table13_has_every_rho_and_its_published_row(networks, tmp_path):
    plan = plan_on(networks, tmp_path, "table13")
    assert fill(plan, silent) == []
    reader = Reader(plan)
    shown = view(reader, "table13")
    reader.close()
    assert [line.network for line in shown.lines] == list(KINDS)
    assert [line.label for line in shown.lines] == ["REF, digits-float, digits", "BNN-WQ, digits-mdtanhs, digits"]
    assert shown.lines[1].published_for == "BNN-WQ, ResNet-18, CIFAR-10"
    assert [entry.published for entry in shown.lines[1].entries][:2] == ["9.61", "0.04"]
    assert all(0 <= float(entry.measured) <= 100 for line in shown.lines for entry in line.entries)
    assert len(shown.headers) == 6


def test_a_network_of_a_kind_that_was_not_published_stands_alone(networks):
    odd = replace(networks[0], kind="")
    ((row,), own) = rows_on(odd)
    assert row.published == ()
    assert row.role.label == "digits-float, digits"
    assert own == {row.role: odd}


def rows_on(network):
    paper, own = with_networks(GUPTA, "table13", [("it", network)])
    return paper.items["table13"].rows, own


def test_published_numbers_of_the_same_data_set_come_first(networks):
    hundred = Network("net", networks[1].model, "cifar100", "BNN-WQ")
    paper, _ = with_networks(GUPTA, "table2", [("net", hundred)])
    assert paper.items["table2"].rows[0].published_for == "BNN-WQ, ResNet-18, CIFAR-100"


def test_the_other_papers_networks_are_adversarially_trained_float_ones(networks):
    robust = replace(networks[0], kind="REF*")
    paper, _ = with_networks(PAPERS["liu2020"], "table2", [("it", robust)])
    (row,) = paper.items["table2"].rows
    assert row.published_for == "adversarially trained, Madry's network, MNIST"
    assert row.published[1:3] == (92.56, 92.79)


def test_the_page_of_own_networks_opens_their_records_and_judges_nothing(networks, tmp_path):
    plan = plan_on(networks, tmp_path, "figure1b")
    fill(plan, silent)
    text = write_pages([plan]).read_text(encoding="utf-8")
    assert 'href="gupta2022/digits-mdtanhs-8/record.html#cell-' in text
    assert (tmp_path / "gupta2022" / "digits-mdtanhs-8" / "record.html").is_file()
    assert "claims" not in text.partition("<main>")[2]
    assert text.count('<svg role="img"') == 1


def test_another_radius_has_its_own_numbers(networks, tmp_path):
    small, usual = (plan_on(networks[:1], tmp_path, "figure1b", radius=radius) for radius in (0.02, None))
    values = []
    for plan in (small, usual):
        fill(plan, silent)
        reader = Reader(plan)
        column = plan.paper.items["figure1b"].columns[3]
        values.append(reader.number(next(iter(plan.own)), column).value)
        reader.close()
    assert values[0] > values[1]


def test_figure1c_searches_on_the_float_twin(bench, networks):
    ((_, attacks),) = transfer(bench, networks[1])
    attack = attacks["transfer"]
    assert isinstance(attack, Transfer)
    assert repr(attack.source).startswith("digits-float ")
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(Source(networks[0])(images), networks[0].model(images), atol=1e-4)


def test_figure1c_without_a_twin_is_refused(networks):
    with pytest.raises(InputError, match="needs a float network on digits"):
        transfer(Bench(networks[1:], images=8), networks[1])


@pytest.mark.parametrize(
    ("planned", "sizes"),
    [(radii, [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0]), (iterations, [0.2]), (step_sizes, [0.2])],
)
def test_the_radii_are_the_usual_one_or_around_it(bench, networks, planned, sizes):
    assert [threat.radius for threat, _ in planned(bench, networks[0])] == pytest.approx(sizes)


def test_step_sizes_reach_from_a_sixteenth_to_five_radii(bench, networks):
    ((threat, attacks),) = step_sizes(bench, networks[0])
    sizes = [attack.step_size / threat.radius for attack in attacks.values()]
    assert (min(sizes), max(sizes), len(sizes)) == (1 / 16, 5, 8)


def test_a_given_radius_replaces_the_usual_one(networks):
    ((threat, _),) = iterations(Bench(networks, radius=0.05), networks[0])
    assert threat.radius == 0.05


def test_table12_measures_each_network_in_normalized_pixels(bench, networks):
    signals = [signal for network in networks for signal in propagated(bench, network)]
    assert {signal.unit for signal in signals} == {"normalized"}
    assert {signal.model for signal in signals} == set(KINDS)
    at = {(one.model, one.temperature): one.numbers for one in signals if one.quantity == "singular_values"}
    binary = at["digits-mdtanhs", "unit"]["mean"]
    assert binary > 5 * at["digits-float", "unit"]["mean"]  # binary weights without scales have a large Jacobian
    assert at["digits-mdtanhs", "njs"]["mean"] == pytest.approx(1.0, rel=0.2)


def test_table10_scores_each_image_at_each_temperature(networks):
    signals = clever(Bench(networks[1:], images=1), networks[1])
    assert [one.temperature for one in signals] == ["unit", "fixed", "njs", "hns_paper", "hns"]
    for one in signals:
        assert len(one.numbers["score"]) == 1
        assert all(0 < score <= 5 for score in one.numbers["score"])


def test_the_same_run_continues_and_another_lies_beside(networks, tmp_path):
    plan = plan_on(networks[:1], tmp_path, "figure3")

    def signals(plan):
        fill(plan, silent)
        reader = Reader(plan)
        (store,) = reader.records(next(iter(plan.own))).stores
        assert store.finished
        numbers = read_signals(store.connection)
        reader.close()
        return numbers

    before = signals(plan)
    assert signals(plan) == before
    assert signals(plan_on(networks[:1], tmp_path, "figure3", images=9)) != before


def test_an_unknown_item_and_two_networks_of_one_name_are_refused(networks):
    with pytest.raises(InputError, match="unknown table or figure 'figure1d'"):
        with_networks(GUPTA, "figure1d", [("a", networks[0])])
    with pytest.raises(InputError, match="two networks are called digits-float"):
        with_networks(GUPTA, "table12", [("a/digits-float", networks[0]), ("b/digits-float", networks[0])])
