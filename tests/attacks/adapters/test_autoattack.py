"""The original repository's interface, with a stand-in of its signatures: it is on no package index."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

import quantattack as qa
from quantattack.attacks import adapters

THREAT = qa.Threat(qa.L2(), 0.3)


class AutoAttack:
    """The constructor and the call of the repository's class; it moves every image by half the radius."""

    made: list["AutoAttack"] = []  # noqa: RUF012

    def __init__(
        self, model, norm="Linf", eps=0.3, seed=None, verbose=True, attacks_to_run=[], version="standard",  # noqa: B006
        is_tf_model=False, device="cuda", log_path=None,
    ):  # fmt: skip
        self.given = {"norm": norm, "eps": eps, "seed": seed, "verbose": verbose, "version": version}
        self.given |= {"attacks_to_run": attacks_to_run, "device": device}
        self.model, self.eps = model, eps
        self.apgd = SimpleNamespace(n_iter=100, n_restarts=5)
        self.fab = SimpleNamespace(n_iter=100, n_restarts=5, n_target_classes=9)
        self.apgd_targeted = SimpleNamespace(n_iter=100, n_restarts=1, n_target_classes=9)
        self.made.append(self)

    def run_standard_evaluation(self, x_orig, y_orig, bs=250, return_labels=False):
        self.batch, self.logits = bs, self.model(x_orig)
        return x_orig + self.eps / 2 / x_orig[0].numel() ** 0.5


@pytest.fixture
def made(monkeypatch):
    module = ModuleType("autoattack")
    module.AutoAttack = AutoAttack
    monkeypatch.setitem(sys.modules, "autoattack", module)
    AutoAttack.made.clear()
    return AutoAttack.made


def test_the_repository_s_interface_is_found_by_its_signature(made, network, images, labels):
    attack = adapters.AutoAttack(THREAT, "custom", "apgd-ce+square", package="autoattack", steps=50)
    clean = 0.8 * images
    found = attack(network, clean, labels)
    assert torch.allclose((found - clean).flatten(1).norm(dim=1), torch.full((24,), 0.15))
    given = made[-1].given
    assert given == {
        "norm": "L2",
        "eps": 0.3,
        "seed": 0,
        "verbose": False,
        "version": "custom",
        "attacks_to_run": ["apgd-ce", "square"],
        "device": torch.device("cpu"),
    }
    assert (made[-1].batch, made[-1].apgd.n_iter, made[-1].apgd.n_iter_2, made[-1].apgd.n_restarts) == (24, 50, 11, 1)


def test_a_breakdown_is_one_line(made, network, images, labels, monkeypatch):
    def broken(*given, **settings):
        raise IndexError("list index\nout of range")

    monkeypatch.setattr(AutoAttack, "run_standard_evaluation", broken)
    with pytest.raises(qa.InputError, match="attack failed: IndexError: list index out of range"):
        adapters.AutoAttack(THREAT, package="autoattack")(network, images, labels)


def test_rivals_are_as_many_as_the_model_has(made):
    attack = adapters.AutoAttack(THREAT, package="autoattack")
    attack(lambda images: images.flatten(1)[:, :4], torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 2]))
    assert made[-1].apgd_targeted.n_target_classes == made[-1].fab.n_target_classes == 3
    assert made[-1].apgd.n_restarts == 5  # the version's own affair


def test_each_radius_is_searched_by_itself(made, network, images, labels):
    radius = torch.tensor([0.1, 0.2] * 12, dtype=torch.float64)
    adapters.AutoAttack(THREAT, package="autoattack")(network, images * 0.8, labels, radius=radius)
    assert [adversary.eps for adversary in made] == [0.1, 0.2]
    assert [adversary.batch for adversary in made] == [12, 12]


@pytest.mark.parametrize(
    ("classes", "version", "members", "says"),
    [
        (2, "standard", "", "apgd-t needs 4 classes, the model has 2; .*members='apgd-ce.fab.square'"),
        (3, "standard", "", "apgd-t needs 4 classes, the model has 3; .*members='apgd-ce.apgd-dlr.fab.square'"),
        (2, "rand", "", "apgd-dlr needs 3 classes"),
        (2, "plus", "", "apgd-dlr needs 3 classes"),
        (3, "custom", "apgd-ce+apgd-t", "apgd-t needs 4 classes"),
        (3, "rand", "", None),
        (2, "custom", "apgd-ce+fab+square", None),
        (4, "standard", "", None),
    ],
)
def test_members_that_need_more_classes_are_named_with_those_that_do_not(made, classes, version, members, says):
    attack = adapters.AutoAttack(THREAT, version, members, package="autoattack")
    given = (lambda images: images.flatten(1)[:, :classes], torch.rand(2, 1, 4, 4), torch.tensor([0, 1]))
    if says is None:
        attack(*given)
        assert made[-1].given["version"] == version
    else:
        with pytest.raises(qa.InputError, match=says):
            attack(*given)
