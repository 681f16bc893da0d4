"""Deployed files attacked: the tables, what their PNG files reproduce, how exact the twins are, and what they cost.

Usage: python benchmarks/deployed.py [--only tables,formats,ratios] [--names a,b] [--images 500] [--data-root DATA]

`tables` evaluates each file at 1/255, 2/255 and 4/255 on pixels beside its float network, and judges every success once
more from its PNG file in a process that imports the runtime, Pillow and NumPy alone; the records go to
results/deployed/<name>, the counts to results/deployed/reproduced.json.  `formats` compares twins with runtimes on the
same images and on noise, and `ratios` times a twin against its float network and a judged evaluation against one
without the runtime, side by side in one run.  What the working folder holds is not run again.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import quantattack as qa
from quantattack.data.sets import is_path, load_data
from quantattack.data.streams import stream_data
from quantattack.deployed import Int8, export_onnx, load
from quantattack.deployed.agreement import agreement
from quantattack.deployed.base import DeployedModel
from quantattack.deployed.load import located
from quantattack.evaluation.deployed import noise
from quantattack.record.store import Store
from quantattack.types import Images

ROOT = Path(__file__).parents[1]
RADII = "1/255,2/255,4/255"
STEPS = ("tables", "formats", "ratios")
FORMS = (Int8("qdq"), Int8("qdq", "s8"), Int8("qoperator"), Int8("qoperator", "u8", "u8"))
CALIBRATION, CHECKED = 500, 100  # images


@dataclass(frozen=True)
class Case:
    """A deployed file and the float network that it was made of.

    Arguments:
        name: The record's name.
        file: A published file's name; none for a network of the zoo, which is exported and quantized.
        relative: The float network, by name.
        data: The data set.
    """

    name: str
    relative: str
    file: str | None = None
    data: str = "cifar10"


CASES = (
    Case("mlperf-tiny-resnet8-int8", "mlperf-tiny/resnet8-float", "mlperf-tiny/resnet8-int8"),
    Case("cifar10-resnet8-float-qdq", "cifar10-resnet8-float"),
    Case("cifar10-vgg5-mdtanhs-qdq", "cifar10-vgg5-mdtanhs"),
    Case("cifar10-vgg5-bnn-waq-qdq", "cifar10-vgg5-bnn-waq"),
    Case("cifar10-resnet8-float-adv-qdq", "cifar10-resnet8-float-adv"),
)


@dataclass(frozen=True)
class Settings:
    """What the command says.

    Arguments:
        images: How many test images are attacked and compared.
        root: Folder of the data sets; none for the variable QUANTATTACK_DATA.
        out: Where the records go.
        work: Where exported files and attacked images go, which are large.
        radii: The radii.
        pairs: How many times each side of a ratio is timed.
        attacks: Attacks in place of the suite of deployed files, to try it out.
    """

    images: int
    root: str | None
    out: Path
    work: Path
    radii: str = RADII
    pairs: int = 5
    attacks: str | None = None


def exported(case: Case, settings: Settings, how: Int8) -> Path:
    """Return the file of a network of the zoo in 8 bits, calibrated on training images."""
    path = settings.work / "files" / f"{case.relative}-{how.text.replace(' ', '-')}.onnx"
    if not path.is_file():
        images = load_data(case.data, settings.root)[0][:CHECKED]
        training = stream_data(case.data, settings.root, "test" if is_path(case.data) else "train")
        seen = training.take(range(min(CALIBRATION, len(training))))[0]
        export_onnx(qa.load_model(case.relative), path, images, int8=how, calibration=seen, about={"data": case.data})
    return path


def file_of(case: Case, settings: Settings) -> str:
    """Return the published file's name, or the path of the exported one."""
    return case.file or str(exported(case, settings, FORMS[0]))


def opened(name: str, settings: Settings) -> nn.Module:
    """Open a model by its name, with published files in the data root."""
    if settings.root:
        os.environ["QUANTATTACK_DATA"] = settings.root
    return qa.load_model(name)


def python(*arguments: str, within: Path) -> str:
    """Run Python in a process of its own in a folder, and return what it printed."""
    within.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"PYTHONPATH": str(Path(qa.__file__).parents[1])}  # this package, wherever it runs
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=within, env=env)
    if done.returncode:
        sys.exit(f"failed: {' '.join(arguments)}")
    return done.stdout


def table(case: Case, settings: Settings) -> dict[str, Any]:
    """Evaluate a file beside its float network, keep the record, and judge its successes from their PNG files."""
    run, kept = settings.work / "runs" / case.name, settings.out / case.name
    file = file_of(case, settings)
    model = case.file or Path(file).name  # a record names no folder of this machine
    command = ["-m", "quantattack", "evaluate", model, "--float", case.relative, "--data", case.data, "--quiet"]
    command += ["--radius", settings.radii, "--images", str(settings.images), "--save-images", "png", "--out", str(run)]
    command += ["--attacks", settings.attacks] if settings.attacks else []
    command += ["--data-root", settings.root] if settings.root else []
    print(python(*command, within=settings.work / "files"), flush=True)
    kept.mkdir(parents=True, exist_ok=True)
    for path in [run / "record.sqlite", *run.glob("gallery-*.safetensors")]:
        shutil.copy2(path, kept / path.name)
    return reproduced(located(file, settings.root), model, run)


def reproduced(path: str, model: str, run: Path) -> dict[str, Any]:
    """Judge the successes on a file from their PNG files, with the runtime alone."""
    store = Store.load(run)
    records = [record for record in store.records() if record.subject.model == model]
    numbers = [store.subjects().index(record.subject) + 1 for record in records]
    folders = [str(run / "images" if number == 1 else run / "images" / str(number)) for number in numbers]
    successes = sum(int(cell.broken[cell.right].sum()) for record in records for cell in record.by_attack.values())
    kind = "onnx" if path.endswith(".onnx") else "tflite"
    script = [sys.executable, str(ROOT / "examples" / f"judge_{kind}.py"), path, *folders]
    said = subprocess.run(script, stdout=subprocess.PIPE, text=True).stdout.split()
    return {"successes": successes, "judged": int(said[2]), "reproduced": int(said[0])}


def formats(case: Case, settings: Settings) -> dict[str, Any]:
    """How exact the twins of a file are, or of a network of the zoo in every 8-bit form: on test images and noise."""
    images = load_data(case.data, settings.root)[0][: settings.images]
    files = {case.file: ("litert:xnnpack", "litert:reference")} if case.file else {}
    forms = {} if case.file else {str(exported(case, settings, how)): how.text for how in FORMS}
    found = {}
    for name, runtimes in files.items():
        opened(name, settings)  # says at once what is missing
        found |= {f"tflite, {each.split(':')[1]}": compared(load(name, runtime=each), images) for each in runtimes}
    return found | {f"onnx, {text}": compared(load(path), images) for path, text in forms.items()}


def compared(model: DeployedModel, images: Images) -> dict[str, Any]:
    return {"runtime": model.artifact.runtime} | {
        kind: asdict(agreement(model, shown)) for kind, shown in {"clean": images, "noise": noise(images)}.items()
    }


class Unjudged(nn.Module):
    """A deployed model's twin without the runtime: searched, and believed."""

    def __init__(self, model: DeployedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Images) -> torch.Tensor:
        return self.model.twin(self.model.shown(images))


def ratios(case: Case, settings: Settings) -> dict[str, Any]:
    """A twin's forward and backward against the float network's, and an evaluation with the runtime against without."""
    model, relative = opened(file_of(case, settings), settings), opened(case.relative, settings)
    images, labels = (each[: min(CHECKED, settings.images)] for each in load_data(case.data, settings.root))
    twin = timed(lambda: walked(model, images, labels), lambda: walked(relative, images, labels), settings.pairs)
    threat = qa.Threat("linf", 2 / 255, levels=256)
    attacks = {"pgd": qa.pgd(threat), "gap": qa.pgd_plus(threat, qa.Gap())}

    def judged(network: nn.Module) -> qa.Record:
        return qa.evaluate(network, images, labels, attacks, threat, batch_size=len(images), progress=False)

    alone = Unjudged(model).eval()
    cost = timed(lambda: judged(model), lambda: judged(alone), max(1, settings.pairs // 2))
    passes = [passes_of(judged(network)) for network in (model, alone)]
    return {
        "images": len(images),
        "twin over float network": round(twin, 3),
        "evaluation with the runtime over without": round(cost, 3),
        "passes with the runtime over without": round(passes[0] / passes[1], 3),
    }


def walked(model: nn.Module, images: Images, labels: torch.Tensor) -> None:
    """One forward and one backward pass to the images."""
    x = images.clone().requires_grad_()
    torch.autograd.grad(cross_entropy(model(x), labels, reduction="sum"), x)


def passes_of(record: qa.Record) -> int:
    cells = record.by_attack.values()
    return sum(int(cell.outcomes[kind].sum()) for cell in cells for kind in ("forwards", "backwards"))


def timed(ours: Callable[[], object], bare: Callable[[], object], pairs: int) -> float:
    """Return the median ratio of two durations, timed alternately, so that a busy machine disturbs both."""
    ours(), bare()
    return statistics.median(seconds(ours) / seconds(bare) for _ in range(pairs))


def seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def write(name: str, found: dict[str, Any], settings: Settings) -> None:
    """Add what was found to a file of results; what else is in it stays."""
    path = settings.out / f"{name}.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    settings.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept | found, indent=1) + "\n", encoding="utf-8")


def main(given: Sequence[str] | None = None, cases: Sequence[Case] = CASES) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--names", default="")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--radius", default=RADII)
    parser.add_argument("--attacks")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--data-root")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "deployed")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "deployed")
    asked = parser.parse_args(given)
    root, work = asked.data_root and str(Path(asked.data_root).resolve()), asked.work.resolve()
    settings = Settings(asked.images, root, asked.out, work, asked.radius, asked.pairs, asked.attacks)
    chosen = [case for case in cases if not asked.names or case.name in asked.names.split(",")]
    steps = {"tables": ("reproduced", table), "formats": ("formats", formats), "ratios": ("ratios", ratios)}
    for step in asked.only.split(","):
        name, run = steps[step]
        for case in chosen:
            found = run(case, settings)
            write(name, {case.name: found}, settings)
            print(f"{case.name}: {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
