"""A network of 1,000 classes at 224 x 224: passes, time and memory of HNS, NJS, PGD, `standard` and `diagnose`.

    python benchmarks/thousand.py                       # writes results/thousand/run.json, half an hour on one thread
    python benchmarks/thousand.py binary/standard       # one part anew, the others as they stand in the file

The network is the package's ResNet-18 with the stem and the pooling of the one for ImageNet, with random weights, so
that nothing has to be fetched.  Its BatchNorm statistics are those of 32 images, as a trained network's would be those
of its training.  The images are smooth noise.  The labels are the network's own predictions, as a network that was
never trained has no others to be right about.  Its margins are tiny, so a usual radius fools every image at the first
step.  The radius is 1/255, halved until PGD at Gap leaves at least a quarter of the images.

Each part is a process of its own, whose peak memory is that of the whole process, Python and PyTorch included.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import quantattack as qa
from quantattack.attacks.base import passes
from quantattack.diagnostics.diagnose import diagnose
from quantattack.evaluation.models import CountedModel
from quantattack.nn.architectures.resnet import resnet18
from quantattack.nn.quantizers import Sign

OUT = Path(__file__).parents[1] / "results" / "thousand" / "run.json"
CLASSES, SIDE, IMAGES, STEPS = 1000, 224, 8, 20
# the full width, where a few steps show the memory; a quarter of it, where a whole suite runs
WIDTHS = {"hns": 1.0, "njs": 1.0, "pgd": 1.0, "diagnose": 0.25, "standard": 0.25}
PARTS = [f"{kind}/{part}" for kind in ("float", "binary") for part in WIDTHS]


def images_of(seed: int, count: int) -> Tensor:
    """Return smooth noise, in bytes: 14 x 14 random numbers a channel, interpolated."""
    coarse = torch.rand(count, 3, 14, 14, generator=torch.Generator().manual_seed(seed))
    return (nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).round() / 255


def network_of(kind: str, width: float) -> nn.Module:
    """Return the network, float or with signs as weights and activations between stem and head."""
    torch.manual_seed(0)
    network = resnet18(width, CLASSES, affine=True)
    network.conv1 = nn.Conv2d(3, network.conv1.out_channels, 7, 2, 3, bias=False)
    network.relu1 = nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    network.pool = nn.AdaptiveAvgPool2d(1)
    if kind == "binary":
        network = qa.quantize(network, weights=Sign(), activations=Sign(), skip=["conv1", "relu1", "linear"])
    return with_statistics(network, images_of(1, 32))


def with_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over the batches, not a moving one
            module.reset_running_stats()
    network.train()
    with torch.no_grad():
        network(images)
    return network.eval()


def radius_of(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return 1/255, halved until PGD at Gap leaves at least a quarter of the images."""
    radius = 1 / 255
    while True:
        found = qa.pgd_plus(qa.Threat("linf", radius), qa.Gap(), steps=STEPS)(network, images, labels)
        if float((predicted(network, found) == labels).double().mean()) >= 0.25:
            return radius
        radius /= 2


def predicted(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images).argmax(1)


class Case:
    """A network with its images, its labels and the threat."""

    def __init__(self, kind: str, width: float) -> None:
        self.network, self.images = network_of(kind, width), images_of(2, IMAGES)
        self.labels = predicted(self.network, self.images)

    @cached_property
    def threat(self) -> qa.Threat:
        """The threat, whose radius takes a search."""
        return qa.Threat("linf", radius_of(self.network, self.images, self.labels))

    def hns(self) -> dict[str, Any]:
        counted, temperature = CountedModel(self.network), qa.Hns(rivals=20)
        temperature(counted, self.images, self.labels)
        spent = sum(counted.passes.snapshot()) / IMAGES
        return {"passes": spent, "stated": temperature.passes(CLASSES), "of all classes": qa.Hns().passes(CLASSES)}

    def njs(self) -> dict[str, Any]:
        found = qa.Njs.fit(self.network, self.images)
        assert found.sketch is not None
        return {"mean singular value": 1 / found.beta1, **vars(found.sketch)}

    def pgd(self) -> dict[str, Any]:
        return self._evaluated({"pgd": qa.pgd_plus(self.threat, qa.Hns(rivals=20), steps=STEPS)})

    def standard(self) -> dict[str, Any]:
        return self._evaluated(dict(qa.standard(self.threat).attacks))

    def _evaluated(self, attacks: dict[str, Any]) -> dict[str, Any]:
        record = qa.evaluate(self.network, self.images, self.labels, attacks, self.threat)
        most = sum(passes(attack, CLASSES) for attack in attacks.values())
        robust = {name: record.robust(name) for name in attacks}
        return {"passes at most": most, "robust": robust, "worst case": record.worst_case}

    def diagnose(self) -> dict[str, Any]:
        found = diagnose(self.network, self.images, self.labels, self.threat)
        verdicts = {finding.check: finding.verdict for finding in found.findings}
        return {"passes": found.forwards + found.backwards, "pgd": found.pgd, "worst": found.worst, "checks": verdicts}


def measured(part: str) -> dict[str, Any]:
    """Run a part in this process."""
    torch.set_num_threads(1)
    kind, _, name = part.partition("/")
    case = Case(kind, WIDTHS[name])
    work: Callable[[], dict[str, Any]] = getattr(case, name)
    radius = None if name in ("hns", "njs") else case.threat.radius  # before the time is taken
    begun, own = time.perf_counter(), time.process_time()
    found = work()
    spent = {"seconds": time.perf_counter() - begun, "processor": time.process_time() - own}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    about = {"width": WIDTHS[name], "radius": radius, "parameters": size_of(case.network)}
    return {**about, **found, **{key: round(value, 1) for key, value in spent.items()}, "peak MiB": round(peak)}


def size_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--here", help="run one part in this process, and print what it takes")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measured(arguments.here)))
        return
    OUT.parent.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts or PARTS:
        command = [sys.executable, __file__, "--here", part]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        known = json.loads(OUT.read_text(encoding="utf-8"))["parts"] if OUT.is_file() else {}
        known[part] = json.loads(said.splitlines()[-1])
        about = {"classes": CLASSES, "side": SIDE, "images": IMAGES, "threads": 1, "torch": torch.__version__}
        OUT.write_text(json.dumps({**about, "parts": known}, indent=1) + "\n", encoding="utf-8")
        print(part, known[part], flush=True)


if __name__ == "__main__":
    main()
