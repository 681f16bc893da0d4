import base64
import io

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from quantattack.report.gallery import png, read_gallery

from .conftest import subject, write_gallery


def pixels(uri):
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).transpose(2, 0, 1)


def test_the_pictures_are_the_images(tmp_path):
    write_gallery(tmp_path, subject())
    gallery = read_gallery(tmp_path, 1, subject())
    assert (len(gallery.pictures), gallery.attack, gallery.missing) == (16, "pgd_plus_gap", "")
    clean = np.linspace(0, 1, 16 * 64, dtype=np.float32).reshape(16, 8, 8)
    for picture, image in zip(gallery.pictures, clean, strict=True):
        assert np.abs(pixels(picture.clean)[1] - 255 * image).max() <= 0.5
    third = gallery.pictures[3]
    assert (third.index, third.label, third.clean_prediction, third.prediction) == (3, 3, 3, 4)


def test_the_perturbation_fills_half_the_range_about_gray(tmp_path):
    write_gallery(tmp_path, subject())
    gallery = read_gallery(tmp_path, 1, subject())
    assert gallery.factor == pytest.approx(2.5)
    change = pixels(gallery.pictures[8].perturbation)[0].astype(int)
    assert (change.min(), change.max()) == (0, 255)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_png_has_the_images_size(channels):
    image = np.random.default_rng(0).random((channels, 5, 7))
    shown = pixels(png(image))
    assert shown.shape == (3, 5, 7)
    assert np.abs(shown[0] - 255 * image[0]).max() <= 0.5


def test_bytes_are_pixels_too(tmp_path):
    image = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    facts = {name: np.array([1]) for name in ("index", "label", "clean_prediction", "prediction")}
    notes = {"model": subject().model, "data": "digits", "attack": "pgd"}
    save_file({"clean": image, "adversarial": image, **facts}, tmp_path / "gallery-1.safetensors", notes)
    gallery = read_gallery(tmp_path, 1, subject())
    assert gallery.factor == 0
    assert (pixels(gallery.pictures[0].clean)[0] == image[0, 0]).all()
    assert (pixels(gallery.pictures[0].perturbation) == 128).all()


def test_why_there_are_no_pictures(tmp_path):
    assert "gallery-1.safetensors is not there" in read_gallery(tmp_path, 1, subject()).missing
    write_gallery(tmp_path, subject("another"))
    assert "another evaluation" in read_gallery(tmp_path, 1, subject()).missing
    (tmp_path / "gallery-1.safetensors").write_bytes(b"not this")
    assert "cannot be read" in read_gallery(tmp_path, 1, subject()).missing


def test_flat_data_have_no_pictures(tmp_path):
    facts = {name: np.array([1]) for name in ("index", "label", "clean_prediction", "prediction")}
    flat = {"clean": np.zeros((1, 6)), "adversarial": np.zeros((1, 6))}
    save_file({**flat, **facts}, tmp_path / "gallery-1.safetensors", {"model": subject().model, "data": "digits"})
    assert read_gallery(tmp_path, 1, subject()).missing == "Images of shape (6,) cannot be shown."


def test_a_run_that_broke_nothing_says_so(tmp_path):
    write_gallery(tmp_path, subject(), count=0)
    assert read_gallery(tmp_path, 1, subject()).missing == "No image was broken by pgd_plus_gap: there is none to show."
