"""Images of one's own: an `.npz` file, or a folder with a folder for each class."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quantattack as qa
from quantattack.cli import main
from quantattack.data.streams import stream_data

IMAGES, LABELS = qa.load_data("digits")
BYTES = (255 * IMAGES[:40]).round().byte().numpy()


pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with the digits as a file and as images, in the order of their classes."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", images=BYTES, labels=LABELS[:40].numpy())
    np.savez("empty.npz", images=BYTES[:0], labels=np.zeros(0, int))
    np.savez("many.npz", images=BYTES[:11], labels=np.arange(11))
    np.savez("floats.npz", images=BYTES * 1.0, labels=LABELS[:40].numpy())
    Path("run.yaml").write_text("{models: digits-float, data: mine.npz, attacks: fgsm}")
    for number, (image, label) in enumerate(zip(BYTES, LABELS[:40].tolist(), strict=True)):
        folder = Path("pictures") / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / f"{number:03}.png")


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out = capsys.readouterr()
    assert (end.value.code or 0) == code, out.err
    return out.out if code == 0 else out.err


def test_a_file_and_a_folder_hold_the_same_images():
    images, labels = qa.load_data("mine.npz")
    assert float((images - IMAGES[:40]).abs().max()) <= 0.501 / 255
    order = labels.argsort(stable=True)
    folder = qa.load_data("pictures")
    assert bool((folder[0] == images[order]).all())
    assert bool((folder[1] == labels[order]).all())
    stream = stream_data("pictures")
    assert bool((stream.take([3, 1])[0] == folder[0][[3, 1]]).all())


@pytest.mark.parametrize("name", ["mine.npz", "pictures", "./pictures/"])
def test_they_are_attacked_by_name(name: str, capsys: pytest.CaptureFixture[str]):
    attacks = ["--attacks", "fgsm,fgsm_plus_njs", "--radius", "0.1"]
    said(capsys, 0, "evaluate", "digits-float", "--data", name, *attacks, "--out", "run")
    record = qa.Record.load("run")
    name = str(Path(name))  # in its shortest form
    assert (record.subject.data, record.images, record.finished) == (name, 40, True)
    right = qa.load_model("digits-float")(IMAGES[:40]).argmax(1) == LABELS[:40]
    assert record.clean == pytest.approx(float(right.float().mean()), abs=1 / 40)
    assert "0 disagree" in said(capsys, 0, "verify", "run")
    assert json.loads(said(capsys, 0, "show", "run", "--json"))["data"] == name


def test_other_commands_take_them_too(capsys: pytest.CaptureFixture[str]):
    assert "of 20 images" in said(
        capsys, 0, "diagnose", "digits-float", "--data", "mine.npz", "--radius", "0.2", "--images", "20"
    )
    assert "multiply-adds" in said(capsys, 0, "inspect", "digits-float", "--data", "mine.npz")
    said(capsys, 0, "signal", "digits-float", "--data", "mine.npz", "--images", "5", "--out", "signal")


def test_a_run_of_parts_is_put_together(capsys: pytest.CaptureFixture[str]):
    command = ["evaluate", "digits-float", "--data", "pictures", "--attacks", "fgsm", "--radius", "0.1", "--out"]
    for part in ("1", "2"):
        said(capsys, 0, *command, f"part-{part}", "--part", f"{part}/2")
    said(capsys, 0, "merge", "part-1", "part-2", "--out", "both")
    said(capsys, 0, *command, "whole")
    both, whole = (qa.Record.load(name) for name in ("both", "whole"))
    assert both.column("fgsm", "margin").tolist() == whole.column("fgsm", "margin").tolist()


def test_images_that_have_moved_are_verified_and_others_are_not(capsys: pytest.CaptureFixture[str]):
    said(
        capsys,
        0,
        "evaluate",
        "digits-float",
        "--data",
        "mine.npz",
        "--attacks",
        "fgsm",
        "--radius",
        "0.1",
        "--out",
        "run",
    )
    Path("mine.npz").rename("moved.npz")
    assert "cannot read mine.npz" in said(capsys, 2, "verify", "run")
    assert "0 disagree" in said(capsys, 0, "verify", "run", "--data", "moved.npz")
    np.savez("other.npz", images=BYTES[::-1], labels=LABELS[:40].numpy())
    with pytest.raises(SystemExit) as end:
        main(["verify", "run", "--data", "other.npz"])
    assert end.value.code == 4


def test_other_images_of_the_same_name_are_measured_anew(capsys: pytest.CaptureFixture[str]):
    command = ["signal", "digits-float", "--data", "mine.npz", "--images", "5", "--out", "signal"]
    said(capsys, 0, *command)
    np.savez("mine.npz", images=BYTES[::-1], labels=LABELS[:40].flip(0).numpy())
    assert "holds another run" in said(capsys, 2, *command)


def test_folders_of_numbers_hold_the_classes_of_these_numbers(tmp_path: Path):
    for name in ("0", "2", "10"):
        (tmp_path / "numbers" / name).mkdir(parents=True)
        Image.fromarray(BYTES[int(name)][0]).save(tmp_path / "numbers" / name / "one.png")
    (tmp_path / "numbers" / ".hidden").mkdir()
    Image.fromarray(BYTES[0][0]).save(tmp_path / "numbers" / ".hidden" / "one.png")
    images, labels = qa.load_data("numbers")
    assert labels.tolist() == [0, 2, 10]
    assert len(images) == 3


def test_a_run_without_a_folder_lies_under_runs(capsys: pytest.CaptureFixture[str]):
    command = ["evaluate", "digits-float", "--data", "./mine.npz", "--attacks", "fgsm", "--radius", "0.1"]
    assert "record: runs/digits-float-mine-" in said(capsys, 0, *command)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("evaluate --data mine.npz", ("mine.npz has no usual radius", "8/255")),
        ("evaluate --data none.npz --radius 0.1", ("cannot read none.npz",)),
        ("evaluate --data ./nothing --radius 0.1", ("./nothing is not a folder",)),
        ("evaluate --data minst --radius 0.1", ("unknown data set 'minst'", "'mnist'")),
        ("evaluate --data mine.npz --radius 0.1 --attacks fgsm_plus_njs[unit=normalized]", ("deviation of mine.npz",)),
        ("evaluate --data mine.npz --radius 0.1 --attacks liu2020", ("mnist, fashion-mnist, cifar10", "mine.npz")),
        ("evaluate mnist-lenet-float --data mine.npz --radius 0.1", ("images of shape (1, 8, 8)",)),
        ("signal mnist-lenet-float --data mine.npz", ("images of shape (1, 8, 8)",)),
        ("inspect mnist-lenet-float --data mine.npz", ("images of shape (1, 8, 8)",)),
        ("evaluate --data empty.npz --radius 0.1", ("empty.npz holds no images",)),
        ("inspect digits-float --data empty.npz", ("empty.npz holds no images",)),
        ("evaluate --data many.npz --radius 0.1", ("labels run from 0 to 10", "classes 0 to 9")),
        ("evaluate --data floats.npz --radius 0.1", ("must lie in [0, 1]", "divide them by 255")),
        (f"evaluate --data {'x' * 300} --radius 0.1", ("unknown data set",)),
        (f"evaluate --data ./{'x' * 300} --radius 0.1", ("is not a folder",)),
        ("evaluate --data run.yaml --radius 0.1", ("run.yaml is not a folder; give an .npz file",)),
        ("evaluate --config run.yaml", ("mine.npz has no usual radius",)),
        ("signal digits-float --data mine.npz --unit normalized", ("deviation of mine.npz",)),
        ("inspect digits-float --data none.npz", ("cannot read none.npz",)),
        ("reproduce gupta2022 table12 digits-float --data mine.npz", ("mnist", "quantattack evaluate")),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: str, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    line = said(capsys, 2, *arguments.split())
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert all(part in line for part in parts), line


def test_they_are_not_trained_on():
    with pytest.raises(qa.InputError, match="test images"):
        qa.load_data("mine.npz", split="train")
