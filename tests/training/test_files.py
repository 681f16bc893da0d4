import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.directions import Quantized
from quantattack.attacks.norms import Linf
from quantattack.attacks.recipes import daa_blob
from quantattack.attacks.scaling.base import unit
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat
from quantattack.cli.attacks import inner_attack
from quantattack.cli.names import quantizer_rows
from quantattack.errors import InputError
from quantattack.nn.quantizers import MdTanhS, UniformActivation
from quantattack.training.files import read_recipe
from quantattack.training.fit import fit
from quantattack.training.schedules import Growth, OneCycle, Rise
from quantattack.training.settings import Settings
from quantattack.training.train import network

FILE = """
name: mine
data: mnist
architecture: lenet
options: {width: 0.25}
weights: MdTanhS
activations: {quantizer: UniformActivation, bits: 4}
skip: [head]
training: {epochs: 3, rate: {peak: 0.01}, beta: {kind: growth, factor: 1.2, every: 500}}
adversarial: {radius: 8/255, step_size: 0.01, steps: 3}
"""


def written(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_file_becomes_a_recipe(tmp_path):
    recipe = read_recipe(written(tmp_path, FILE))
    assert (recipe.weights, recipe.activations) == (MdTanhS(), UniformActivation(4))
    assert recipe.training == Settings(epochs=3, rate=OneCycle(0.01), beta=Growth(1.2, 500))
    assert (recipe.options, recipe.skip) == ({"width": 0.25}, ("head",))
    attack = recipe.adversarial.attack
    assert isinstance(attack, Ascent)
    assert (attack.threat.radius, attack.step_size, attack.steps, attack.last_iterate) == (8 / 255, 0.01, 3, True)


def test_the_adversary_climbs_the_logits_that_the_loss_sees(tmp_path):
    plain = read_recipe(written(tmp_path, FILE))
    scaled = read_recipe(written(tmp_path, FILE.replace("epochs: 3,", "epochs: 3, logit_scale: 0.25,")))
    rise = "logit_scale: {kind: rise, first: 0.02},"
    risen = read_recipe(written(tmp_path, FILE.replace("epochs: 3,", f"epochs: 3, {rise}")))
    assert risen.training.logit_scale == Rise(0.02)
    found = [recipe.adversarial.attack.temperature for recipe in (plain, scaled, risen)]
    assert found == [unit, Fixed(0.25), unit]


def inside(tmp_path, attack, more=""):
    old = "{radius: 8/255, step_size: 0.01, steps: 3}"
    return read_recipe(
        written(tmp_path, FILE.replace(old, f"{{radius: 0.2, attack: '{attack}'{more}}}")), inner_attack
    ).adversarial.attack


def test_any_attack_may_be_the_inner_one(tmp_path):
    pqgd = inside(tmp_path, "pqgd[levels=1000,steps=3]")
    assert (pqgd.threat.radius, pqgd.steps, pqgd.direction, pqgd.last_iterate) == (0.2, 3, Quantized(1000), True)
    assert inside(tmp_path, "pgd_plus_gap[steps=7]").temperature == Gap()
    blob = daa_blob(Threat(Linf(), 0.2), steps=10)
    assert inside(tmp_path, "daa_blob[steps=10]") == replace(blob, attack=replace(blob.attack, last_iterate=True))
    twice = inside(tmp_path, "pgd[steps=3,restarts=2]")
    assert (twice.restarts, twice.attack.last_iterate) == (2, True)
    assert inside(tmp_path, "gap") == standard(Threat(Linf(), 0.2)).attacks["gap"]
    rivals = inside(tmp_path, "multi_targeted[rivals=2,steps=3]")
    assert {walk.last_iterate for walk in rivals.attacks.values()} == {True}


def test_a_named_attack_climbs_the_logits_that_the_loss_sees(tmp_path):
    text = FILE.replace("step_size: 0.01, steps: 3", "attack: 'ATTACK'").replace(
        "epochs: 3,", "epochs: 3, logit_scale: 0.25,"
    )
    found = {
        name: read_recipe(written(tmp_path, text.replace("ATTACK", name)), inner_attack).adversarial.attack
        for name in ("pgd", "pgd[restarts=2]", "pgd_plus_gap")
    }
    assert found["pgd"].temperature == found["pgd[restarts=2]"].attack.temperature == Fixed(0.25)
    assert found["pgd_plus_gap"].temperature == Gap()


@pytest.mark.parametrize(
    ("attack", "more", "message"),
    [
        ("pgdd", "", "did you mean 'pgd'"),
        ("pgd[step=3]", "", "did you mean 'steps'"),
        ("pgd", ", steps: 3", "in its brackets"),
        ("pgd_plus_njs", "", "fitted on a trained network"),
        ("pgd_plus_njs[unit=normalized]", "", "deviation of the training images"),
        ("standard", "", "standard stands for several attacks"),
        ("liu2020", "", "liu2020 stands for several attacks"),
    ],
)
def test_an_inner_attack_that_does_not_fit_is_refused(tmp_path, attack, more, message):
    with pytest.raises(InputError, match=message):
        inside(tmp_path, attack, more)


def test_the_recipe_in_the_docs_trains(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    recipe = read_recipe(written(tmp_path, text), inner_attack)
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    one = fit(network(recipe), images, labels, replace(recipe.training, epochs=1), adversary=recipe.adversarial)
    assert recipe.adversarial.attack.direction == Quantized(1000)
    assert one[0].loss > 0


def test_a_named_attack_needs_someone_who_knows_names(tmp_path):
    with pytest.raises(InputError, match="read by `quantattack train`"):
        read_recipe(written(tmp_path, FILE.replace("step_size: 0.01, steps: 3", "attack: pgd")))


def test_only_the_settings_that_matter_need_to_be_there(tmp_path):
    text = "{name: plain, data: digits, architecture: small, training: {epochs: 1}}"
    recipe = read_recipe(written(tmp_path, text))
    assert (recipe.weights, recipe.adversarial, recipe.training) == (None, None, Settings(epochs=1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: mine", "nmae: mine", "name: Field required"),
        ("epochs: 3", "epochs: many", "training.epochs"),
        ("epochs: 3", "epochs: 0", "0 epochs"),
        ("epochs: 3", "epochs: 3, optimizer: lion", "training.optimizer"),
        ("peak: 0.01", "peek: 0.01", "training.rate"),
        ("epochs: 3", "epochs: 3, speed: 9", "training.speed"),
        ("MdTanhS", "MdTanS", "did you mean 'MdTanhS'"),
        ("bits: 4", "bits: 99", "bits is 99"),
        ("bits: 4", "bit: 4", "did you mean 'bits'"),
        ("8/255", "8/0", "adversarial.radius"),
        ("[head]", "[head", "is not YAML"),
        (FILE, "", "must hold settings"),
        (FILE, "- a\n- b", "must hold settings"),
        (FILE, "!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_bad_files_are_refused_with_one_line(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(written(tmp_path, FILE.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_recipe(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("name", ["MdTanhS", "mdtanhs", "{quantizer: mdtanhs}"])
def test_a_quantizer_is_taken_by_its_printed_and_its_short_name(tmp_path, name):
    assert read_recipe(written(tmp_path, FILE.replace("weights: MdTanhS", f"weights: {name}"))).weights == MdTanhS()


def test_every_printed_quantizer_is_taken_for_what_it_is_printed_for(tmp_path):
    for row in quantizer_rows():
        settings = ",".join(f"{key}={value}" for key, value in row["settings"].items())
        entry = f"{row['name']}[{settings}]"
        lines = [line for line in FILE.splitlines() if not line.startswith(("weights", "activations"))]
        recipe = read_recipe(written(tmp_path, "\n".join([*lines, f"{row['for']}: '{entry}'"])))
        assert type(getattr(recipe, row["for"])).__name__ == row["name"]


@pytest.mark.parametrize(
    ("former", "entry", "says"),
    [
        ("weights: MdTanhS", "weights: MdTanh", "unknown quantizer of weights 'MdTanh'; did you mean 'MdTanhS'"),
        ("weights: MdTanhS", "weights: zzz", "'zzz'; permitted are BinaryConnect, GdTanh, MdTanhS, BnnWaq, Xnor"),
        ("weights: MdTanhS", "weights: Sign", "unknown quantizer of weights 'Sign'"),
        ("weights: MdTanhS", "weights: {bits: 4}", "weights must name a quantizer"),
        ("weights: MdTanhS", "weights: 'Uniform[bit=4]'", "unknown setting of Uniform 'bit'; did you mean 'bits'"),
        ("weights: MdTanhS", "weights: 'Uniform[bits'", "cannot read the quantizer"),
    ],
)
def test_a_wrong_quantizer_is_one_line_with_what_is_permitted(tmp_path, former, entry, says):
    with pytest.raises(InputError, match=re.escape(says)):
        read_recipe(written(tmp_path, FILE.replace(former, entry)))


def test_a_wrong_module_to_skip_lists_the_layers(tmp_path):
    recipe = read_recipe(written(tmp_path, FILE.replace("skip: [head]", "skip: [haed]")))
    with pytest.raises(InputError, match=r"no module 'haed' to skip; its layers are .*head"):
        network(recipe)
