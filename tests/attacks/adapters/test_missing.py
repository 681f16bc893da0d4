"""Each adapter refuses an absent library in one line with the extra that brings it."""

import sys

import pytest

import quantattack as qa
from quantattack.attacks import adapters

THREAT = qa.Threat(qa.Linf(), 0.1)
ADAPTERS = {
    "foolbox": (lambda: adapters.Foolbox(THREAT, "LinfPGD"), ("foolbox",)),
    "art": (lambda: adapters.Art(THREAT, "DeepFool"), ("art",)),
    "torchattacks": (lambda: adapters.TorchAttacks(THREAT, "PGD"), ("torchattacks",)),
    "autoattack": (lambda: adapters.AutoAttack(THREAT), ("pyautoattack", "autoattack")),
    "secml": (lambda: adapters.Secml(THREAT, "PGD"), ("secmlt",)),
}


@pytest.mark.parametrize("extra", ADAPTERS)
def test_an_absent_library_is_refused_with_the_extra_s_name(extra, monkeypatch):
    make, modules = ADAPTERS[extra]
    for module in modules:
        for held in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
            monkeypatch.delitem(sys.modules, held)
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(qa.InputError) as refusal:
        make()
    assert f"quantattack[{extra}]" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_each_extra_is_one_that_can_be_installed():
    from pathlib import Path

    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in text for extra in ADAPTERS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"version": "strong"}, "version must be"), ({"version": "custom"}, "custom"), ({"members": "square"}, "custom")],
)
def test_autoattack_s_versions_are_checked_before_the_library(settings, words):
    with pytest.raises(qa.InputError, match=words):
        adapters.AutoAttack(THREAT, **settings)
