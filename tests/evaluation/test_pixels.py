"""The judge's grid: what comes back is rounded and measured as bytes, whoever attacked, and saved as PNG files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import quantattack as qa
from networks import relu_network
from quantattack import L1, L2, InputError, Linf, Record, Threat, evaluate, fgsm, pgd, square, standard
from quantattack.data.sources import TensorSource
from quantattack.evaluation.png import folder_named
from quantattack.evaluation.saved_images import load_shard
from quantattack.evaluation.verify import verify
from quantattack.record.merge import merge

THREAT = Threat(Linf(), 8 / 255, levels=256)
SHORT = ("pgd", "gap", "square")


def data(count: int = 20, shape: tuple[int, ...] = (1, 4, 4)) -> tuple[nn.Module, Tensor, Tensor]:
    """A network, images of bytes, and what it predicts for them, but for the first two."""
    network = relu_network(0, shape)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8).float() / 255
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[:2] = (labels[:2] + 1) % 10
    return network, images, labels


def short(threat: Threat) -> dict[str, Any]:
    """Every kind of search of the suite that the norm has, with few queries."""
    attacks = standard(threat).attacks
    return {name: square(threat, 100) if name == "square" else attacks[name] for name in attacks if name in SHORT}


class Deployed(nn.Module):
    """A network whose gradient and verdict come from two implementations, as a deployed model's do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    @property
    def twinned(self) -> bool:
        return True

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


class Between(nn.Module):
    """Is fooled by a pixel sum above that of the clean image, by less than half a level."""

    def forward(self, images: Tensor) -> Tensor:
        excess = 255 * images.flatten(1).double() - (255 * images.flatten(1).double()).floor()
        return torch.stack([torch.full_like(excess[:, 0], 0.1), excess.amax(1).mul(excess.amax(1) < 0.9)], 1).float()


def nudged(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """A foreign attack: it knows neither a threat nor a grid."""
    return (images + 0.4 / 255).clamp(0, 1)


def half_and_half(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """A foreign attack that uses the whole of a radius of 0.03."""
    signs = torch.where(torch.arange(images[0].numel()) % 2 == 0, 1.0, -1.0).reshape(images[0].shape)
    return (images + 0.03 * signs).clamp(0, 1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("norm", [Linf(), L2(), L1()], ids=lambda norm: type(norm).__name__)
def test_saved_images_are_bytes_and_verify_confirms_them(norm, tmp_path: Path):
    network, images, labels = data()
    threat = Threat(norm, {Linf: 8 / 255, L2: 0.1, L1: 0.3}[type(norm)], levels=256)
    record = evaluate(network, images, labels, short, threat, out=tmp_path, keep_images=True)
    assert 0 < record.worst_case < record.clean
    sizes = record.column("pgd", "size") * 255
    if not isinstance(norm, L2):
        assert np.allclose(sizes, sizes.round(), atol=1e-6)
    assert sizes.max() <= 255 * threat.radius + 1e-9
    for path in sorted((tmp_path / "images").glob("*.safetensors")):
        saved = load_shard(path)[1]
        assert torch.equal((saved * 255).round().byte().float() / 255, saved)
    verified = verify(Record.load(tmp_path), network, TensorSource(images, labels), threat)
    assert verified.wrong == ()
    assert verified.attacked > 0
    assert verified.unsaved == 0


def test_a_foreign_attack_is_shown_the_grid_and_its_images_are_rounded():
    network, images, labels = data()
    off = []

    class Watched(nn.Module):
        def forward(self, shown: Tensor) -> Tensor:
            off.append(float((255 * shown.detach() - (255 * shown.detach()).round()).abs().max()))
            return network(shown)

    def climbing(model: Any, clean: Tensor, truth: Tensor) -> Tensor:
        shown = (clean + 0.3 / 255).requires_grad_()
        (grad,) = torch.autograd.grad(model(shown).logsumexp(1).sum(), shown)
        assert bool((grad != 0).any())
        return (clean + 7.7 / 255 * grad.sign()).clamp(0, 1)

    record, found = evaluate(Watched().eval(), images, labels, {"climbing": climbing}, THREAT, return_images=True)
    assert max(off) < 1e-4
    assert torch.equal((found["climbing"] * 255).round() / 255, found["climbing"])
    sizes = record.column("climbing", "size")[2:] * 255
    assert set(sizes.round(9)) == {8.0}  # 7.7 levels
    assert record.column("climbing", "inside").all()


def test_images_inside_the_stated_radius_are_put_inside_the_whole_one():
    network, images, labels = data()
    threat = Threat(Linf(), 0.03, levels=256)  # 7.65 levels
    record = evaluate(network, images, labels, {"foreign": half_and_half}, threat)
    assert record.column("foreign", "inside").all()
    assert record.column("foreign", "size").max() == pytest.approx(7 / 255, abs=1e-12)
    assert record.store.notes["radii"] == ["radius 0.03 is 7 levels of 255: 0.02745"]


def test_images_outside_stay_outside():
    network, images, labels = data()
    record = evaluate(network, images, labels, {"foreign": half_and_half}, Threat(Linf(), 2 / 255, levels=256))
    assert not record.column("foreign", "inside")[2:].any()
    assert "outside_threat" in record.codes
    assert "radii" not in record.store.notes


def test_attack_and_judge_must_have_the_same_levels():
    network, images, labels = data()
    free = Threat(Linf(), 8 / 255)
    for made, judge in ((free, THREAT), (THREAT, free)):
        with pytest.raises(InputError, match=r"on 256 levels.*make both from one threat"):
            evaluate(network, images, labels, {"pgd": pgd(made)}, judge)


def test_clean_images_off_the_grid_are_named():
    network, images, labels = data()
    images[17, 0, 0, 0] = 0.5
    with pytest.raises(InputError, match="clean image 117 is not on the grid of 256 levels"):
        evaluate(network, images, labels, fgsm, THREAT, indices=torch.arange(100, 120))
    images[3, 0, 0, 0] = 0.5
    with pytest.raises(InputError, match="clean image 3 is not on the grid"):
        evaluate(network, images, labels, fgsm, THREAT)


def test_a_search_off_the_grid_says_what_rounding_loses():
    _, images, _ = data()
    labels = torch.zeros(20, dtype=torch.int64)
    record = evaluate(Between().eval(), images, labels, {"nudged": nudged}, Threat(Linf(), 2 / 255))
    assert record.worst_case == 0
    assert record.codes["off_grid"].startswith(
        "attacked images that fool the model no longer as 8-bit images: 100.0% of those that nudged broke (20)"
    )
    on = evaluate(Between().eval(), images, labels, {"nudged": nudged}, Threat(Linf(), 2 / 255, levels=256))
    assert on.worst_case == 1
    assert "off_grid" not in on.codes
    between = torch.linspace(0.1, 0.9, 320).reshape(20, 1, 4, 4)
    assert "off_grid" not in evaluate(relu_network(0, (1, 4, 4)), between, labels, pgd, Threat(Linf(), 0.1)).codes


def test_what_survives_rounding_raises_no_flag():
    network, images, labels = data()
    record = evaluate(network, images, labels, {"fgsm": fgsm(Threat(Linf(), 8 / 255))}, Threat(Linf(), 8 / 255))
    assert record.worst_case < record.clean
    assert "off_grid" not in record.codes


def test_what_rounding_loses_is_merged_and_old_records_have_none(tmp_path: Path):
    _, images, _ = data()
    labels = torch.zeros(20, dtype=torch.int64)
    for number in (1, 2):
        about: dict[str, Any] = {"part": (number, 2), "out": tmp_path / str(number)}
        evaluate(Between().eval(), images, labels, {"nudged": nudged}, Threat(Linf(), 2 / 255), **about)
    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "both").records()[0]
    assert merged.store.lost(merged.cells["nudged"]) == set(range(20))
    merged.store.connection.execute("DROP TABLE lost")
    assert merged.store.lost(merged.cells["nudged"]) == set()


def test_a_deployed_model_has_the_grid_by_default():
    network, images, labels = data()
    deployed, free = Deployed(network), Threat(Linf(), 8 / 255)
    assert evaluate(deployed, images, labels, fgsm, free).threat["levels"] == 256
    several = evaluate(deployed, images, labels, fgsm, [free, Threat(Linf(), 2 / 255)])
    assert [record.threat["levels"] for record in several] == [256, 256]
    assert "levels" not in evaluate(network, images, labels, fgsm, free).threat
    assert "levels" not in evaluate(deployed, images, labels, {"fgsm": fgsm(free)}, free).threat
    assert "levels" not in evaluate(deployed, images * 0.999, labels, fgsm, free).threat
    levels = Threat(Linf(), 32 / 255, levels=9)
    coarse = (images * 8).round() / 8
    assert evaluate(deployed, coarse, labels, fgsm, levels).threat["levels"] == 9


NAME = re.compile(r"(\d{5})-(\d+)(?:-(\d+))?\.png")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("channels", [1, 3])
def test_png_files_hold_what_was_judged(channels, tmp_path: Path):
    network, images, labels = data(shape=(channels, 4, 4))
    attacks = {"fgsm": fgsm(THREAT), "square": square(THREAT, 20)}
    record, found = evaluate(
        network, images, labels, attacks, THREAT, out=tmp_path, keep_images="png", return_images=True
    )
    for name in attacks:
        files = sorted((tmp_path / "images" / name).iterdir())
        assert len(files) == 18  # two are wrong from the start
        for path in files:
            index, label, prediction = (int(group) for group in NAME.fullmatch(path.name).groups())
            pair = tmp_path / "images" / "clean" / f"{index:05}-{label}.png"
            for file, image in ((path, found[name][index]), (pair, images[index])):
                held = torch.from_numpy(pixels(file).copy())
                held = held[None] if channels == 1 else held.permute(2, 0, 1)
                assert torch.equal(held.float() / 255, image)
            assert label == int(labels[index])
            assert prediction == int(network(found[name][index][None]).argmax(1))
    assert len(list((tmp_path / "images" / "clean").iterdir())) == 18
    assert not list(tmp_path.rglob("*.part"))
    assert record.finished


def test_png_files_are_completed_by_the_same_run(tmp_path: Path):
    network, images, labels = data()
    attacks = {"fgsm": fgsm(THREAT)}
    evaluate(network, images, labels, attacks, THREAT, out=tmp_path, keep_images=True)
    assert not list(tmp_path.rglob("*.png"))
    evaluate(network, images, labels, attacks, THREAT, out=tmp_path, keep_images="png")
    every = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert len(every) == 36
    for path in list(every)[::3]:
        path.unlink()
    evaluate(network, images, labels, attacks, THREAT, out=tmp_path, keep_images="png")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == every


def test_png_files_of_parts_are_merged(tmp_path: Path):
    network, images, labels = data()
    attacks = {"fgsm": fgsm(THREAT)}
    evaluate(network, images, labels, attacks, THREAT, out=tmp_path / "whole", keep_images="png")
    for number in (1, 2):
        part: dict[str, Any] = {"part": (number, 2), "out": tmp_path / str(number)}
        evaluate(network, images, labels, attacks, THREAT, keep_images="png", **part)
    merge([tmp_path / "1", tmp_path / "2"], tmp_path / "both")
    whole, both = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.png")}
        for name in ("whole", "both")
    )
    assert len(whole) == 36
    assert both == whole


def test_png_files_of_several_threats_do_not_mix(tmp_path: Path):
    network, images, labels = data()
    threats = [THREAT, Threat(Linf(), 2 / 255, levels=256)]
    evaluate(network, images, labels, fgsm, threats, out=tmp_path, keep_images="png")
    one, two = ({path.name for path in (tmp_path / f"images{at}" / "attack").iterdir()} for at in ("", "/2"))
    assert len(one) == len(two) == 18


def test_folders_of_attacks_never_meet_other_folders():
    assert folder_named("pgd[steps=40]") == "pgd[steps=40]"
    assert folder_named("a/b c") == "a_b_c"
    assert folder_named("clean") == "clean_"
    assert folder_named("2") == "2_"
    assert folder_named("..") == "_"


@pytest.mark.parametrize(
    ("shape", "threat", "says"),
    [
        ((1, 4, 4), Threat(Linf(), 8 / 255), "give the threat 256 levels"),
        ((2, 4, 4), THREAT, "1 or 3 channels"),
        ((16,), THREAT, "1 or 3 channels"),
    ],
)
def test_what_is_no_png_is_refused(shape, threat, says, tmp_path: Path):
    network, images, labels = data(shape=shape)
    with pytest.raises(InputError, match=says):
        evaluate(network, images, labels, fgsm, threat, out=tmp_path, keep_images="png")


def test_images_outside_the_range_are_left_out(tmp_path: Path):
    network, images, labels = data()

    def beyond(model: Any, clean: Tensor, truth: Tensor) -> Tensor:
        moved = clean.clone()
        moved[:, 0, 0, 0] = 1.5
        return moved

    evaluate(network, images, labels, {"beyond": beyond}, THREAT, out=tmp_path, keep_images="png")
    assert not (tmp_path / "images" / "beyond").exists()


def test_a_float64_model_is_judged_on_the_same_pixels(tmp_path: Path):
    network, images, labels = data()
    network.double()
    labels = network(images.double()).argmax(1)
    record = evaluate(network, images, labels, pgd, THREAT, out=tmp_path, keep_images=True)
    assert record.worst_case < 1
    assert verify(record, network, TensorSource(images, labels), THREAT).wrong == ()


@pytest.mark.usefixtures("unchecked")
def test_the_batch_size_changes_no_verdict_on_the_grid():
    network, images, labels = data(40)
    verdicts = []
    for size in (16, 40):
        record = evaluate(network, images, labels, short, THREAT, batch_size=size)
        verdicts.append({name: record.column(name, "prediction").tolist() for name in record.attacks})
    assert verdicts[0] == verdicts[1]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("radius", [1 / 255, 2 / 255])
def test_a_search_on_the_grid_leaves_less_than_rounding_afterwards(radius):
    """Nor does any attack leave more on the networks of results/pixels, as `test_pixels_page` checks."""
    (images, labels), model = (tensor[:16] for tensor in _cifar()), qa.load_model("cifar10-resnet8-bnn-waq")
    grid, left = Threat(Linf(), radius, levels=256), {}
    for threat in (Threat(Linf(), radius), grid):
        with torch.no_grad():
            right = model(grid.snap(pgd(threat)(model, images, labels), images)).argmax(1) == labels
        left[threat.levels] = int(right.sum())
    assert left[256] < left[None]


def _cifar() -> tuple[Tensor, Tensor]:
    try:
        return qa.load_data("cifar10")
    except InputError:
        pytest.skip("CIFAR-10 is not here: set QUANTATTACK_DATA")
