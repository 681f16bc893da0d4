"""The runs behind the tables: every item's smallest cell, only what is missing, and what is not run."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantattack.attacks.scaling.njs import Njs
from quantattack.record.store import Store
from quantattack.reproduction import run as running
from quantattack.reproduction.bench import Bench
from quantattack.reproduction.catalog import PAPERS
from quantattack.reproduction.cells import Cell, agrees, alike
from quantattack.reproduction.gupta2022.attacks import transfer
from quantattack.reproduction.numbers import broken_after
from quantattack.reproduction.paper import Column
from quantattack.reproduction.plan import Plan
from quantattack.reproduction.read import Reader
from quantattack.reproduction.recall import recall_njs
from quantattack.reproduction.roles import role_of
from quantattack.reproduction.run import fill, network_of
from quantattack.reproduction.scales import SCALES
from quantattack.reproduction.settings import settings_words
from quantattack.reproduction.views import view

from .conftest import digits, plan_of, silent

TABLES = [(paper.key, key) for paper in PAPERS.values() for key, item in paper.items.items() if item.rows]
SOME = ("table1", "table7")


def numbers(plan):
    reader = Reader(plan)
    found = {
        (key, row.role.label, column.header): reader.number(row.role, column)
        for key in plan.items
        for row in plan.paper.items[key].rows
        for column in plan.paper.items[key].columns
    }
    reader.close()
    return {place: number and (number.value, number.images) for place, number in found.items()}


@pytest.mark.parametrize(("paper", "key"), TABLES)
def test_every_items_smallest_cell_reads_its_number_from_a_record(filled, paper, key):
    plan = replace(filled[paper], items=(key,))
    found = {place: value for place, value in numbers(plan).items() if value is not None}
    if all((column.step or 0) > plan.scale.steps for column in plan.paper.items[key].columns):
        assert found == {}  # walks of 10 steps have no number after 100
        return
    assert len(found) >= len(plan.paper.items[key].rows)
    shares = [value for (_, _, header), (value, _) in found.items() if header in ("clean", "PGD", "1 start")]
    assert all(0 <= share <= 1 for share in shares)
    reader = Reader(plan)
    row = plan.paper.items[key].rows[-1]
    column = next(one for one in plan.paper.items[key].columns if reader.number(row.role, one) is not None)
    number = reader.number(row.role, column)
    store = Store.load(number.store)
    assert store.finished
    assert store.identity["paper"] == paper
    store.close()
    reader.close()


def test_a_number_is_that_of_its_record(filled):
    reader = Reader(filled["gupta2022"])
    role = filled["gupta2022"].paper.items["table1"].rows[2].role
    number = reader.number(role, Column("", "pgd"))
    records = [
        record for record, name in reader.records(role).cells if name == "pgd" and record.threat["radius"] == 0.2
    ]
    assert number.value == records[0].robust("pgd")
    assert number.images == 10
    reader.close()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path, filled):
    first, other = (plan_of("gupta2022", tmp_path / name, *SOME, seed=seed) for name, seed in (("a", 0), ("b", 3)))
    for plan in (first, other):
        assert not fill(plan, silent)
    assert numbers(first) == numbers(replace(filled["gupta2022"], items=SOME))
    margins = [Reader(plan).cells(*_pgd(plan))[0][0].column("pgd", "margin") for plan in (first, other)]
    assert not np.array_equal(*margins)


def _pgd(plan):
    return plan.paper.items["table1"].rows[2].role, Column("", "pgd")


def test_each_chosen_network_of_an_item_is_the_first_that_fits(tmp_path):
    plan = plan_of("gupta2022", tmp_path, "table2", only={"table2": [("BNN-WQ", "VGG-16")]})
    assert [row.role.label for row in plan.rows_of("table2")] == ["BNN-WQ, VGG-16, CIFAR-10"]
    assert len(replace(plan, only=None).rows_of("table2")) == 12


def test_the_headline_has_a_network_trained_on_the_loss_that_is_attacked(tmp_path):
    headline = PAPERS["gupta2022"].headline
    plan = plan_of("gupta2022", tmp_path, *headline, only=headline, stand_in=None)
    networks = {key: [plan.network(row.role) for row in plan.rows_of(key)] for key in headline}
    assert networks["table2"] == ["cifar10-vgg5-mdtanhs", "cifar10-vgg5-mdtanhs-raw"]
    assert all(len(found) == 2 and any(name.endswith("-raw") for name in found) for found in networks.values())


def test_twins_of_a_network_have_no_row_at_full_scale(tmp_path):
    plan = plan_of("gupta2022", tmp_path, "table1", stand_in=None, scale=SCALES["full"])
    assert not [role for role in plan.roles() if role.twin]
    missing = {absence.row for absence in fill(plan, silent)}
    assert missing == {role.label for role in plan.roles()}


def test_only_what_is_missing_is_run(tmp_path, monkeypatch):
    calls = []
    true = running.run
    monkeypatch.setattr(
        running, "run", lambda tasks, *rest, **more: calls.append(list(tasks[0].attacks)) or true(tasks, *rest, **more)
    )
    plan = plan_of("gupta2022", tmp_path, "table1", only={"table1": [("BNN-WQ", "ResNet-18")]})
    assert not fill(plan, silent)
    assert calls == [["pgd", "pgd_restarts"]]
    assert not fill(plan, silent)
    assert len(calls) == 1
    more = replace(plan, items=("table1", "table7"), only={**plan.only, "table7": [("BNN-WQ", "ResNet-18")]})
    assert not fill(more, silent)
    assert calls[1:] == [["pgd_plus_njs", "pgd_plus_hns", "apgd_dlr", "square"]]  # the tables share PGD


def test_a_cell_over_the_budget_is_not_run_and_says_what_runs_it(tmp_path):
    plan = plan_of("gupta2022", tmp_path, "table7", only={"table7": [("BNN-WQ", "ResNet-18")]})
    plan = replace(plan, scale=replace(plan.scale, budget=299))
    missing = fill(plan, silent)
    assert {one.cell: one.why for one in missing}["square"] == "it may take 300 passes and the budget is 299"
    command = next(one.command for one in missing if one.cell == "square")
    assert command == f"quantattack reproduce gupta2022 table7 --scale smallest --budget 300 --out {tmp_path}"
    assert numbers(plan)["table7", "BNN-WQ, ResNet-18, CIFAR-10", "Square"] is None
    assert numbers(plan)["table7", "BNN-WQ, ResNet-18, CIFAR-10", "PGD++ NJS"] is not None


def test_an_attack_from_elsewhere_that_is_not_installed_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("quantattack.reproduction.gupta2022.attacks.nearest", lambda threat, steps: {})
    plan = plan_of("gupta2022", tmp_path, "table9", only={"table9": [("BNN-WAQ", "VGG-16")]})
    missing = fill(plan, silent)
    assert [(one.cell, one.why) for one in missing] == [
        ("deepfool", "foolbox is not installed"),
        ("brendel_bethge", "foolbox is not installed"),
    ]
    assert missing[0].command.startswith("pip install 'quantattack[foolbox]' && quantattack reproduce gupta2022 table9")


def test_a_network_that_is_missing_names_its_training(tmp_path):
    plan = plan_of("gupta2022", tmp_path, "table1", only={"table1": [("BNN-WQ", "ResNet-18")]}, stand_in=None)
    plan = replace(plan, scale=SCALES["full"])
    (missing,) = fill(plan, silent)
    assert missing.why == "there is no network cifar10-resnet18-full-mdtanhs"
    file = "networks/cifar10-resnet18-full-mdtanhs.safetensors"
    assert missing.command.startswith(f"quantattack train cifar10-resnet18-full-mdtanhs --out {file} && ")
    assert missing.command.endswith(f"--scale full --networks networks --out {tmp_path}")


def test_a_record_of_another_seed_is_kept_and_said(tmp_path):
    plan = plan_of("beyond", tmp_path, "levels", only={"levels": [("BNN-WQ", "VGG-16")]})
    assert not fill(plan, silent)
    missing = fill(replace(plan, seed=1), silent)
    assert missing
    assert "holds another run (its seed differs)" in missing[0].why


def test_a_smaller_reproduction_beside_counts_once(tmp_path):
    """Its images may be as many as those that the larger one merges restarts on."""
    larger = replace(SCALES["smallest"], images=10, merged=5)
    only = {"table1": [("BNN-WQ", "ResNet-18")]}
    plans = [
        plan_of("gupta2022", tmp_path, "table1", only=only, scale=scale)
        for scale in (larger, replace(larger, images=5))
    ]
    for plan in plans:
        assert not fill(plan, silent)
    readers = [Reader(plan) for plan in plans]
    assert [[cell[0].images for cell in reader.cells(*_pgd(reader.plan))] for reader in readers] == [[10], [5]]
    for reader in readers:
        reader.close()


def test_a_rows_attacks_are_on_the_same_images(tmp_path):
    """An attack with restarts may have fewer images, and the others stand beside it on these."""
    scale = replace(SCALES["smallest"], merged=4)
    plan = plan_of("gupta2022", tmp_path, "table1", only={"table1": [("BNN-WQ", "VGG-16")]}, scale=scale)
    assert not fill(plan, silent)
    reader = Reader(plan)
    shown = dict(zip(*_row(view(reader, "table1")), strict=True))
    assert {entry.images for entry in shown.values()} == {4}
    role = plan.rows_of("table1")[0].role
    ((record, name),) = reader.cells(role, Column("", "pgd"))
    assert shown["1 start"].measured == f"{100 * float(np.mean(~record.broken(name)[:4])):.1f}"
    assert reader.number(role, Column("", "pgd")).images == record.images == 10
    assert settings_words(reader, "table1").startswith("4 of 500 test images")
    reader.close()


def _row(table):
    return table.headers, table.lines[0].entries


def test_restarts_are_the_union_of_runs(filled):
    """Run r of an attack is the r-th restart of the same attack."""
    plan = filled["gupta2022"]
    role = plan.paper.items["table1"].rows[2].role
    reader = Reader(plan)
    one, many = (reader.number(role, Column("", name)) for name in ("pgd", "pgd_restarts"))
    assert many.value <= one.value
    reader.close()


def test_steps_are_read_off_the_walk(filled):
    plan = filled["beyond"]
    role = plan.paper.items["ladder"].rows[0].role
    reader = Reader(plan)
    at = [reader.number(role, Column("", "gap", "mean", step=step)) for step in (1, 5, 10)]
    assert at[0].value >= at[1].value >= at[2].value
    assert reader.number(role, Column("", "gap", "mean", step=20)) is None  # the walk has ten steps
    record, name = reader.cells(role, Column("", "gap", "mean"))[0]
    assert np.array_equal(broken_after(record, name, 10), broken_after(record, name))
    reader.close()


def test_the_smallest_networks_are_named(filled):
    plan = filled["gupta2022"]
    assert {plan.network(row.role) for row in plan.paper.items["table1"].rows} == {
        "digits-float",
        "digits-mdtanhs",
        "digits-bnn-waq",
    }
    assert digits(plan.paper.items["table4"].rows[0].role) == "digits-float"


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ({"x": [1.0, "s"]}, {"x": [1.0 + 1e-9, "s"]}, True),
        ({"x": 1.0}, {"x": 1.01}, False),
        ({"x": 1.0}, {"y": 1.0}, False),
        ([1], [1, 2], False),
        (None, None, True),
        ({"x": 1, "later": None}, {"x": 1}, True),
        ({"x": 1, "later": []}, {"x": 1}, True),
        ({"x": 1, "later": 2}, {"x": 1}, False),
        ("a", "b", False),
        (
            {"model": "Hosted:12", "told": {"clean": 1}},
            {"model": "CountedModel:12", "card_facts": {"clean": 1}},
            True,
        ),
        ({"model": "Hosted:12"}, {"model": "CountedModel:13"}, False),
    ],
)
def test_settings_are_alike_up_to_their_last_bits(a, b, same):
    assert alike(a, b) is same


@pytest.mark.parametrize("architecture", ["ResNet-18", "VGG-16"])
def test_a_published_record_is_continued(architecture):
    """Images transferred from the float network are recorded with that network, which older records name otherwise."""
    folder = Path(__file__).parents[2] / "results"
    plan = Plan(PAPERS["gupta2022"], ("figure1",), PAPERS["gupta2022"].scale("quick"), folder)
    role = role_of("BNN-WQ", architecture)
    network = network_of(plan, role)
    bench = Bench((network, network_of(plan, role_of("REF", architecture))))
    ((threat, attacks),) = transfer(bench, network)
    store = Store.load(plan.folder(network.name, "200"))
    assert agrees(store, network, Cell("transfer", threat, attacks["transfer"], 200, 0, ()))
    other = Cell("transfer", threat, attacks["pgd"], 200, 0, ())
    assert not agrees(store, network, other)
    store.close()


def test_what_was_fitted_for_a_record_is_not_fitted_again(tmp_path, filled, monkeypatch):
    done = filled["gupta2022"]
    plan = plan_of("gupta2022", tmp_path, "table4", only={"table4": [("BNN-WQ*", "ResNet-18")]})
    (role,) = plan.roles()
    network, folder = network_of(plan, role), plan.folder("digits-mdtanhs", "10")
    shutil.copytree(done.folder("digits-mdtanhs", "10"), folder)
    store = Store.load(folder)
    (fitted,) = {
        record.settings("pgd_plus_njs")["temperature"]["beta1"]
        for record in store.records()
        if "pgd_plus_njs" in record.attacks
    }
    identity = dict(store.identity)
    store.close()
    other, same = Bench((network,)), Bench((network,))
    recall_njs(plan, other, network, {**identity, "seed": 1})  # another network's record, or another seed's
    recall_njs(plan, same, network, identity)
    assert not other.fitted
    assert same.fitted["digits-mdtanhs"] == Njs(fitted, unit="normalized")
    monkeypatch.setattr(Njs, "fit", None)  # whatever calls it fails
    before = _outcomes(folder)
    fill(plan, silent)
    assert _outcomes(folder) == before > 0


def _outcomes(folder):
    store = Store.load(folder)
    count = sum(len(record.outcomes(name)) for record in store.records() for name in record.attacks)
    store.close()
    return count
