from dataclasses import replace
from pathlib import Path

import pytest
import torch

from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import pgd
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.nn.architectures import build
from quantattack.nn.checkpoints import load, save
from quantattack.nn.quantizers import GdTanh
from quantattack.nn.zoo import card_of, load_model, models
from quantattack.reproduction.catalog import PAPERS
from quantattack.training.fit import accuracy, fit
from quantattack.training.full_width import FULL
from quantattack.training.recipes import RECIPES, recipe, train
from quantattack.training.schedules import Drops
from quantattack.training.train import Adversarial, BatchNjs, _card, _final, madry, network


def test_a_recipe_trains_saves_and_describes_its_network(tmp_path):
    short = recipe("digits-mdtanhs")
    short = replace(short, training=replace(short.training, epochs=2), options={"width": 4})
    epochs = []
    card = train(short, tmp_path / "net.safetensors", progress=epochs.append)
    model = load(tmp_path / "net.safetensors")
    assert epochs[-1].accuracy == card.clean
    assert set(model.head.weight.unique().tolist()) == {-1.0, 1.0}


def test_the_network_that_is_judged_is_the_one_of_its_file(tmp_path):
    made = recipe("cifar10-vgg5-bnn-waq")  # its signs change where pixels are normalized by other numbers
    final = _final(network(made), made.half).eval()
    save(final, tmp_path / "net.safetensors", _card(made, 0.5))
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(final(images), load(tmp_path / "net.safetensors")(images))


def test_the_state_of_another_recipe_is_refused(tmp_path):
    short = recipe("digits-mdtanhs")
    short = replace(short, training=replace(short.training, epochs=2), options={"width": 4})

    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(short, tmp_path / "net.safetensors", keep=tmp_path / "state", progress=stop)
    with pytest.raises(InputError, match="another training"):
        train(replace(short, weights=GdTanh()), tmp_path / "net.safetensors", keep=tmp_path / "state")
    assert train(short, tmp_path / "net.safetensors", keep=tmp_path / "state").clean > 0


def test_an_adversary_of_three_arguments_trains():
    adversary = Adversarial(lambda model, images, labels: (images + 0.1).clamp(0, 1))
    images, labels = load_data("digits")
    assert torch.equal(adversary(torch.nn.Flatten(), images[:4], labels[:4]), (images[:4] + 0.1).clamp(0, 1))


def test_every_carried_network_has_the_recipe_that_made_it():
    for model in models():
        made, card = recipe(model.name), card_of(model.name)
        assert (made.data, made.architecture, dict(made.options)) == (card.data, card.architecture, card.settings)


def test_a_recipe_starts_from_the_same_weights_every_time():
    one, other = (network(recipe("digits-float")) for _ in range(2))
    assert torch.equal(one.head.weight, other.head.weight)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(InputError, match="unknown recipe"):
        recipe("digits-mdtanh")
    assert set(RECIPES) == {one.name for one in RECIPES.values()}


def test_adversarial_training_starts_elsewhere_at_every_update_and_repeats_with_the_random_state():
    adversary = madry(0.1, 0.05, 2)
    model = network(recipe("digits-float")).eval()
    images, labels = load_data("digits")
    torch.manual_seed(0)
    one, other = (adversary(model, images[:16], labels[:16]) for _ in range(2))
    torch.manual_seed(0)
    again = adversary(model, images[:16], labels[:16])
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert float((one - images[:16]).abs().max()) <= 0.1 + 1e-7


def test_adversarial_training_makes_a_network_more_robust():
    images, labels = (part[:512] for part in load_data("digits", split="train"))
    test, truth = (part[:256] for part in load_data("digits"))
    attack = pgd(Threat(Linf(), 0.1), steps=10)
    robust = {}
    for adversary in (None, madry(0.1, 0.05, 3)):
        short = replace(recipe("digits-float").training, epochs=8)
        model = network(replace(recipe("digits-float"), options={"width": 8}))
        fit(model, images, labels, short, adversary=adversary)
        robust[adversary is None] = accuracy(model, attack(model, test, truth), truth)
    assert robust[False] > robust[True] + 0.1


def test_the_scripts_train_every_recipe():
    scripts = Path(__file__).parents[2] / "scripts"
    assert "from quantattack.training.full_width import FULL" in (scripts / "train-full-width.sh").read_text()
    assert "'-full-' not in n" in (scripts / "train-zoo.sh").read_text()
    assert {one.name for one in FULL} == {name for name in RECIPES if "-full-" in name}


def test_every_network_that_the_papers_need_has_a_recipe():
    rows = [row for paper in PAPERS.values() for item in paper.items.values() for row in item.rows]
    needed = {name for row in rows for name in (*row.role.small, *row.role.full)}
    assert len(needed) > 50
    assert needed <= RECIPES.keys()


@pytest.mark.parametrize("name", [name for name in RECIPES if "densenet" in name or "-full-" in name])
def test_every_large_recipe_describes_a_network_that_can_be_built(name):
    made = recipe(name)
    with torch.device("meta"):
        model = build(made.architecture, made.options)
    assert set(made.skip) <= {part for part, _ in model.named_modules()}


def test_a_file_is_a_recipe_too(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("{name: mine, data: digits, architecture: small, options: {width: 4}, training: {epochs: 1}}")
    card = train(recipe(str(path)), tmp_path / "net.safetensors", watched=10)
    assert card.settings == {"width": 4}


def test_the_published_schedules_end_where_the_paper_says():
    settings = recipe("cifar10-resnet18-full-mdtanhs").training
    assert settings.epochs * (50_000 // settings.batch_size) == pytest.approx(100_000, rel=0.002)
    assert settings.beta(99_999, 100_000) == pytest.approx(1.02**500)
    assert [settings.rate(step, 100_000) for step in (0, 29_999, 30_000)] == pytest.approx([1e-3, 1e-3, 3e-4])


def test_madrys_wide_network_is_trained_with_ten_steps_and_drops_at_40000_and_60000():
    wide = recipe("cifar10-madry-full-adv")
    rate = wide.training.rate
    assert wide.adversarial.attack.steps == 10
    assert [rate(step, 80_000) for step in (0, 39_999, 40_000, 59_999, 60_000, 80_000)] == [
        0.1, 0.1, 0.01, 0.01, 0.001, 0.001,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("resnet18", {0: 5e-3, 100: 5e-3, 101: 1e-3, 142: 5e-4, 184: 1e-4, 220: 1e-5}),
        ("vgg16", {0: 5e-3, 40: 1e-3, 80: 5e-4, 100: 1e-4, 120: 5e-5, 140: 1e-5}),
    ],
)
def test_binary_networks_have_the_published_steps(name, rates):
    rate = recipe(f"cifar10-{name}-full-bnn-waq").training.rate
    updates = 195  # whole batches of 256 in 50,000 images
    assert {epoch: rate(epoch * updates, 250 * updates) for epoch in rates} == rates


def test_drops_need_an_update_for_each_change():
    with pytest.raises(InputError, match=r"3 rates changes at 2 rising updates, not at \[5\]"):
        Drops((1.0, 0.1, 0.01), (5,))
    with pytest.raises(InputError, match="rising"):
        Drops((1.0, 0.1, 0.01), (6, 5))


def test_the_control_of_pqgd_has_its_epochs_and_steps():
    quantized, control = recipe("mnist-madry-adv-pqgd"), recipe("mnist-madry-adv-pgd3")
    assert control.training == quantized.training
    sign = replace(quantized.adversarial.attack, direction=control.adversarial.attack.direction)
    assert control.adversarial.attack == sign


def test_inner_attacks_cost_about_the_same():
    """In passes an image, of which PGD has two a step; the Jacobian takes one for each class."""
    inner = {name: recipe(f"digits-mdtanhs-adv-{name}").adversarial.attack for name in ("pgd", "njs", "hns")}
    assert {(attack.threat.radius, attack.last_iterate) for attack in inner.values()} == {(0.2, True)}
    assert len({recipe(f"digits-mdtanhs-adv-{name}").training for name in inner}) == 1
    njs = inner["njs"].temperature.probe / 64 * (1 + 10)
    spent = [2 * inner["pgd"].steps, 2 * inner["njs"].steps + njs, 2 * inner["hns"].steps + 11]
    assert spent == pytest.approx([14, 14, 14], abs=1.1)


def test_njs_in_a_training_is_that_of_the_batchs_first_images():
    model, (images, labels) = load_model("digits-mdtanhs"), load_data("digits")
    x, y = images[:12], labels[:12]
    logits = model(x)
    found = BatchNjs(5)(model, x, y)(logits, y)
    assert torch.equal(found, Njs.fit(model, x[:5]).scale(logits, y))
    assert not torch.equal(found, Njs.fit(model, x).scale(logits, y))
