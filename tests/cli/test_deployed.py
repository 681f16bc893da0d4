"""Deployed files on the command line: evaluate, show, report, verify, inspect, compare, diagnose, and wrong input."""

import json
from pathlib import Path

import pytest

from deployed.fake import Write
from quantattack.cli import main
from quantattack.cli.deployed import file_options
from quantattack.cli.run_file import read_run_file
from quantattack.cli.tasks import tasks_of
from quantattack.errors import InputError
from quantattack.record.store import Store

SHORT = ("--data", "digits", "--images", "16", "--radius", "0.15", "--attacks", "pgd,pgd_logits", "--quiet")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_a_file_is_evaluated_shown_verified_compared_and_reported(
    fake: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path, run = fake(factor=8.0, shift=0.05), tmp_path / "run"
    code, out, err = said(capsys, "evaluate", str(path), "--float", "digits-float", *SHORT, "--out", str(run))
    assert (code, err) == (0, "")
    assert "Deployed models, %" in out
    assert "A robustness number is one of file and runtime" in " ".join(out.split())
    assert "PGD's number cannot be trusted" in " ".join(out.split())
    assert "because the largest output of the file's softmax is at its maximum 255/256" in " ".join(out.split())
    records = Store.load(run).records()
    assert [record.subject.model for record in records] == [str(path), "digits-float"]
    assert [list(record.attacks) for record in records] == [["pgd", "pgd_logits"], ["pgd"]]
    assert records[0].subject.threat == records[1].subject.threat  # on the same pixels

    code, out, _ = said(capsys, "show", str(run))
    assert code == 0
    assert "Deployed models, %" in out
    code, out, _ = said(capsys, "compare", str(run))
    assert code == 0
    assert "digits-float" in out
    code, out, _ = said(capsys, "verify", str(run))
    assert (code, out.count("0 disagree")) == (0, 2)
    code, out, _ = said(capsys, "report", str(run))
    page = (run / "report.html").read_text(encoding="utf-8")
    assert code == 0
    for words in (
        "Deployed models: what each attack alone says",
        "ordinary PGD",
        "SHA-256",
        "fake 1.0",
        "Ties decided",
    ):
        assert words in page


def test_verify_opens_the_file_as_it_was_attacked(fake: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, run = fake(quantized=False), tmp_path / "run"
    said(capsys, "evaluate", str(path), *SHORT, "--range", "0,255", "--runtime", "fake:reference", "--out", str(run))
    code, out, _ = said(capsys, "verify", str(run))
    assert (code, "0 disagree" in out) == (0, True)
    code, out, _ = said(capsys, "verify", str(run), "--range", "0,254")
    assert (code, "another checksum" in out) == (4, True)


def test_inspect_says_what_the_file_is_and_whether_its_twin_agrees(fake: Write, capsys: pytest.CaptureFixture[str]):
    code, out, _ = said(capsys, "inspect", str(fake(shift=0.1)), "--data", "digits")
    assert code == 0
    words = " ".join(out.split())
    for expected in ("SHA-256", "fake 1.0, kernels default", "a step of 1 is 1 pixel level", "0.0% of the pixels"):
        assert expected in words
    assert words.count("twin against runtime") == 3
    assert "of the outputs of" in words


def test_diagnose_says_on_how_many_images_other_kernels_are_right(fake: Write, capsys: pytest.CaptureFixture[str]):
    path = fake(factor=8.0)
    limits = ("--data", "digits", "--images", "24", "--radius", "0.15", "--budget", "20")
    code, out, _ = said(capsys, "diagnose", str(path), *limits)
    words = " ".join(out.split())
    assert code == 3
    assert "saturated_softmax" in words
    assert "kernels, fake:reference" in words
    assert "of 24 images here and on" in words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("digits-float", "--layout", "nhwc"), "digits-float takes pixels in [0, 1] as it is"),
        (("{file}",), "does not say what it was trained on; name the images' data set with --data"),
        (("{file}", "--data", "digits", "--layout", "hwc"), "the layout must be nchw, nhwc or flat, not 'hwc'"),
        (("{file}", "--data", "digits", "--range", "0,x"), "--range must be numbers like 0,255, not '0,x'"),
        (("{file}", "--data", "digits", "--mean", "0.5"), "mean and std must have one number per channel"),
        (("{file}", "--data", "digits", "--runtime", "tvm"), "this file is run by fake, not by 'tvm'"),
        (("{file}", "--data", "digits", "--attacks", "transfer"), "name it with --float"),
        (("{file}", "--data", "digits", "--float", "digits-flaot"), "did you mean 'digits-float'"),
        (("{file}", "--data", "digits", "--float", "mnist-lenet-float"), "does not take images of shape (1, 8, 8)"),
        (("{file}", "--data", "digits", "--speed", "fold"), "a deployed file is run as it is"),
        (("nothing.fake", "--data", "digits"), "there is no file nothing.fake"),
        (("{unsaid}", "--data", "digits"), "state what black and white are with --range"),
        (("{unsaid}", "--data", "digits", "--range", "0,1", "--layout", "nchw"), "they are not resized"),
    ],
)
def test_wrong_input_is_one_line(
    fake: Write, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
):
    paths = {"file": fake(), "unsaid": fake("unsaid.fake", quantized=False)}
    code, out, err = said(capsys, "evaluate", *(text.format(**paths) for text in arguments), "--quiet")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_float_network_of_other_classes_is_refused(
    fake: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = "torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 12)).eval()"
    (tmp_path / "twelve_classes.py").write_text(f"import torch\n\n\ndef make():\n    return {made}\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = said(capsys, "evaluate", str(fake()), "--float", "twelve_classes:make", *SHORT)
    assert code == 2
    assert "the network of --float has 12 classes and" in err


def test_a_run_file_says_what_pixels_mean_and_names_the_float_network(fake: Write, tmp_path: Path):
    text = f"models: [{fake(quantized=False)}]\ndata: digits\nfloat: digits-float\nrange: [0, 255]\nimages: 8\n"
    (tmp_path / "run.yaml").write_text(text + "threats: {radius: 0.1}\n")
    plan = read_run_file(tmp_path / "run.yaml")
    tasks = list(tasks_of(plan))
    assert [list(task.attacks) for task in tasks] == [
        ["pgd", "transfer", "square", "pgd_logits", "gap", "log_odds", "rivals", "close"],
        ["pgd", "gap", "log_odds", "rivals"],
    ]
    (tmp_path / "wrong.yaml").write_text("models: [digits-float]\nfloats: x\n")
    with pytest.raises(InputError, match=r"there is no setting floats; there are models.* float, layout, range"):
        read_run_file(tmp_path / "wrong.yaml")


def test_options_are_read_from_texts_and_lists():
    options = file_options("nhwc", "0, 255", ["0.5", "0.4", "0.3"], "1,1,1", "litert:reference")
    assert options.meaning.range == (0.0, 255.0)
    assert options.meaning.mean == (0.5, 0.4, 0.3)
    assert options.runtime == "litert:reference"
    assert file_options() == file_options(None, [], None, None)


def test_the_summary_in_json_is_of_both_models(fake: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    said(capsys, "evaluate", str(fake()), "--float", "digits-float", *SHORT, "--out", str(run))
    code, out, _ = said(capsys, "show", str(run), "--json")
    assert code == 0
    assert [row["data"] for row in json.loads(out)] == ["digits", "digits"]
