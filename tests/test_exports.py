"""The public names are those intended, and importing them stays light."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import quantattack

PROMISED = {
    *("Threat", "Linf", "L2", "L1", "Ascent", "Restarts", "Ensemble", "Fixed", "Njs", "Hns", "Gap", "Quantized"),
    *("fgsm", "pgd", "fgsm_plus", "pgd_plus", "pqgd", "square", "standard"),
    *("cross_entropy", "log_odds", "margin", "dlr", "targeted"),
    *("evaluate", "Record", "load_model", "load_data", "quantize", "freeze"),
}


def test_every_promised_name_is_public():
    assert set(quantattack.__all__) >= PROMISED


def test_all_is_sorted_without_repeats_and_resolves():
    assert len(set(quantattack.__all__)) == len(quantattack.__all__)
    for name in quantattack.__all__:
        assert getattr(quantattack, name) is not None


def test_each_name_is_imported_from_where_type_checkers_see_it():
    checked = [node for node in ast.parse(Path(quantattack.__file__).read_text()).body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for branch in checked for node in branch.body for alias in node.names}
    assert {name: f"quantattack.{module}" for name, module in quantattack._HOME.items()} == seen
    assert set(seen) == set(quantattack.__all__)


def test_rooms_are_reached_from_the_package_alone():
    code = "import quantattack as qa; print(qa.deployed.load.__name__, qa.nn.quantizers.Sign.__name__, *dir(qa))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said[:2] == ["load", "Sign"]
    assert set(said) > {*quantattack.__all__, "deployed", "record"}


def test_nothing_else_is_public_at_the_top():
    modules = {name for name in vars(quantattack) if f"quantattack.{name}" in sys.modules}
    public = {name for name in vars(quantattack) if not name.startswith("_")} - modules
    helpers = {
        "version",
        "Any",
        "warn_renamed",
        "TYPE_CHECKING",
        "import_module",
        "keep_former_module",
        "jaxtyping",
    }  # the tests' import hook brings the last
    assert public - set(quantattack.__all__) <= helpers


@pytest.mark.parametrize(
    ("former", "name"), [("Strongest", "Ensemble"), ("Rounds", "ParticleSets"), ("Nearest", "MinimumNorm")]
)
def test_a_former_name_works_and_says_the_new_one(former: str, name: str):
    with pytest.warns(DeprecationWarning, match=f"quantattack.{former} is now quantattack.{name}"):
        assert getattr(quantattack, former) is getattr(quantattack, name)


def test_the_quantizers_former_module_works_and_says_the_new_one():
    from quantattack.nn.quantizers import MdTanhS

    with pytest.warns(DeprecationWarning, match=r"quantattack\.nn\.quantizers\.MdTanhS"):
        from quantattack.quantizers import MdTanhS as Former
    assert Former is MdTanhS


def test_a_name_that_nothing_has_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        quantattack.nothing  # noqa: B018


@pytest.mark.parametrize("heavy", ["matplotlib", "sklearn", "typer", "rich", "jinja2", "scipy", "yaml"])
def test_importing_every_name_leaves_the_heavy_out(heavy: str, imported: set[str]):
    assert "torch" in imported
    assert heavy not in imported


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules that the public names bring in."""
    return modules_after("from quantattack import *")


def modules_after(code: str) -> set[str]:
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_alone_leaves_torch_out():
    assert not {"torch", "numpy"} & modules_after("import quantattack; quantattack.__version__")


def test_the_commands_leave_out_what_most_of_them_do_not_need():
    heavy = ["jaxtyping", "matplotlib", "pyarrow", "pydantic", "ray", "scipy", "sklearn", "torch", "yaml"]
    code = f"import quantattack.cli.commands, sys; print(*({{*{heavy}}} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "quantattack", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("evaluate", "train", "show", "report", "list"))
    assert done.stderr == ""


def test_the_version_is_the_distribution_s():
    assert quantattack.__version__ == version("quantattack")
