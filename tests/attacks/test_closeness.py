"""What attacks of a suite hand on, and budgets that follow from it."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.base import attacked_images, batch_of, search, traits_around, without_steps
from quantattack.attacks.class_pair import ClassPair, fitted
from quantattack.attacks.closeness import Probe, WhileClose
from quantattack.attacks.losses import margin
from quantattack.attacks.norms import Linf
from quantattack.attacks.reached import Reached
from quantattack.attacks.recipes import pgd
from quantattack.attacks.success import misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import Ensemble
from quantattack.errors import InputError

THREAT = Threat(Linf(), 0.5)
LABELS = torch.zeros(3, dtype=torch.long)


class Line(nn.Module):
    """Three classes on one pixel x: logits 1 - x, x and -1, so that the margin is 1 - 2x."""

    def forward(self, images):
        x = images.flatten(1).sum(1)
        return torch.stack([1 - x, x, torch.full_like(x, -1.0)], 1)


@dataclass(frozen=True)
class Painter:
    """Returns images of given shades, and notes what it was handed."""

    shades: tuple[float, ...]
    seen: list = field(default_factory=list)
    __call__ = attacked_images

    def trace(self, model, batch):
        self.seen.append(batch)
        return without_steps(torch.tensor(self.shades)[batch.rng.index].view(-1, 1))

    @property
    def traits(self):
        return traits_around(pgd(THREAT))

    def passes(self, classes):
        return 0

    def to_the_end(self):
        return self


CLEAN = torch.zeros(3, 1)


def test_the_closest_image_and_the_least_gaps_are_handed_on():
    first, second, last = Painter((0.1, 0.3, 0.2)), Painter((0.2, 0.1, 0.2)), Painter((0.0, 0.0, 0.0))
    found = search(Ensemble({"first": first, "second": second, "last": last}), Line(), batch_of(CLEAN, LABELS))
    assert first.seen[0].reached is None
    reached = last.seen[0].reached
    assert torch.allclose(reached.images[:, 0], torch.tensor([0.2, 0.3, 0.2]))
    assert torch.allclose(reached.nearness, torch.tensor([-0.6, -0.4, -0.6]))
    assert torch.allclose(reached.gaps[:, 1], torch.tensor([0.6, 0.4, 0.6]))
    assert torch.allclose(reached.gaps[:, 2], torch.tensor([1.8, 1.7, 1.8]))
    assert torch.allclose(found.reached.images, reached.images)


def test_a_suite_inside_a_suite_hands_on_what_its_members_reached():
    last = Painter((0.0, 0.0, 0.0))
    inner = Ensemble({"near": Painter((0.4, 0.4, 0.4)), "far": Painter((0.1, 0.1, 0.1))})
    search(Ensemble({"inner": inner, "last": last}), Line(), batch_of(CLEAN, LABELS))
    assert torch.allclose(last.seen[0].reached.images, torch.full((3, 1), 0.4))


def test_only_close_images_are_attacked_and_the_others_keep_their_closest():
    """The margins reached are 0.8, 0.4 and 0.6 of the clean ones."""
    inner = Painter((0.45, 0.45, 0.45))
    suite = Ensemble({"first": Painter((0.1, 0.3, 0.2)), "close": WhileClose(inner, 0.5)})
    found = search(suite, Line(), batch_of(CLEAN, LABELS))
    assert inner.seen[0].rng.index.tolist() == [1]
    assert torch.allclose(found.images[:, 0], torch.tensor([0.1, 0.45, 0.2]))
    assert torch.allclose(found.reached.images[:, 0], torch.tensor([0.1, 0.45, 0.2]))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_who_is_close_does_not_depend_on_the_scale_of_the_logits(scale):
    inner = Painter((0.0, 0.0, 0.0))
    suite = Ensemble({"first": Painter((0.1, 0.3, 0.2)), "close": WhileClose(inner, 0.7)})
    search(suite, lambda images: scale * Line()(images), batch_of(CLEAN, LABELS))
    assert inner.seen[0].rng.index.tolist() == [1, 2]


def test_alone_it_attacks_every_image():
    inner = Painter((0.1, 0.1, 0.1))
    search(WhileClose(inner, 0.01), Line(), batch_of(CLEAN, LABELS))
    assert len(inner.seen[0]) == 3


@pytest.mark.parametrize("share", [0, -0.1, 1.5, True, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        WhileClose(pgd(THREAT), share)


def test_a_probe_is_run_where_nothing_is_known():
    probe, inner = Painter((0.3, 0.1, 0.2)), Painter((0.45, 0.45, 0.45))
    attack = Probe(WhileClose(inner, 0.5), probe)
    found = search(attack, Line(), batch_of(CLEAN, LABELS))
    assert [len(seen) for seen in probe.seen] == [3]
    assert inner.seen[0].rng.index.tolist() == [0]
    assert torch.allclose(found.images[:, 0], torch.tensor([0.45, 0.1, 0.2]))
    search(Ensemble({"first": Painter((0.1, 0.3, 0.2)), "close": attack}), Line(), batch_of(CLEAN, LABELS))
    assert len(probe.seen) == 1
    assert inner.seen[1].rng.index.tolist() == [1]


def test_rivals_are_ranked_by_what_was_reached():
    """At the start class 1 has the largest other logit; an earlier attack brought class 3 nearer."""
    weight = torch.tensor([[0.0], [0.0], [-1.0], [3.0]])

    def model(images):
        return images @ weight.T + torch.tensor([1.0, 0.5, 0.2, 0.0])

    clean, labels = torch.zeros(2, 1), torch.zeros(2, dtype=torch.long)
    batch = batch_of(clean, labels)
    pair = ClassPair(1, by="reached")
    assert fitted(pair, model, clean, batch).rival.tolist() == [1, 1]
    images = torch.full((2, 1), 0.25)
    reached = Reached.by(misclassified, images, model(images), labels)
    known = batch_of(clean, labels)
    object.__setattr__(known, "reached", reached)
    assert fitted(pair, model, clean, known).rival.tolist() == [3, 3]
    assert fitted(ClassPair(2, by="reached"), model, clean, known).rival.tolist() == [1, 1]
    assert fitted(ClassPair(1), model, clean, known).rival.tolist() == [1, 1]


def test_an_unknown_order_of_rivals_is_refused():
    with pytest.raises(InputError, match="by='reached'"):
        ClassPair(1, by="gradient")


def test_what_a_pair_does_by_default_is_recorded_as_before():
    from quantattack.record.description import describe

    walk = Apgd(threat=THREAT, steps=3, loss=margin, pair=ClassPair(2))
    assert describe(walk)["temperature"] == {"part": "Rival", "rank": 2, "ratio": False}
