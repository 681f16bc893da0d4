"""Attacks from elsewhere by name, and functions of the user's own."""

import pytest

import quantattack as qa
from attacks.adapters.peers import need
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.cli.attacks import Context, attack_named, attacks_named
from quantattack.reading import literal
from quantattack.record.description import describe

THREAT = qa.Threat(qa.Linf(), 0.1)


def named(text):
    images, _ = qa.load_data("digits")
    return attack_named(text, Context(qa.load_model("digits-float"), THREAT, images, "digits"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3", 3), ("0.5", 0.5), ("1e-3", 1e-3), ("8/255", 8 / 255), ("true", True), ("False", False)),
        *(("none", None), ("native", "native"), ("apgd-ce+square", "apgd-ce+square"), ("1/0", "1/0")),
    ],
)
def test_a_setting_s_text_becomes_its_value(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


def test_a_function_of_the_user_s_own_is_called_with_the_threat(tmp_path, monkeypatch):
    (tmp_path / "own_attacks.py").write_text(
        "import quantattack as qa\n"
        "def short(threat):\n    return qa.pgd(threat, steps=3)\n"
        "def nothing(threat):\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert named("own_attacks:short") == named("own_attacks.py:short") == qa.pgd(THREAT, steps=3)
    assert named("own_attacks:short[scaled=gap]") == OnScaled(qa.pgd(THREAT, steps=3), qa.Gap())
    for text, words in (
        ("own_attacks:nothing", "must return an attack"),
        ("own_attacks:absent", "cannot be made"),
        ("nowhere_at_all:short", "cannot be made"),
        ("own_attacks:short[steps=3]", "takes no settings"),
        ("own_attacks:short[scaled=hot]", "unknown temperature"),
    ):
        with pytest.raises(qa.InputError, match=words) as refusal:
            named(text)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("autoattack:standard[queries=3]", "members, package and steps"), ("foolbox:LinfPGD[steps]", "write it like")],
)
def test_settings_are_read_before_the_library(text, words):
    with pytest.raises(qa.InputError, match=words):
        named(text)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ("foolbox", "foolbox:LinfDeepFoolAttack[steps=100]"),
        ("foolbox", "foolbox:LinfinityBrendelBethgeAttack[steps=1000,lr=1e-3]"),
        ("art", "art:DeepFool[max_iter=20]"),
        ("torchattacks", "torchattacks:PGD[alpha=2/255,scaled=gap]"),
        ("autoattack", "autoattack:custom[members=apgd-dlr]"),
        ("autoattack", "autoattack:standard"),
        ("secml", "secml:PGD[num_steps=5,step_size=0.05,backend=native]"),
    ],
)
def test_a_library_s_attack_is_made_by_its_name(extra, text):
    need(extra)
    attack = named(text)
    inside = attack.attack if isinstance(attack, OnScaled) else attack
    assert inside.threat == THREAT
    assert isinstance(attack, OnScaled) == ("scaled" in text)
    assert "scaled" not in getattr(inside, "settings", {})


@pytest.mark.parametrize(
    "names",
    [
        "fgsm,fgsm_plus_fixed,fgsm_plus_njs,fgsm_plus_hns,pgd,pgd_plus_fixed,pgd_plus_njs,pgd_plus_hns",  # table 4
        "fgsm,fgsm_dlr,fgsm_plus_njs,fgsm_plus_hns,pgd,pgd_dlr,pgd_plus_njs,pgd_plus_hns",  # table 5
        "apgd_dlr,square,pgd_plus_njs,pgd_plus_hns",  # table 7
    ],
)
def test_the_attacks_of_the_paper_s_comparisons_have_names(names):
    """Gupta and Ajanthan, 2022, tables 4, 5 and 7; tables 4 and 9 add foolbox's two, which are above."""
    images, _ = qa.load_data("digits")
    context = Context(qa.load_model("digits-float"), THREAT, images, "digits")
    assert list(attacks_named(names, context)) == names.split(",")


SOURCE = """
import torch

class Steps:
    def __call__(self, model, images, labels):
        return (images + {step}).clamp(0, 1)

def steps(threat):
    return Steps()

def plain(threat):
    return whole

def whole(model, images, labels):
    return (images - {step}).clamp(0, 1)
"""


@pytest.mark.parametrize("maker", ["steps", "plain"])
def test_an_edited_attack_of_the_user_s_own_is_another(tmp_path, maker):
    recorded = []
    for folder, step in (("a", 0.1), ("b", 0.1), ("c", 0.001)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own_steps.py").write_text(SOURCE.format(step=step))
        attack = named(f"{tmp_path / folder / 'own_steps.py'}:{maker}")
        recorded.append(describe(attack))
        assert describe(attack) == recorded[-1]
    assert recorded[0] == recorded[1]
    assert recorded[0] != recorded[2]
