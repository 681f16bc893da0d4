import pytest
import torch

from diagnostics.cases import Through, case_of, rounded
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.diagnostics.masking import CHALLENGES, LargerRadius, RandomSearch
from quantattack.diagnostics.plain_pgd import follow_pgd
from quantattack.errors import InputError

BY_NAME = {challenge.check: challenge for challenge in CHALLENGES}


def challenged(name, case):
    return BY_NAME[name](case, follow_pgd(case))


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in ("transfer",)])
def test_no_search_beats_pgd_on_an_honest_network(zoo, probe_images, name):
    found, broken = challenged(name, case_of(zoo["mdtanhs-bn"], *probe_images, radius=0.05))
    assert found.verdict == "pass"
    assert found.data["left"] >= 10
    assert found.data["broken"] <= found.data["left"]
    assert len(broken) == found.data["images"]


@pytest.mark.parametrize("name", ["exact cross entropy", "square", "stronger"])
def test_a_saturated_network_loses_to_what_sees_through(zoo, probe_images, name):
    found, broken = challenged(name, case_of(zoo["mdtanhs"], *probe_images))
    assert found.verdict == "fail"
    assert found.code == {"exact cross entropy": "saturation", "square": "black_box_wins"}.get(name, "weak_attack")
    assert int(broken.sum()) == found.data["images"] - found.data["left"] + found.data["broken"]


def test_the_float_network_beats_a_cut_model(zoo, probe_images):
    cut = Through(zoo["float"], after=torch.Tensor.detach)
    found, _ = challenged("transfer", case_of(cut, *probe_images, relative=zoo["float"]))
    assert found.code == "black_box_wins"
    with pytest.raises(InputError, match="--float"):
        challenged("transfer", case_of(cut, *probe_images))


def test_random_points_beat_pgd_where_it_stands_still(zoo, probe_images):
    found, _ = challenged("random search", case_of(rounded(zoo["float"], 4), *probe_images, radius=0.3))
    assert found.code == "random_search_wins"


@pytest.mark.parametrize(("norm", "radius"), [(Linf(), 0.2), (L2(), 1.0), (L1(), 5.0)])
def test_random_points_are_inside(zoo, probe_images, norm, radius):
    case = case_of(zoo["float"], *probe_images, radius=radius, norm=norm)
    final = RandomSearch(case.threat, 5)(case.host, case.images, case.labels, rng=case.rng)
    assert case.threat.contains(final, case.images, 1e-6).all()


@pytest.mark.parametrize(("norm", "radius"), [(Linf(), 0.2), (L2(), 1.0), (L1(), 6.0)])
def test_square_beats_pgd_where_it_stands_still(zoo, probe_images, norm, radius):
    found, _ = challenged("square", case_of(zoo["mdtanhs"], *probe_images, radius=radius, norm=norm))
    assert found.code == "black_box_wins"


@pytest.mark.parametrize(("norm", "radius"), [(Linf(), 0.05), (L2(), 0.3), (L1(), 1.0)])
def test_larger_radii_break_every_image_of_an_honest_network(zoo, probe_images, norm, radius):
    found = LargerRadius()(case_of(zoo["float"], *probe_images, radius=radius, norm=norm))
    assert found.verdict == "pass"
    assert found.data["left"] == 0


def test_larger_radii_do_not_move_a_saturated_one(zoo, probe_images):
    found = LargerRadius()(case_of(zoo["mdtanhs"], *probe_images))
    assert found.code == "radius_not_zero"
    assert list(found.data["accuracy"]) == ["0.4", "1"]
    assert LargerRadius().radii(case_of(zoo["float"], *probe_images, radius=0.8)) == (1.0, 1.0)


def test_a_longer_walk_goes_on_where_the_first_one_ended(zoo, probe_images):
    case = case_of(zoo["mdtanhs-bn"], *probe_images, radius=0.1)
    seen = follow_pgd(case)
    goes_on = BY_NAME["more iterations"].attack(case, seen)
    left = case.where(seen.survivors)
    assert torch.equal(goes_on.points, seen.final[seen.survivors])
    alone = goes_on(
        left.host, left.images[-2:], left.labels[-2:], rng=left.rng.keep(torch.arange(len(left)) >= len(left) - 2)
    )
    together = goes_on(left.host, left.images, left.labels, rng=left.rng)
    assert torch.equal(alone, together[-2:])
