"""Attacks from elsewhere by name, and functions of the user's own."""

import pytest
import torch

import quantattack as qa
from attacks.adapters.peers import need
from quantattack.attacks.base import adopt
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.cli.attacks import Context, attack_named, attacks_named
from quantattack.reading import literal
from quantattack.record.description import describe
from quantattack.report.trust import doubts

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
        ("own_attacks:nothing", "own_attacks:nothing made int, which is no attack; own_attacks:nothing must be"),
        ("own_attacks:absent", "cannot be made"),
        ("nowhere_at_all:short", "cannot be made"),
        ("own_attacks:short[steps=3]", "unknown setting of own_attacks:short 'steps'"),
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


OWN = """
import numpy as np
import quantattack as qa
import torch
from dataclasses import dataclass

number = 3

def none():
    return attack

def two(threat):
    return lambda model, images: images

def failing(threat):
    raise ValueError("oh")

def attack(model, images, labels, step=0.1):
    return (images + step).clamp(0, 1)

def maker(threat, steps=3, restarts=1):
    return qa.pgd(threat, steps=steps, restarts=restarts)

class Plain:
    def __call__(self, model, images, labels):
        return images

@dataclass(frozen=True)
class Own:
    threat: object
    steps: int = 3

    def __call__(self, model, images, labels, start=None, rng=None, radius=None):
        return images

@dataclass(frozen=True)
class Margin(Own):
    loss: object = qa.margin

def drawing(model, images, labels):
    return (images + 0.1 * torch.randn_like(images).sign()).clamp(0, 1)

def numpys(model, images, labels):
    noise = np.random.default_rng().choice([-0.1, 0.1], size=tuple(images.shape))
    return (images + torch.tensor(noise, dtype=images.dtype)).clamp(0, 1)

def still(model, images, labels, start, rng, radius):
    return (images + 0.1 * rng.signs(0, 0, images.shape[1:])).clamp(0, 1)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A file of attacks in the working directory."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none", "own.py:none cannot be called with the threat: too many positional arguments; own.py:none must be"),
        ("two", "own.py:two made function, which is no attack; own.py:two must be a function attack(model, images"),
        ("number", "own.py:number is of type int; own.py:number must be"),
        ("Plain", "own.py:Plain cannot be called with the threat"),
        ("failing", "the attack own.py:failing cannot be made: ValueError: oh (own.py, line 16)"),
        ("maker[stepz=4]", "unknown setting of own.py:maker 'stepz'; did you mean 'steps'?"),
        ("attack[stop=4]", "unknown setting of own.py:attack 'stop'; did you mean 'step'?"),
        ("Own[stepz=4]", "did you mean 'steps'?"),
    ],
)
def test_what_is_no_attack_is_named_with_what_one_is(own, name, says):
    with pytest.raises(qa.InputError) as refusal:
        named(f"own.py:{name}")
    assert says in str(refusal.value)
    assert "peers.py" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_own_attack_takes_settings_as_an_architecture_does(own):
    assert named("own.py:maker[steps=7]") == qa.pgd(THREAT, steps=7)
    assert describe(named("own.py:Own[steps=7]"))["steps"] == 7
    images, labels = torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.long)
    for name, step in (("attack", 0.1), ("attack[step=1/4]", 0.25)):
        assert torch.equal(named(f"own.py:{name}")(None, images, labels), (images + step).clamp(0, 1))
    assert describe(named("own.py:attack[step=0.25]"))["keywords"] == {"step": 0.25}


def evaluated(name, **how):
    images, labels = qa.load_data("digits")
    attacks = {name: named(f"own.py:{name}")}
    return qa.evaluate(qa.load_model("digits-float"), images[:20], labels[:20], attacks, THREAT, **how)


@pytest.mark.parametrize("name", ["attack", "attack[step=0.05]", "Own", "Own[steps=4]", "drawing"])
def test_the_gate_lets_no_own_attack_pass_that_does_not_say_what_it_climbs(own, name):
    assert list(doubts(evaluated(name))) == ["unchecked"]


def test_the_gate_believes_an_own_attack_that_states_its_loss(own):
    assert doubts(evaluated("Margin")) == {}


def test_a_flag_says_how_settings_are_recorded(own):
    words = evaluated("attack").codes["opaque"]
    assert "settings that are fields of a dataclass which is the attack are recorded" in words
    assert "opaque" not in evaluated("Own").codes


def test_random_numbers_of_an_own_attack_are_seeded_and_flagged(own):
    first, again = (evaluated("drawing", batch_size=8) for _ in range(2))
    assert list(first.column("drawing", "margin")) == list(again.column("drawing", "margin"))
    assert list(first.column("drawing", "margin")) != list(evaluated("drawing", seed=1).column("drawing", "margin"))
    assert "verdicts depend on how the images are cut" in first.codes["random_attack"]
    assert "two runs differ" in evaluated("numpys").codes["random_attack"]
    for quiet in ("still", "attack", "Own", "maker"):
        assert "random_attack" not in evaluated(quiet).codes


def test_an_attack_leaves_the_global_generators_as_they_were(own):
    attack, images = adopt(named("own.py:drawing")), torch.rand(3, 1, 8, 8)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    attack(lambda x: x.flatten(1), images, torch.zeros(3, dtype=torch.long))
    assert torch.equal(torch.rand(2), expected)


def test_a_file_alone_is_answered_with_what_is_in_it(own):
    with pytest.raises(qa.InputError, match=r"name the attack in the file, .*: own.py:none or own.py:two or"):
        named("own.py")
