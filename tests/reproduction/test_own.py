"""A paper's table or figure on networks of one's own."""

import pytest
import torch

from quantattack.attacks.wrappers import Transfer
from quantattack.errors import InputError
from quantattack.nn.zoo import load_model
from quantattack.record.signals import read_signals
from quantattack.record.store import Store
from quantattack.report.signal_tables import tables
from quantattack.reproduction.bench import Bench, Network, Source, kind_of
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.gupta2022.attacks import clever, iterations, radii, step_sizes, transfer
from quantattack.reproduction.own import reproduce, runnable

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


def test_the_parts_of_a_figure_run_alone():
    assert {"figure1a", "figure1b", "figure1c"} < set(runnable(GUPTA))
    assert "table6" not in runnable(GUPTA)  # settings: nothing to run


def test_table13_has_every_rho_and_its_published_row(bench):
    store = reproduce(GUPTA, "table13", bench, None, silent)
    assert store.finished
    (table,) = tables(store)
    assert [row[0] for row in table.rows][:3] == [*KINDS, "published: REF"]
    assert all("%" in cell for row in table.rows for cell in row[1:])
    assert len(table.header) == 7


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
        reproduce(GUPTA, "figure1c", Bench(networks[1:], images=8), None, silent)


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


def test_table12_measures_each_network_in_normalized_pixels(bench):
    store = reproduce(GUPTA, "table12", bench, None, silent)
    signals = read_signals(store.connection)
    assert {signal.unit for signal in signals} == {"normalized"}
    assert {signal.model for signal in signals} == set(KINDS)
    at = {(one.model, one.temperature): one.numbers for one in signals if one.quantity == "singular_values"}
    binary = at["digits-mdtanhs", "unit"]["mean"]
    assert binary > 5 * at["digits-float", "unit"]["mean"]  # binary weights without scales have a large Jacobian
    assert at["digits-mdtanhs", "njs"]["mean"] == pytest.approx(1.0, rel=0.2)
    assert [table.title for table in tables(store)] == [f"Signal propagation in {name}" for name in KINDS]


@pytest.mark.parametrize("item", ["figure2", "figure3", "figure5"])
def test_a_figures_record_holds_the_curves_alone(bench, item):
    signals = read_signals(reproduce(GUPTA, item, bench, None, silent).connection)
    assert [(one.model, one.quantity) for one in signals] == [(name, "curves") for name in KINDS]


def test_table10_scores_each_image_at_each_temperature(networks):
    signals = clever(Bench(networks[1:], images=1), networks[1])
    assert [one.temperature for one in signals] == ["unit", "fixed", "njs", "hns_paper", "hns"]
    for one in signals:
        assert len(one.numbers["score"]) == 1
        assert all(0 < score <= 5 for score in one.numbers["score"])


def test_the_same_run_continues_and_another_is_refused(networks, tmp_path):
    first = reproduce(GUPTA, "figure3", Bench(networks[:1], images=8), tmp_path, silent)
    before = read_signals(first.connection)
    first.close()
    again = reproduce(GUPTA, "figure3", Bench(networks[:1], images=8), tmp_path, silent)
    assert read_signals(again.connection) == before
    again.close()
    with pytest.raises(InputError, match="another run"):
        reproduce(GUPTA, "figure3", Bench(networks[:1], images=9), tmp_path, silent)
    store = Store.load(tmp_path)
    assert store.finished
    store.close()


def test_an_unknown_item_and_no_network_are_refused(bench):
    with pytest.raises(InputError, match="unknown table or figure 'figure1d'"):
        reproduce(GUPTA, "figure1d", bench, None, silent)
    with pytest.raises(InputError, match="no network"):
        reproduce(GUPTA, "table12", Bench(()), None, silent)
