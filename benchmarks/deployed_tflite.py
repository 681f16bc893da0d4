"""MLPerf Tiny's ResNet-8 as TFLite files on CIFAR-10: file, twin and kernels side by side, and operators one by one.

Writes results/deployed/tflite.json.  Needs QUANTATTACK_DATA with cifar10 and mlperf-tiny in it.
"""

import json
import os
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from quantattack.data.sets import load_data
from quantattack.deployed.tflite.load import load_tflite

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

OUT = Path(__file__).parents[1] / "results" / "deployed" / "tflite.json"
FILES = Path(os.environ.get("QUANTATTACK_DATA", "data")) / "mlperf-tiny"
BATCH, TIMED = 100, 15
OF_REFERENCE = 1000  # images: its kernels take 50 times as long


def plain_loop(path, images, kernels="xnnpack"):
    """What a plain loop over the interpreter gives, written without the library."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if kernels == "reference" else OpResolverType.AUTO
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    predicted = []
    for image in images:
        pixels = np.round(image.permute(1, 2, 0).numpy() * 255)
        row = (pixels - 128).astype(np.int8) if taken["dtype"] == np.int8 else pixels.astype(np.float32)
        interpreter.set_tensor(taken["index"], row[None])
        interpreter.invoke()
        predicted.append(int(interpreter.get_tensor(given["index"])[0].argmax()))
    return np.array(predicted)


def in_batches(run, inputs):
    with torch.no_grad():
        return torch.cat([run(part) for part in inputs.split(BATCH)])


def accuracy(name, images, labels, kernels):
    """Accuracy of the file by the plain loop and by the runtime, and how far the twin agrees with the runtime."""
    file = load_tflite(FILES / name, kernels=kernels)
    inputs = (images * 255).round().permute(0, 2, 3, 1)
    start = time.perf_counter()
    judged = in_batches(file.runtime, inputs)
    seconds = time.perf_counter() - start
    searched = in_batches(file.twin.outputs, inputs)
    plain, right = plain_loop(FILES / name, images, kernels), labels.numpy()
    step = 1 / 256 if file.input_type == "int8" else 0.0
    return {
        "images": len(images),
        "accuracy of a plain loop": 100 * float((plain == right).mean()),
        "accuracy of the runtime": 100 * float((judged.argmax(1).numpy() == right).mean()),
        "predictions that differ from the plain loop": int((judged.argmax(1).numpy() != plain).sum()),
        "twin: argmax equal, %": 100 * float((searched.argmax(1) == judged.argmax(1)).double().mean()),
        "twin: outputs that differ, %": 100 * float(((searched - judged).abs() > max(step / 2, 1e-4)).double().mean()),
        "twin: largest difference": float((searched - judged).abs().max()),
        "largest output at 255/256, %": 100 * float((judged.amax(1) >= 255 / 256).double().mean()),
        "tie for the largest output, %": 100 * float((judged.topk(2).values.diff().eq(0)).double().mean()),
        "runtime's seconds": seconds,
        "artifact": {"runtime": file.runtime.artifact.runtime, **file.runtime.artifact.settings},
    }, judged.argmax(1)


class Unit(nn.Module):
    def __init__(self, taken, given, size, stride):
        super().__init__()
        self.convolution = nn.Conv2d(taken, given, size, stride, size // 2)
        self.norm = nn.BatchNorm2d(given)

    def forward(self, x):
        return self.norm(self.convolution(x))


class ResNet8(nn.Module):
    """The file's network as one writes it in torch; random weights, for its speed alone."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks, taken = Unit(3, 16, 3, 1), nn.ModuleList(), 16
        for given, stride in ((16, 1), (32, 2), (64, 2)):
            skip = nn.Identity() if stride == 1 else nn.Conv2d(taken, given, 1, stride)
            self.blocks.append(nn.ModuleList([Unit(taken, given, 3, stride), Unit(given, given, 3, 1), skip]))
            taken = given
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for first, second, skip in self.blocks:
            x = F.relu(second(F.relu(first(x))) + skip(x))
        return self.last(x.mean((2, 3)))


def cost(model, inputs):
    """Processor seconds of one forward and backward pass."""
    x = inputs.clone().requires_grad_()
    start = time.process_time()
    model(x).sum().backward()
    return time.process_time() - start


def speed():
    """Forward and backward of the int8 twin against the float network, by turns in one run."""
    inputs = torch.randint(0, 256, (BATCH, 32, 32, 3)).float()
    twin = load_tflite(FILES / "resnet8_cifar10_int8.tflite").twin
    folded = load_tflite(FILES / "resnet8_cifar10_float.tflite").twin
    network, channels_first = ResNet8().eval(), inputs.permute(0, 3, 1, 2).contiguous()
    pairs = ((twin, inputs), (network, channels_first), (folded, inputs))
    times = [[cost(*pair) for pair in pairs] for _ in range(TIMED)]
    twins, written, fused = (median(column) for column in zip(*times, strict=True))
    return {
        "images": BATCH,
        "twin by the network in torch (convolution, batch norm, relu)": twins / written,
        "twin by the float file (norms folded, channels last)": twins / fused,
    }


def exactness():
    """Share of outputs that differ from the interpreter, operator by operator, with scales that make many halves."""
    from deployed.tflite import fuzz

    return {
        f"{name} {kind} {kernels}": counted(fuzz.off(name, kind, kernels, cases=24, count=64))
        for kernels in ("xnnpack", "reference")
        for kind in ("int8", "uint8")
        for name in fuzz.NAMES
        if not fuzz.refused(name, kind, kernels)
    }


def counted(off):
    return {"outputs": len(off), "differing": int((off > 0.01).sum()), "largest step": round(float(off.max()), 2)}


def random_bytes():
    """Each int8 file's twin against the runtime on random bytes."""
    found = {}
    for name in ("resnet8_cifar10_int8", "mobilenet_vww96_int8", "dscnn_kws_int8"):
        for kernels in ("xnnpack", "reference"):
            file = load_tflite(FILES / f"{name}.tflite", kernels=kernels)
            levels = torch.randint(-128, 128, (BATCH, *file.input_shape), generator=torch.Generator().manual_seed(0))
            inputs = (levels - file.input_zero) * file.input_scale
            with torch.no_grad():
                off = (file.twin.outputs(inputs) - file.runtime(inputs)).abs() * 256
            found[f"{name} {kernels}"] = {
                "differing, %": 100 * float((off > 0.5).double().mean()),
                "steps": float(off.max()),
            }
    return found


def disagreement(predicted, labels):
    """How often the kernels predict otherwise, and how often each is right, on the images that both have seen."""
    pair = [predicted["resnet8_cifar10_int8", kernels][:OF_REFERENCE] for kernels in ("xnnpack", "reference")]
    right = [100 * float((some == labels[:OF_REFERENCE]).double().mean()) for some in pair]
    differ = 100 * float((pair[0] != pair[1]).double().mean())
    return {"images": OF_REFERENCE, "predictions that differ, %": differ, "accuracy, xnnpack and reference, %": right}


def main():
    torch.set_num_threads(1)
    images, labels = load_data("cifar10")
    found, predicted = {}, {}
    OUT.parent.mkdir(parents=True, exist_ok=True)

    def note(name, value):
        found[name] = value
        OUT.write_text(json.dumps(found, indent=1) + "\n")
        print(name, json.dumps(value, indent=1), flush=True)

    for name, kernels in (
        ("resnet8_cifar10_int8", "xnnpack"),
        ("resnet8_cifar10_float", "xnnpack"),
        ("resnet8_cifar10_int8", "reference"),
    ):
        count = len(images) if kernels == "xnnpack" else OF_REFERENCE
        measured, predicted[name, kernels] = accuracy(f"{name}.tflite", images[:count], labels[:count], kernels)
        note(f"{name} {kernels}", measured)
    note("kernels", disagreement(predicted, labels))
    note("speed", speed())
    note("random bytes", random_bytes())
    note("operators", exactness())


if __name__ == "__main__":
    main()
