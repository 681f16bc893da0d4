"""`--pixels` and `--save-images png` on the command line and in run files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import quantattack as qa
from quantattack.cli import main
from quantattack.cli.options import with_values
from quantattack.record.store import Store

IMAGES, LABELS = qa.load_data("digits")
BYTES = (255 * IMAGES[:20]).round().byte().numpy()
SHORT = ("evaluate", "digits-float", "--data", "mine.npz", "--attacks", "fgsm", "--quiet")

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with the first digits as a file of bytes."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", images=BYTES, labels=LABELS[:20].numpy())


class Deployed(nn.Module):
    """A network whose gradient and verdict come from two implementations."""

    def __init__(self) -> None:
        super().__init__()
        self.network = qa.load_model("digits-float")
        self.eval()

    @property
    def twinned(self) -> bool:
        return True

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)


def said(capsys: Any, code: int, *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out = capsys.readouterr()
    assert (end.value.code or 0) == code, out.err
    return str(out.out if code == 0 else out.err)


def test_pixels_state_the_grid_and_what_the_radius_comes_to(capsys: Any):
    out = said(capsys, 0, *SHORT, "--pixels", "--radius", "0.1,26/255", "--out", "run")
    assert out.splitlines()[0] == "radius 0.1 is 25 levels of 255: 0.09804"
    assert out.count("levels of 255") == 1
    assert "Linf 0.1 on 256 levels" in " ".join(out.split())
    first, second = Store.load("run").records()
    assert (first.threat["levels"], second.threat["levels"]) == (256, 256)
    assert first.column("fgsm", "size").max() == pytest.approx(25 / 255, abs=1e-12)
    assert first.store.notes["radii"] == ["radius 0.1 is 25 levels of 255: 0.09804"]
    assert "0 disagree" in said(capsys, 0, "verify", "run")
    assert json.loads(said(capsys, 0, "show", "run", "--json"))[0]["finished"]


@pytest.mark.parametrize(
    ("option", "plain", "deployed"), [((), None, 256), (("--no-pixels",), None, None), (("--pixels",), 256, 256)]
)
def test_a_deployed_model_alone_has_a_grid_without_a_word(
    option: tuple[str, ...], plain: int | None, deployed: int | None, capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    command = (*SHORT, "--radius", "0.1", *option, "--out")
    said(capsys, 0, *command, "plain")
    assert qa.Record.load("plain").threat.get("levels") == plain
    monkeypatch.setattr("quantattack.cli.names.model_named", lambda *_: Deployed())
    said(capsys, 0, *command, "deployed")
    assert qa.Record.load("deployed").threat.get("levels") == deployed


def test_images_off_the_grid_are_one_line(capsys: Any):
    line = said(capsys, 2, "evaluate", "digits-float", "--data", "digits", "--images", "20", "--pixels")
    assert line.startswith("error: clean image 0 is not on the grid of 256 levels in [0, 1]; round the images, or")
    assert line.count("\n") == 1
    assert "below one of 256 levels" in said(capsys, 2, *SHORT, "--pixels", "--radius", "0.001")


@pytest.mark.parametrize(("levels", "stated"), [("true", 256), ("256", 256), ("52", 52), ("false", None)])
def test_a_run_file_states_levels(levels: str, stated: int | None, capsys: Any):
    threats = f"{{norm: linf, radius: 0.1, levels: {levels}}}"
    Path("run.yaml").write_text(f"{{models: digits-float, data: mine.npz, attacks: fgsm, threats: {threats}}}")
    if stated == 52:  # 51 divides 255, and the digits' bytes are no multiples of 5
        assert "not on the grid of 52 levels" in said(capsys, 2, "evaluate", "--config", "run.yaml", "--out", "run")
        return
    said(capsys, 0, "evaluate", "--config", "run.yaml", "--out", "run", "--quiet")
    assert qa.Record.load("run").threat.get("levels") == stated


def test_save_images_alone_and_as_png(capsys: Any):
    grid = ("--radius", "0.1", "--pixels", "--out")
    said(capsys, 0, *SHORT, "--save-images", *grid, "run")
    assert list(Path("run").rglob("*.safetensors"))
    assert not list(Path("run").rglob("*.png"))
    said(capsys, 0, *SHORT, "--save-images", "png", *grid, "run")
    assert len(list(Path("run/images/fgsm").glob("*.png"))) == len(list(Path("run/images/clean").glob("*.png"))) > 10
    said(capsys, 0, *SHORT, *grid, "bare")
    assert not list(Path("bare").rglob("*.safetensors"))[1:]  # the gallery alone
    assert "256 levels" in said(capsys, 2, *SHORT, "--save-images=png", "--radius", "0.1")
    assert "--save-images takes files or png, not 'jpg'" in said(capsys, 2, *SHORT, "--save-images=jpg")
    assert "--save-images takes files or png, not 'all'" in said(capsys, 2, *SHORT, "--save-images", "all")


def test_a_run_file_saves_png_files(capsys: Any):
    run = "{models: digits-float, data: mine.npz, attacks: fgsm, save_images: png, threats: {radius: 0.1, levels: 256}}"
    Path("run.yaml").write_text(run)
    said(capsys, 0, "evaluate", "--config", "run.yaml", "--out", "run", "--quiet")
    assert list(Path("run/images/clean").glob("*.png"))


def test_an_option_takes_only_a_value_of_its_own():
    assert with_values(["--save-images", "--out", "run"]) == ["--save-images=files", "--out", "run"]
    assert with_values(["--save-images", "all"]) == ["--save-images", "all"]
    assert with_values(["m", "--save-images"]) == ["m", "--save-images=files"]
    assert with_values(["--save-images", "png", "m"]) == ["--save-images", "png", "m"]
    assert with_values(["--save-images=png"]) == ["--save-images=png"]
    assert with_values([]) == []


def test_a_diagnosis_on_the_grid(capsys: Any):
    arguments = ["diagnose", "digits-float", "--data", "mine.npz", "--images", "20", "--radius", "0.1", "--budget"]
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([*arguments, "200", "--pixels"])
    assert end.value.code in (None, 0, 3)
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "radius 0.1 is 25 levels of 255: 0.09804"
    assert "of 20 images" in out
    assert "is not on the grid" in said(capsys, 2, "diagnose", "digits-float", "--images", "20", "--pixels")
