"""Every wrong input is one line that says what is wrong: on the command line and in Python."""

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

import bad_models
from commands import command
from quantattack import (
    L1,
    L2,
    Ensemble,
    Fixed,
    Gap,
    Hns,
    InFloat64,
    InputError,
    Linf,
    Njs,
    Quantized,
    Record,
    Restarts,
    Threat,
    cross_entropy,
    dlr,
    evaluate,
    fgsm,
    load_data,
    load_model,
    pgd,
    pqgd,
    square,
)
from quantattack.nn.zoo import path_of

THREAT = Threat(Linf(), 0.2)
SHORT = ["--images", "16", "--quiet"]


@pytest.fixture(autouse=True)
def as_users_run_it(monkeypatch: pytest.MonkeyPatch):
    """The shape checks of the tests would speak before the package does."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@dataclass(frozen=True)
class Case:
    """A command and what its one line must say.

    Arguments:
        arguments: The command; {name} stands for something in the folder.
        says: Parts of the line.
        has: Makes the something.
    """

    arguments: str
    says: tuple[str, ...]
    has: Callable[[Path], Any] | None = None


def evaluating(arguments: str, *says: str, has: Callable[[Path], Any] | None = None) -> Case:
    return Case(f"evaluate --images 16 --quiet --attacks fgsm --out {{folder}}/run {arguments}", says, has)


def model(name: str, *says: str) -> Case:
    return evaluating(f"--data digits bad_models:{name}", *says)


def foreign_database(folder: Path) -> None:
    (folder / "run").mkdir()
    connection = sqlite3.connect(folder / "run" / "record.sqlite")
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()


def foreign_file(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "record.sqlite").write_bytes(b"not a database at all, " * 100)


def another_run(folder: Path) -> None:
    command(*["evaluate", *SHORT, "--attacks", "fgsm", "--seed", "1", "--out", str(folder / "run")])


def another_version(folder: Path) -> None:
    another_run(folder)
    connection = sqlite3.connect(folder / "run" / "record.sqlite")
    connection.execute("UPDATE run SET value = '99' WHERE key = 'format'")
    connection.commit()
    connection.close()


def checkpoint(change: Callable[[bytes], bytes], *says: str) -> Case:
    """A carried checkpoint, changed."""

    def write(folder: Path) -> None:
        (folder / "x.safetensors").write_bytes(change(path_of("digits-mdtanhs").read_bytes()))

    return evaluating("{folder}/x.safetensors", *says, has=write)


def flipped(data: bytes) -> bytes:
    return data[:-7] + bytes([data[-7] ^ 1]) + data[-6:]


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder / "sprung"),)


def pickled(folder: Path) -> None:
    torch.save({"weights": Trap(folder)}, folder / "trap.pt")


def bare_pickle(folder: Path) -> None:
    (folder / "trap.safetensors").write_bytes(pickle.dumps(Trap(folder)))


def old_pickle(folder: Path) -> None:
    (folder / "trap.safetensors").write_bytes(pickle.dumps(Trap(folder), protocol=0))


COMMANDS = {
    "no such command": Case("evalute", ("evalute",)),
    "unknown model": evaluating("digits-mdtanh", "unknown model", "'digits-mdtanhs'"),
    "no such checkpoint": evaluating("{folder}/none.safetensors", "none.safetensors"),
    "unknown attack": evaluating("--attacks pgdd", "unknown attack 'pgdd'", "'pgd'"),
    "unknown data": evaluating("--data digit", "unknown data set 'digit'", "'digits'"),
    "unknown norm": evaluating("--norm linff", "unknown norm 'linff'", "'linf'"),
    "unknown device": evaluating("--device cudo", "unknown device 'cudo'", "'cuda'"),
    "device that is not here": evaluating("--device cuda:77", "cuda:77"),
    "unknown list": Case("list model", ("unknown list 'model'", "'models'")),
    "unknown option": evaluating("--radus 0.1", "--radus", "--radius"),
    "option without value": Case("evaluate --radius", ("--radius",)),
    "unknown recipe of training": Case("train nothing --out {folder}/x.safetensors", ("nothing",)),
    "setting that the attack has not": evaluating("--attacks pgd[step=4]", "setting of pgd 'step'", "'steps'"),
    "setting of another attack": evaluating("--attacks fgsm[steps=4]", "setting of fgsm 'steps'"),
    "setting that is not whole": evaluating("--attacks pgd[steps=4.5]", "steps", "whole number", "'4.5'"),
    "setting that is no number": evaluating("--attacks pgd[step_size=wide]", "step_size", "a number", "'wide'"),
    "setting that is no switch": evaluating("--attacks pgd[random_start=2]", "random_start", "true or false"),
    "setting without value": evaluating("--attacks pgd[steps]", "'steps'", "steps=40"),
    "setting out of its range": evaluating("--attacks pgd[steps=0]", "steps", "from 1 on"),
    "setting out of its range, l2": evaluating("--norm l2 --attacks pgd[steps=0]", "steps", "from 1 on"),
    "negative step size": evaluating("--attacks pgd[step_size=-1]", "step_size", "positive"),
    "huge setting": evaluating("--attacks pgd[step_size=1e999]", "step_size", "a number"),
    "no restart": evaluating("--attacks pgd[restarts=0]", "restarts", "from 1 on"),
    "no point for hns": evaluating("--attacks pgd_plus_hns[points=0]", "points", "from 2 on"),
    "no level": evaluating("--attacks pqgd[levels=0]", "levels"),
    "beta zero": evaluating("--attacks pgd_plus_fixed[beta=0]", "beta", "positive"),
    "rho one": evaluating("--attacks pgd_plus_njs[rho=1]", "rho", "between 0 and 0.5"),
    "unit of njs": evaluating("--attacks pgd_plus_njs[unit=pixels]", "unknown unit 'pixels'", "'pixel'"),
    "no query": evaluating("--attacks square[queries=0]", "queries", "from 1 on"),
    "unclosed bracket": evaluating("--attacks pgd[steps=4", "cannot read the attack"),
    "settings of standard": evaluating("--attacks standard[steps=4]", "standard takes no settings"),
    "no attack": evaluating("--attacks ,", "no attack is named"),
    "radius zero": evaluating("--radius 0", "radius must be a positive number"),
    "radius negative": evaluating("--radius=-0.1", "radius must be a positive number"),
    "radius over the range": evaluating("--radius 1.5", "over the pixel range"),
    "radius over the range, l2": evaluating("--norm l2 --radius 8.5", "over the range", "8"),
    "radius no number": evaluating("--radius wide", "radius must be a positive number", "'wide'"),
    "radius nan": evaluating("--radius nan", "radius must be a positive number"),
    "radius infinite": evaluating("--radius inf", "radius must be a positive number"),
    "radius by zero": evaluating("--radius 8/0", "radius must be a positive number", "'8/0'"),
    "radius beyond floats": evaluating("--radius 1e99999999999", "radius must be a positive number"),
    "no radius": evaluating("--radius ,", "radius must be a positive number"),
    "batch size zero": evaluating("--batch-size 0", "batch_size", "from 1 on", "0"),
    "batch size no number": evaluating("--batch-size many", "--batch-size", "whole number"),
    "no images": evaluating("--images 0", "--images", "from 1 on"),
    "negative images": evaluating("--images=-3", "--images", "from 1 on"),
    "negative seed": evaluating("--seed=-1", "seed", "from 0 on"),
    "no data files": evaluating("--data mnist --data-root {folder}", "mnist"),
    "model for another size": model("other_size", "(1, 8, 8)", "784"),
    "probabilities": model("probabilities", "probabilities", "softmax"),
    "nan logits": model("nan", "NaN or infinite logits"),
    "infinite logits": model("infinite", "NaN or infinite logits"),
    "too few rows": model("too_few_rows", "15 rows", "16 images"),
    "too many rows": model("too_many_rows", "32 rows", "16 images"),
    "one class": model("one_class", "one class only", "torch.cat([-z, z], 1)"),
    "no class axis": model("no_class_axis", "(n, classes)", "(16,)", "torch.stack([-z, z], 1)"),
    "a pair of logits": model("pair", "(n, classes)", "tuple"),
    "a mapping": model("mapping", "(n, classes)", "dict"),
    "an array": model("array", "(n, classes)", "ndarray"),
    "integer logits": model("integers", "floating-point", "torch.int64"),
    "detached model": model("detached", "no gradient path", "square"),
    "integer model": model("rounded", "no gradient path", "square"),
    "model through numpy": model("through_numpy", "no gradient path", "square"),
    "no jacobian for njs": evaluating("--data digits --attacks pgd_plus_njs bad_models:detached", "no gradient path"),
    "no module": evaluating("--data digits no_such_module:model", "no_such_module:model", "ModuleNotFoundError"),
    "no function": model("no_such_function", "bad_models:no_such_function", "unknown name in bad_models"),
    "function that raises": model("failing", "RuntimeError: no such weights here"),
    "function that wants more": model("needs_an_argument", "missing a required argument"),
    "function of something else": model("not_a_model", "torch.nn.Module", "str"),
    "labels that the model has not": model("two_classes", "labels run from 0 to 9", "classes 0 to 1"),
    "model that raises late": model("raises_late", "the model raised ValueError: no such layer", "images", "--debug"),
    "model that exits late": model("exits_late", "the model raised SystemExit: 0", "images"),
    "model that raises while it is fitted": evaluating(
        "--data digits --attacks pgd_plus_njs bad_models:raises_while_fitted", "the model raised KeyError", "fitted"
    ),
    "pqgd under l2": evaluating("--norm l2 --attacks pqgd", "pqgd works under linf"),
    "empty checkpoint": checkpoint(lambda data: b"", "x.safetensors is empty"),
    "cut checkpoint": checkpoint(lambda data: data[:-9], "cut off"),
    "checkpoint cut in its header": checkpoint(lambda data: data[:99], "cut off"),
    "corrupt checkpoint": checkpoint(flipped, "changed"),
    "noise as a checkpoint": checkpoint(lambda data: bytes(range(256)) * 9, "not a checkpoint"),
    "torch.save as a checkpoint": evaluating("{folder}/trap.pt", "pickle", "safetensors", has=pickled),
    "pickle as a checkpoint": evaluating("{folder}/trap.safetensors", "pickle", has=bare_pickle),
    "old pickle as a checkpoint": evaluating("{folder}/trap.safetensors", "not a checkpoint", has=old_pickle),
    "another run's folder": evaluating("", "holds another run", "seed", "--out", has=another_run),
    "another version's folder": evaluating("", "another version", has=another_version),
    "foreign database": evaluating("", "not a record", has=foreign_database),
    "foreign file": evaluating("", "not a record", has=foreign_file),
    "file in the folder's place": evaluating("", "cannot write", has=lambda folder: (folder / "run").write_text("")),
    "show of nothing": Case("show {folder}", ("no record in",)),
    "show of a foreign database": Case("show {folder}/run", ("not a record",), foreign_database),
    "show of a foreign file": Case("show {folder}/run --json", ("not a record",), foreign_file),
    "show of another version": Case("show {folder}/run", ("another version",), another_version),
    "report of nothing": Case("report {folder}/none", ("no record in",)),
    "report of a foreign file": Case("report {folder}/run", ("not a record",), foreign_file),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS.values(), ids=COMMANDS)
def test_a_wrong_command_is_one_line(case: Case, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch):
    if case.has:
        case.has(tmp_path)
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    code = command(*[part.format(folder=tmp_path) for part in case.arguments.split()])
    said = capsys.readouterr()
    assert code == 2, said
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.endswith("\n")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    for part in case.says:
        assert part in said.err
    assert not (tmp_path / "sprung").exists()


def test_there_are_as_many_cases_as_promised():
    assert len(COMMANDS) >= 24
    assert len(CALLS) >= 24


PROCESSES = ["detached model", "torch.save as a checkpoint"]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_wrong_command_is_one_line_of_a_process(name: str, tmp_path: Path):
    case = COMMANDS[name]
    if case.has:
        case.has(tmp_path)
    arguments = [part.format(folder=tmp_path) for part in case.arguments.split()]
    done = process(arguments, Path(__file__).parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sprung").exists()


def process(arguments: list[str], folder: Path) -> Any:
    command = [sys.executable, "-m", "quantattack", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_the_trap_springs_where_a_pickle_is_loaded(tmp_path: Path):
    bare_pickle(tmp_path)
    pickle.loads((tmp_path / "trap.safetensors").read_bytes())
    assert (tmp_path / "sprung").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: Any):
    tmp_path.chmod(0o500)
    assert command(*["evaluate", *SHORT, "--attacks", "fgsm", "--out", str(tmp_path / "run")]) == 2
    assert "cannot write" in capsys.readouterr().err


Call = Callable[[Path], Any]


def data(count: int = 16) -> tuple[Tensor, Tensor]:
    images, labels = load_data("digits")
    return images[:count].clone(), labels[:count].clone()


def calling(**changed: Any) -> Call:
    """An evaluation of 16 digits that is right but for what is changed; a lambda is called to make it."""

    def call(folder: Path) -> Any:
        images, labels = data()
        given = {"model": bad_models.good(), "images": images, "labels": labels, "attacks": {"fgsm": fgsm(THREAT)}}
        settings = {**given, "threat": THREAT, **changed}
        return evaluate(**{name: value() if _is_lambda(value) else value for name, value in settings.items()})

    return call


def _is_lambda(value: Any) -> bool:
    return getattr(value, "__name__", "") == "<lambda>"


def pixels(change: Callable[[Tensor], Any]) -> Call:
    return calling(images=lambda: change(data()[0]))


def classes(change: Callable[[Tensor], Any]) -> Call:
    return calling(labels=lambda: change(data()[1]))


def wrong_model(name: str) -> Call:
    return calling(model=lambda: getattr(bad_models, name)())


def attacked(**attacks: Any) -> Call:
    return calling(attacks=attacks)


def with_entry(values: Tensor, entry: float) -> Tensor:
    values.view(-1)[3] = entry
    return values


class Items(Dataset[Any]):
    """A data set of given items."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Any:
        return self.items[position]


def items(*of: Any) -> Call:
    return calling(images=lambda: Items(list(of)), labels=None)


def same_folder_twice(folder: Path) -> Any:
    images, labels = data()
    for seed in (0, 1):
        evaluate(bad_models.good(), images, labels, {"fgsm": fgsm(THREAT)}, THREAT, seed=seed, out=folder / "run")


IMAGE = torch.zeros(1, 8, 8)
CALLS: dict[str, tuple[Call, tuple[str, ...]]] = {
    "unknown model": (lambda folder: load_model("digits-mdtanh"), ("'digits-mdtanhs'",)),
    "unknown data": (lambda folder: load_data("digit"), ("'digits'",)),
    "unknown split": (lambda folder: load_data("digits", split="tests"), ("'test'",)),
    "radius zero": (lambda folder: Threat(Linf(), 0), ("positive number",)),
    "radius negative": (lambda folder: Threat(L2(), -1.0), ("positive number",)),
    "radius nan": (lambda folder: Threat(L1(), float("nan")), ("positive number",)),
    "radius infinite": (lambda folder: Threat(L1(), float("inf")), ("positive number",)),
    "radius text": (lambda folder: Threat(Linf(), "8/255"), ("positive number", "8/255")),  # type: ignore[arg-type]
    "radius over the range": (lambda folder: Threat(Linf(), 1.01), ("over the pixel range",)),
    "radius over the range, l1": (calling(threat=Threat(L1(), 65.0)), ("over the range", "64")),
    "no such norm": (lambda folder: Threat("lin", 0.1), ("unknown norm", "'linf'")),
    "range upside down": (lambda folder: Threat(Linf(), 0.1, 1.0, 0.0), ("low < high",)),
    "no threat": (calling(threat=0.2), ("Threat(Linf(), 8 / 255)",)),
    "no step": (lambda folder: pgd(THREAT, steps=0), ("steps",)),
    "no step under l2": (lambda folder: pgd(Threat(L2(), 1.0), steps=0), ("steps",)),
    "steps as text": (lambda folder: pgd(THREAT, steps="20"), ("steps", "'20'")),  # type: ignore[arg-type]
    "step size zero": (lambda folder: pgd(THREAT, step_size=0.0), ("step_size",)),
    "no restart": (lambda folder: Restarts(fgsm(THREAT), 0), ("restarts",)),
    "no attack in strongest": (lambda folder: Ensemble({}), ("at least one",)),
    "no query": (lambda folder: square(THREAT, 0), ("queries",)),
    "pqgd under l2": (lambda folder: pqgd(Threat(L2(), 1.0)), ("linf",)),
    "unknown rounding": (lambda folder: pqgd(THREAT, rounding="stochastc"), ("rounding", "'stochastic'")),
    "no level": (lambda folder: Quantized(0), ("levels",)),
    "beta zero": (lambda folder: Fixed(0.0), ("beta",)),
    "c negative": (lambda folder: Gap(-1.0), ("c must be",)),
    "rho too large": (lambda folder: Njs(1.0, rho=0.5), ("rho",)),
    "no point for hns": (lambda folder: Hns(points=1), ("points",)),
    "njs without a gradient": (lambda folder: Njs.fit(bad_models.detached(), data()[0]), ("no gradient path",)),
    "dlr with 2 classes": (
        calling(model=lambda: bad_models.two_classes(), labels=lambda: torch.zeros(16).long(),
                attacks={"dlr": pgd(THREAT, loss=dlr)}), ("dlr", "at least 3 classes")),
    "batch size zero": (calling(batch_size=0), ("batch_size",)),
    "batch size float": (calling(batch_size=8.0), ("batch_size", "8.0")),
    "negative seed": (calling(seed=-1), ("seed",)),
    "seed float": (calling(seed=0.5), ("seed",)),
    "pixels over 1": (pixels(lambda x: x * 255), ("[0, 1]", "255")),
    "pixels under 0": (pixels(lambda x: x - 0.5), ("[0, 1]", "-0.5")),
    "wrong rank": (pixels(lambda x: x[:, 0, 0, 0]), ("(n, ...)", "(16,)")),
    "nan pixel": (pixels(lambda x: with_entry(x, torch.nan)), ("NaN or infinite",)),
    "infinite pixel": (pixels(lambda x: with_entry(x, torch.inf)), ("NaN or infinite",)),
    "integer pixels": (pixels(lambda x: (x * 16).byte()), ("floating point", "uint8")),
    "no images": (pixels(lambda x: x[:0]), ("no images",)),
    "images as text": (pixels(lambda x: ["a", "b"]), ("images", "list")),
    "images missing": (pixels(lambda x: None), ("images", "NoneType")),
    "another size": (pixels(lambda x: torch.zeros(16, 1, 12, 12)), ("(1, 12, 12)",)),
    "label over the classes": (classes(lambda y: with_entry(y, 10)), ("0 to 10", "classes 0 to 9")),
    "label under 0": (classes(lambda y: with_entry(y, -1)), ("from -1",)),
    "labels float": (classes(lambda y: y.float()), ("whole class numbers", "float32")),
    "labels bool": (classes(lambda y: y > 4), ("whole class numbers", "bool")),
    "labels too few": (classes(lambda y: y[:-1]), ("(16,)", "(15,)")),
    "labels one-hot": (classes(lambda y: torch.eye(10).long()[y]), ("(16,)", "(16, 10)")),
    "labels missing": (calling(labels=None), ("labels are missing",)),
    "labels as text": (calling(labels="0123456789012345"), ("labels", "str")),
    "labels beside a data set": (
        calling(images=lambda: Items([(IMAGE, 0)]), labels=torch.zeros(1).long()), ("labels=None",)),
    "empty data set": (items(), ("empty",)),
    "data set of images alone": (items(IMAGE, IMAGE), ("image tensor", "whole label")),
    "data set of float labels": (items((IMAGE, 0.5)), ("whole label",)),
    "data set of two shapes": (items((IMAGE, 0), (IMAGE[:, :7], 0)), ("one shape",)),
    "data set over the range": (items((IMAGE + 2, 0)), ("[0, 1]",)),
    "indices repeat": (calling(indices=torch.zeros(16).long()), ("indices", "different")),
    "indices float": (calling(indices=torch.arange(16.0)), ("indices", "whole")),
    "indices negative": (calling(indices=torch.arange(16) - 1), ("indices", "from 0 on")),
    "indices too few": (calling(indices=[0, 1]), ("indices", "one for each image")),
    "no attacks": (attacked(), ("at least one",)),
    "attacks as a list": (calling(attacks=[fgsm(THREAT)]), ("mapping",)),
    "attack as text": (attacked(pgd="pgd"), ("'pgd'", "model, images, labels")),
    "attack as a class": (attacked(pgd=Restarts), ("'pgd'", "model, images, labels")),
    "attack of two arguments": (attacked(own=bad_models.two_arguments), ("'own'", "attack(model, images, labels)")),
    "attack that loses an image": (attacked(own=bad_models.smaller), ("'own'", "(14, 1, 8, 8)", "(15, 1, 8, 8)")),
    "attack that returns nan": (attacked(own=bad_models.nan_pixels), ("'own'", "NaN")),
    "attack that returns nothing": (attacked(own=bad_models.nothing), ("'own'", "NoneType")),
    "float64 of a function": (lambda folder: InFloat64(fgsm(THREAT))(torch.flatten, *data()), ("torch.nn.Module",)),
    "not callable": (calling(model="digits-mdtanhs"), ("path", "qa.load_model")),
    "no model": (calling(model=None), ("callable", "NoneType")),
    "train mode": (wrong_model("train_mode"), ("train mode", "eval()")),
    "probabilities": (wrong_model("probabilities"), ("softmax",)),
    "nan logits": (wrong_model("nan"), ("NaN or infinite logits",)),
    "too few rows": (wrong_model("too_few_rows"), ("15 rows",)),
    "one class": (wrong_model("one_class"), ("one class only",)),
    "a pair of logits": (wrong_model("pair"), ("tuple",)),
    "integer logits": (wrong_model("integers"), ("torch.int64",)),
    "detached": (wrong_model("detached"), ("no gradient path",)),
    "rounded": (wrong_model("rounded"), ("no gradient path",)),
    "through numpy": (wrong_model("through_numpy"), ("no gradient path",)),
    "another run's folder": (same_folder_twice, ("holds another run", "seed")),
    "no record": (lambda folder: Record.load(folder), ("no record in",)),
}  # fmt: skip


@pytest.mark.parametrize(("call", "says"), CALLS.values(), ids=CALLS)
def test_a_wrong_call_is_one_line(call: Call, says: tuple[str, ...], tmp_path: Path):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call(tmp_path)
    text = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert "\n" not in text
    assert text == text.strip()
    for part in says:
        assert part in text


def test_what_the_wrong_calls_change_was_right():
    assert 0 <= calling()(Path()).worst_case <= 1
    assert calling(images=lambda: data()[0].numpy(), labels=lambda: data()[1].numpy())(Path()).images == 16
    assert calling(attacks={"ce": pgd(THREAT, loss=cross_entropy)})(Path()).attacks == ["ce"]


def test_a_model_without_gradients_can_be_searched_without_them():
    for made in (bad_models.detached(), bad_models.through_numpy(), bad_models.rounded()):
        record = calling(model=made, attacks={"square": square(THREAT, 5)})(Path())
        assert json.dumps(record.summary())
        assert "zero_gradient" in record.codes
