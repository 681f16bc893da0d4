"""Deployed files are opened by name, what pixels mean to them is read or asked for, and wrong input is one line."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

import quantattack as qa
from deployed.fake import FakeRuntime, Write
from quantattack.deployed.base import Artifact, DeployedModel, Outputs
from quantattack.deployed.load import DeployedFile, load
from quantattack.deployed.loaded import LoadedFile, Meaning, pixels_of
from quantattack.deployed.pixels import Pixels, Quantized
from quantattack.deployed.readers import setting_of
from quantattack.errors import InputError
from quantattack.nn import zoo


def digits_images(count: int = 24) -> torch.Tensor:
    return qa.load_data("digits")[0][:count]


class Judge:
    """A runtime of which only the facts are asked."""

    def __init__(self, kind: str) -> None:
        self.artifact = Artifact(f"m.{kind}", kind, "0" * 64, 1, "none 1.0")

    def __call__(self, inputs: Tensor) -> Tensor:
        raise AssertionError("it is not run")


def asked(
    takes: tuple[int | None, ...], layout: str = "nchw", quantized: Quantized | None = None, kind: str = "tflite"
) -> LoadedFile:
    return LoadedFile(None, Judge(kind), softmax=False, takes=takes, layout=layout, quantized=quantized)


def test_a_file_is_a_model_by_its_name_and_any_other_name_is_one_of_the_zoo(fake: Write):
    path = fake()
    model = qa.load_model(str(path))
    assert isinstance(model, DeployedModel)
    assert isinstance(qa.deployed.load(path), DeployedModel)
    assert not isinstance(qa.load_model("digits-float"), DeployedModel)
    assert zoo.load_model("digits-float") is not None


def test_twin_and_runtime_are_told_apart_by_what_is_asked(fake: Write):
    model = load(fake(shift=0.12))
    images = digits_images()
    judged = model(images)
    assert torch.equal(judged, model.judge(images))
    climbed = model(images.clone().requires_grad_())
    assert climbed.requires_grad
    assert not torch.equal(climbed.softmax(1), judged.exp())
    assert torch.equal(judged.argmax(1), model.returned(images).argmax(1))


def test_the_outputs_are_what_an_ordinary_attack_climbs(fake: Write):
    model = load(fake(factor=4.0))
    images = digits_images().requires_grad_()
    flat = Outputs(model)(images)
    (grad,) = torch.autograd.grad(flat.amax(1).sum(), images)
    top = model.returned(images).amax(1) >= 255 / 256
    assert top.any()
    assert (grad[top] == 0).all()  # the softmax is flat there, and what enters it is not
    (through,) = torch.autograd.grad(model(images).amax(1).sum(), images)
    assert (through[top].flatten(1).abs().amax(1) > 0).all()


def test_a_copy_is_in_float64_and_shares_the_runtime(fake: Write):
    model = load(fake())
    twin = copy.deepcopy(model).double()
    assert twin.runtime is model.runtime
    images = digits_images(4).double().requires_grad_()
    assert twin(images).dtype == torch.float64
    assert model(images.detach().float()).dtype == torch.float32


def test_a_pickled_model_opens_its_file_again(fake: Write):
    model = load(fake(), range=(0, 255))
    again = pickle.loads(pickle.dumps(model))
    assert again.runtime is not model.runtime
    assert again.extra_repr() == model.extra_repr()
    images = digits_images()
    assert torch.equal(again(images), model(images))
    maker = pickle.loads(pickle.dumps(model.file))
    assert torch.equal(maker()(images), model(images))


def test_the_identity_is_of_file_and_runtime_and_not_of_the_processor(fake: Write):
    path = fake()
    model = load(path)
    assert "processor" not in model.extra_repr()
    assert model.artifact.sha256 in model.extra_repr()
    assert load(path, runtime="fake:reference").extra_repr() != model.extra_repr()
    assert load(fake("other.fake", shift=0.1)).extra_repr() != model.extra_repr()
    moved = path.with_name("moved.fake")
    moved.write_bytes(path.read_bytes())
    assert load(moved).extra_repr() == model.extra_repr()


def test_a_relative_gives_the_gradient_where_a_format_has_only_a_judge(fake: Write):
    path, images = fake(twin=False), digits_images(8)
    bare = load(path)
    assert not bare(images.clone().requires_grad_()).requires_grad
    for model in (load(path, float_model="digits-float"), load(path, twin=zoo.load_model("digits-float"))):
        x = images.clone().requires_grad_()
        assert torch.equal(model(x), zoo.load_model("digits-float")(x))
        assert torch.equal(model(images), bare(images))


def test_the_float_network_is_no_part_of_the_model(fake: Write):
    path = fake()
    model, alone = load(path, float_model="digits-float"), load(path)
    assert model.float_model is not None
    assert model.float_name == "digits-float"
    assert alone.float_model is None
    assert list(model.state_dict()) == list(alone.state_dict())


def test_a_float_file_takes_pixels_as_its_relative_does_where_it_does_not_say(fake: Write):
    relative = fake("float.fake", quantized=False, softmax=False)
    with pytest.raises(InputError, match="does not say what pixels mean"):
        load(relative)
    model = load(fake(), float_model=relative)
    assert isinstance(model.float_model, DeployedModel)
    assert model.float_model.pixels == model.pixels == Pixels("nhwc", 0.0, 255.0)


@pytest.mark.parametrize(
    ("takes", "usual", "layout"),
    [
        ((3, 32, 32), "nhwc", "nchw"),
        ((32, 32, 3), "nchw", "nhwc"),
        ((1, 28, 1), "nhwc", "nhwc"),
        ((None, None, 3), "nchw", "nhwc"),
        ((3, None, None), "nhwc", "nchw"),
        ((49, 10, 4), "nhwc", "nhwc"),
        ((784,), "nhwc", "flat"),
    ],
)
def test_the_layout_is_what_the_shape_tells(takes: tuple[int | None, ...], usual: str, layout: str):
    assert pixels_of(asked(takes, usual), Meaning(range=(0.0, 1.0))).layout == layout


@pytest.mark.parametrize(
    ("quantized", "span"),
    [
        (Quantized("int8", 1.0, -128), (0.0, 255.0)),
        (Quantized("uint8", 1 / 255, 0), (0.0, 1.0)),
        (Quantized("uint8", 0.936 / 255, 0), (0.0, 1.0)),
        (Quantized("uint8", 2 / 255, 127), (-1.0, 1.0)),
        (Quantized("int8", 1.0, 0), (-128.0, 127.0)),
    ],
)
def test_the_range_is_read_from_a_quantized_input(quantized: Quantized, span: tuple[float, float]):
    pixels = pixels_of(asked((3, 8, 8), quantized=quantized), Meaning())
    assert (pixels.low, pixels.high) == span
    assert pixels_of(asked((3, 8, 8), quantized=quantized), Meaning(range=(0.0, 2.0))).high == 2.0


@pytest.mark.parametrize("quantized", [None, Quantized("uint8", 0.0187, 114), Quantized("int8", 0.5 / 255, -128)])
def test_a_range_that_the_file_does_not_tell_is_asked_for(quantized: Quantized | None):
    with pytest.raises(InputError, match="state what black and white are with --range"):
        pixels_of(asked((3, 8, 8), quantized=quantized), Meaning())
    stated = pixels_of(asked((3, 8, 8), quantized=quantized), Meaning(mean=(0.5,) * 3, std=(0.2,) * 3))
    assert (stated.low, stated.high, stated.mean) == (0.0, 1.0, (0.5,) * 3)


def test_a_symmetric_onnx_grid_tells_no_range():
    file = asked((3, 8, 8), quantized=Quantized("int8", 1 / 127, 0), kind="onnx")
    with pytest.raises(InputError, match="--range"):
        pixels_of(file, Meaning())


@pytest.mark.parametrize("takes", [(), (4, 4), (2, 3, 4, 5)])
def test_what_is_no_image_is_refused(takes: tuple[int, ...]):
    with pytest.raises(InputError, match="no images"):
        pixels_of(asked(takes), Meaning(range=(0.0, 1.0)))


def test_images_of_another_size_are_refused_and_not_resized(fake: Write):
    model = load(fake())
    with pytest.raises(InputError, match=r"model.fake takes inputs of 8 x 8 x 1, these images give 9 x 9 x 1"):
        model(torch.rand(2, 1, 9, 9))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layout": "hwc"}, "the layout must be nchw, nhwc or flat"),
        ({"range": (1, 0)}, "low < high"),
        ({"range": (1, 2, 3)}, "the range must be two numbers"),
        ({"mean": (0.5,)}, "mean and std"),
        ({"mean": (0.5,), "std": (0.0,)}, "mean and std"),
        ({"runtime": "onnxruntime"}, "run by fake, not by 'onnxruntime'"),
        ({"runtime": "fake:fast"}, "unknown setting of fake 'fast'"),
    ],
)
def test_wrong_settings_are_one_line(fake: Write, settings: dict[str, object], says: str):
    with pytest.raises(InputError, match=says) as error:
        load(fake(), **settings)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_wrong_files_are_one_line(fake: Write, tmp_path: Path):
    fake()
    for path, says in (
        (tmp_path / "absent.fake", "there is no file"),
        (tmp_path, "its name must end in .*\\.onnx"),
        (tmp_path / "model.bin", "its name must end in"),
    ):
        with pytest.raises(InputError, match=says):
            load(path)
    (tmp_path / "folder.fake").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        load(tmp_path / "folder.fake")
    with pytest.raises(InputError, match=r"digits-float takes pixels in \[0, 1\] as it is"):
        qa.load_model("digits-float", range=(0, 1))


def test_the_same_file_opens_under_another_runtime(fake: Write):
    model = load(fake())
    other = model.file.under("fake:reference")()
    assert isinstance(model.file, DeployedFile)
    assert isinstance(other.runtime, FakeRuntime)
    assert other.runtime.kernels == "reference"
    assert other.pixels == model.pixels


def test_a_setting_of_a_runtime_is_the_first_by_default():
    assert setting_of(None, "litert", ("xnnpack", "reference")) == "xnnpack"
    assert setting_of("litert", "litert", ("xnnpack", "reference")) == "xnnpack"
    assert setting_of("litert:reference", "litert", ("xnnpack", "reference")) == "reference"
