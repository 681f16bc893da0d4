"""The commands do what they say; what they refuse is in test_bad_input."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from quantattack import Hns, InputError, Linf, Record, Threat, pgd_plus
from quantattack.cli import main
from quantattack.cli.attacks import ATTACKS, Context, attack_named, attacks_named
from quantattack.record.store import Store

KEYS = {"model", "data", "images", "clean", "attacks", "worst_case", "masking_gap", "flags", "finished", "done"}
NAMES = {
    *("fgsm", "pgd", "square", "pqgd"),
    *(f"{recipe}_plus_{part}" for recipe in ("fgsm", "pgd") for part in ("njs", "hns", "gap", "fixed")),
    *(f"{recipe}_{loss}" for recipe in ("fgsm", "pgd") for loss in ("dlr", "margin", "log_odds")),
}
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def say(capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command that succeeds in an empty folder, and return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        said = capsys.readouterr()
        assert not end.value.code, said.err
        assert said.err == ""
        return str(said.out)

    return run


def short(attacks: str, *more: str) -> list[str]:
    return ["evaluate", "--images", "16", "--attacks", attacks, "--out", "run", *more]


def test_every_named_attack_runs(say: Any):
    listed = {row["name"]: row["settings"] for row in json.loads(say("list", "attacks", "--json"))}
    assert set(listed) >= NAMES | {"standard"}
    cut = {"steps": "[steps=2]", "queries": "[queries=3]"}
    named = [name + next((cut[key] for key in cut if key in listed[name]), "") for name in ATTACKS]
    say(*short(",".join(named)))
    record = Record.load("run")
    assert record.attacks == named
    assert record.finished
    assert record.images == 16
    assert json.loads(say("show", "run", "--json"))["masking_gap"] is not None


def test_standard_is_run_as_its_members(say: Any):
    listed = json.loads(say("list", "attacks", "--json"))
    members = ["pgd", "gap", "stripes", "square", "log_odds", "rivals", "close"]
    assert next(row["about"] for row in listed if row["name"] == "standard").endswith(", ".join(members))
    say("evaluate", "digits-mdtanhs-bn", "--images", "8", "--out", "run")
    assert Record.load("run").attacks == members
    say("evaluate", "digits-mdtanhs-bn", "--images", "8", "--out", "l1", "--norm", "L1", "--radius", "20")
    assert Record.load("l1").attacks == members


def test_settings_in_brackets_reach_the_attack(say: Any):
    say(
        *short(
            "pgd[steps=40,restarts=20],pqgd[ levels = 7 , steps=2],pgd[random_start=false,step_size=1/64]",
            "--images",
            "2",
        )
    )
    record = Record.load("run")
    assert record.attacks[0] == "pgd[steps=40,restarts=20]"
    first, second, third = (record.settings(name) for name in record.attacks)
    assert (first["restarts"], first["attack"]["steps"]) == (20, 40)
    assert (second["direction"]["levels"], second["steps"]) == (7, 2)
    assert (third["random_start"], third["step_size"]) == (False, 1 / 64)
    assert first["attack"]["loss"] == "cross_entropy"


def test_particles_and_quantized_gradients_take_their_settings(say: Any):
    blob = "blob_qg[steps=2,particles=5,normalized=true,levels=50,rounding=stochastic,broken=freeze,kernel_sign=1]"
    say(*short(f"{blob},daa_dgf[steps=2,normalized=true],pqgd[steps=2,rounding=stochastic]"))
    record = Record.load("run")
    rounds, dgf, pqgd = (record.settings(name) for name in record.attacks)
    (transform,) = rounds["attack"]["transforms"]
    assert (transform["normalized"], transform["kernel_sign"], transform["c"]) == (True, 1, 1.1)
    assert (rounds["particles"], rounds["broken"]) == (5, "freeze")
    assert rounds["attack"]["direction"] == pqgd["direction"] | {"levels": 50}
    assert pqgd["direction"] == {"part": "Stochastic", "levels": 100}
    assert dgf["attack"]["transforms"] == [{"part": "Dgf", "c": -0.001, "normalized": True}]


def test_a_papers_attacks_are_named_with_its_settings():
    images = torch.rand(4, 1, 28, 28)
    named = {
        data: attacks_named("fgsm,liu2020[restarts=50]", Context(torch.nn.Flatten(), Threat(Linf(), 0.3), images, data))
        for data in ("mnist", "fashion-mnist", "cifar10")
    }
    tail = "steps=100,step_size=2/255,restarts=50]"
    walks = [f"pgd[{tail}", *(f"pqgd[levels={levels},{tail}" for levels in (100, 200, 500, 1000))]
    assert list(named["cifar10"]) == ["fgsm", *walks]
    kinds = ["fgsm", "pgd", "pqgd", "pqgd", "daa_blob", "blob_qg", "blob_qg"]
    assert [name.partition("[")[0] for name in named["fashion-mnist"]] == kinds
    (mnist,) = (attack for name, attack in named["mnist"].items() if name.startswith("daa_blob"))
    assert (mnist.restarts, mnist.attack.attack.steps, mnist.attack.attack.step_size) == (50, 200, 0.01)
    once = attacks_named("liu2020", Context(torch.nn.Flatten(), Threat(Linf(), 0.2), images, "fashion-mnist"))
    assert next(iter(once)) == "pgd[steps=100,step_size=0.01]"
    for wrong in ("liu2020[steps=3]", "liu2020[restarts=0]", "liu2020[restarts=two]", "liu2020[", "liu2020[restarts=2"):
        with pytest.raises(InputError, match="takes one setting, the restarts"):
            attacks_named(wrong, Context(torch.nn.Flatten(), Threat(Linf(), 0.3), images, "mnist"))


def test_temperatures_take_their_settings(say: Any):
    names = ["pgd_plus_hns[steps=1,points=9]", "pgd_plus_fixed[steps=1,beta=0.5]", "fgsm_plus_gap[c=3]"]
    njs = ["fgsm_plus_njs", "fgsm_plus_njs[rho=0.1]", "fgsm_plus_njs[unit=normalized]"]
    say(*short(",".join([*names, "fgsm_plus_hns[paper=true]", *njs])))
    record = Record.load("run")
    temperatures = [record.settings(name)["temperature"] for name in record.attacks]
    hns, fixed, gap, paper, pixel, rho, normalized = temperatures
    assert (hns["points"], hns["published"], fixed["beta"], gap["c"]) == (9, False, 0.5, 3.0)
    assert (paper["points"], paper["published"]) == (100, True)
    assert (pixel["rho"], rho["rho"], pixel["unit"], normalized["unit"]) == (0.01, 0.1, "pixel", "normalized")
    assert pixel["beta1"] == rho["beta1"] != normalized["beta1"]


@pytest.mark.parametrize(("classes", "rivals"), [(10, None), (21, None), (22, 20), (1000, 20)])
def test_hns_looks_at_twenty_rivals_where_there_are_more(classes: int, rivals: int | None):
    images = torch.rand(3, 1, 4, 4)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, classes))
    context = Context(model, Threat(Linf(), 0.2), images, "digits")
    assert attack_named("pgd_plus_hns", context) == pgd_plus(Threat(Linf(), 0.2), Hns(rivals=rivals))
    assert attack_named("pgd_plus_hns[rivals=999]", context) == pgd_plus(Threat(Linf(), 0.2), Hns())
    assert attack_named("pgd_plus_hns[rivals=5]", context) == pgd_plus(Threat(Linf(), 0.2), Hns(rivals=5))
    assert attack_named("pgd_plus_hns[paper=true]", context) == pgd_plus(Threat(Linf(), 0.2), Hns.paper())


def test_njs_is_fitted_on_the_same_probe_however_few_are_attacked(say: Any):
    for count in ("2", "30"):
        say("evaluate", "--images", count, "--attacks", "fgsm_plus_njs", "--out", count)
    few, many = (Record.load(count).settings("fgsm_plus_njs")["temperature"]["beta1"] for count in ("2", "30"))
    assert few == many


def test_several_models_and_radii_are_one_record(say: Any):
    out = say(*short("fgsm", "digits-mdtanhs", "digits-float", "--radius", "0.1, 51/255,0.1"))
    records = Store.load("run").records()
    found = [(record.subject.model, record.threat["radius"]) for record in records]
    assert found == [("digits-mdtanhs", 0.1), ("digits-mdtanhs", 0.2), ("digits-float", 0.1), ("digits-float", 0.2)]
    assert "record: run" in out
    shown = json.loads(say("show", "run", "--json"))
    assert [row["model"] for row in shown] == [model for model, _ in found]
    assert [row["threat"]["radius"] for row in shown] == [radius for _, radius in found]


def test_show_json_has_the_promised_keys(say: Any):
    say(*short("pgd[steps=2],square[queries=3]"))
    shown = json.loads(say("show", "run", "--json"))
    assert set(shown) == KEYS | {"threat", "doubts"}
    record = Record.load("run")
    assert (shown["model"], shown["data"], shown["images"]) == ("digits-mdtanhs", "digits", 16)
    assert shown["attacks"] == {name: record.robust(name) for name in record.attacks}
    assert (shown["clean"], shown["worst_case"]) == (record.clean, record.worst_case)
    assert shown["masking_gap"] == record.robust("pgd[steps=2]") - record.worst_case
    assert shown["flags"] == record.flags
    assert shown["finished"] is True


def test_there_is_no_masking_gap_without_pgd(say: Any):
    say(*short("fgsm,pgd_margin[steps=2]"))
    assert json.loads(say("show", "run", "--json"))["masking_gap"] is None


def test_show_prints_every_number_and_flag(say: Any):
    printed = say(*short("pgd[steps=3],pgd_plus_gap[steps=3]"))
    shown = say("show", "run")
    record = Record.load("run")
    for name in record.attacks:
        assert f"{100 * record.robust(name):.1f}" in shown
    assert all(code in shown for code in record.codes)
    assert {"masked", "zero_gradient"} <= set(record.codes)
    assert "PGD's number cannot be trusted" in shown
    assert shown.strip() in printed


def test_a_record_without_a_folder_of_its_own_is_named_after_what_it_is(say: Any):
    evaluate = ["evaluate", "--images", "8", "--attacks", "fgsm"]
    folders = [
        say(*evaluate, *more).split("record: ")[1].strip() for more in ([], [], ["--seed", "1"], ["digits-float"])
    ]
    assert all(re.fullmatch(r"runs/digits-(mdtanhs|float)-digits-[0-9a-f]{8}", folder) for folder in folders)
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3
    several = say(*evaluate, "--radius", "0.1,0.2").split("record: ")[1].strip()
    assert re.fullmatch(r"runs/2-evaluations-digits-[0-9a-f]{8}", several)


def test_the_images_are_the_first_of_the_test_split(say: Any):
    say("evaluate", "--images", "5", "--attacks", "fgsm", "--out", "run")
    assert Record.load("run").indices.tolist() == [0, 1, 2, 3, 4]
    say("evaluate", "--attacks", "fgsm", "--out", "all")
    assert Record.load("all").images == 500


def test_defaults_are_the_data_set_s_radius_and_the_carried_network(say: Any):
    radii = {row["name"]: row for row in json.loads(say("list", "data", "--json"))}["digits"]
    for norm in ("linf", "l2", "l1"):
        say("evaluate", "--images", "4", "--attacks", "fgsm", "--norm", norm, "--out", norm)
        record = Record.load(norm)
        assert record.subject.model == "digits-mdtanhs"
        assert record.threat["radius"] == radii[norm]
        assert record.threat["norm"].lower() == norm


MODULE = """
import torch
from quantattack import load_model

def network():
    return load_model("digits-float")
"""


def test_a_model_is_made_by_a_function_in_the_working_directory(say: Any, tmp_path: Path):
    (tmp_path / "my_networks.py").write_text(MODULE)
    say(*short("pgd[steps=2]", "my_networks:network", "--data", "digits"))
    own = Record.load("run")
    say("evaluate", "digits-float", "--images", "16", "--attacks", "pgd[steps=2]", "--out", "zoo")
    zoo = Record.load("zoo")
    assert own.subject.model == "my_networks:network"
    assert own.column("pgd[steps=2]", "margin").tolist() == zoo.column("pgd[steps=2]", "margin").tolist()


def test_a_model_is_loaded_from_a_checkpoint(say: Any, tmp_path: Path):
    from quantattack.nn.zoo import path_of

    (tmp_path / "mine.safetensors").write_bytes(path_of("digits-float").read_bytes())
    say("evaluate", "mine.safetensors", "--images", "8", "--attacks", "fgsm")
    assert [path.name[:12] for path in (tmp_path / "runs").iterdir()] == ["mine-digits-"]


def test_lists_have_their_shapes(say: Any):
    models = json.loads(say("list", "models", "--json"))
    columns = {"name", "data", "architecture", "quantizer", "adversarial", "clean", "bytes", "where"}
    assert all(set(row) == columns for row in models)
    by_name = {row["name"]: row for row in models}
    assert by_name["digits-float"]["where"] == "carried"
    assert by_name["digits-float"]["quantizer"] == "float"
    assert by_name["digits-mdtanhs"]["clean"] >= 0.95
    assert all(row["bytes"] < 1_000_000 for row in models if row["data"] == "digits")
    data = json.loads(say("list", "data", "--json"))
    assert {"digits", "mnist", "cifar10", "cifar100"} <= {row["name"] for row in data}
    assert all(row["linf"] > 0 and row["l2"] > 0 and row["l1"] > 0 for row in data)
    assert all(set(row) == {"name", "about", "settings"} for row in json.loads(say("list", "attacks", "--json")))


@pytest.mark.parametrize("kind", ["models", "data", "attacks"])
def test_lists_print_every_name(kind: str, say: Any):
    rows, shown = json.loads(say("list", kind, "--json")), say("list", kind)
    assert all(row["name"] in shown for row in rows)


def test_report_writes_a_page(say: Any, tmp_path: Path):
    say(*short("pgd[steps=2],square[queries=3]"))
    assert "report:" in say("report", "run")
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()


def test_no_command_is_help(say: Any):
    assert "Usage: quantattack" in say()
    assert "--radius" in say("evaluate", "--help")


def test_the_version_is_said(say: Any):
    import quantattack

    assert say("--version").startswith(f"quantattack {quantattack.__version__}, torch ")


def test_a_model_s_own_code_that_leaves_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaving_networks.py").write_text("import sys\n\ndef network():\n    sys.exit(7)\n")
    with pytest.raises(SystemExit) as end:
        main(("evaluate", "leaving_networks:network", "--data", "digits"))
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: the model leaving_networks:network cannot be made: SystemExit: 7")
