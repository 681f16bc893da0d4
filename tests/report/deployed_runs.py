"""Records made by hand of a deployed file and its float network."""

from quantattack.record.outcome import Outcome, Subject
from quantattack.record.store import Store

IMAGES, THREAT = 40, '{"high":1.0,"low":0.0,"norm":"Linf","part":"Threat","radius":0.00784313725490196}'
INT8, FLOAT = Subject("net.tflite", "cifar10", THREAT), Subject("net-float.tflite", "cifar10", THREAT)
FLAT = "the largest output of the file's softmax is at its maximum 255/256 on 48.0% of 40 clean images"


def agreed(differing: float) -> dict[str, object]:
    return {"images": IMAGES, "differing": differing, "step": 2, "largest": 2 / 256, "argmax": 0.975}


def about(name: str, is_float: bool, relative: str | None) -> dict[str, object]:
    file = {
        "name": name,
        "format": "tflite",
        "sha256": "ab" * 32,
        "bytes": 98496,
        "runtime": "ai-edge-litert 2.3.0",
        "settings": {"kernels": "xnnpack", "processor": "avx2"},
        "softmax": True,
        "is_float": is_float,
        "twin": True,
        "pixels": {"layout": "nhwc", "low": 0.0, "high": 255.0, "mean": [0.5], "std": [0.25]},
        "input": None if is_float else {"type": "int8", "scale": 0.936, "zero_point": -128, "in_pixels": 0.936},
        "opened": None,
    }
    on = {"clean": agreed(0.0), "noise": agreed(0.01), "attacked": {THREAT: agreed(0.02)}}
    seen = {"classes": 10, "images": IMAGES, "saturated": 0.48, "top": 255 / 256, "clipped": 0.021}
    return {"file": file, "float": relative, "on": {"cifar10": {**on, **seen}}}


def write(store: Store, subject: Subject, attack: str, broken: set[int], ties: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """Write one attack on images of class 0, of which the first is wrong from the start."""
    cell = store.cell(subject, attack, {"part": "Ascent"}, IMAGES)
    rows = []
    for image in range(IMAGES):
        wrong, fooled = image == 0, image in broken
        margin = 0.0 if image in ties else -1.0 if fooled or wrong else 1.0
        prediction = 1 if fooled or wrong else 0
        rows.append(Outcome(image, 0, int(wrong), prediction, margin, 0.007, 3, 0, 9.0, 9.0, 0.1, inside=True))
    store.write(cell, rows)


def deployed_run() -> Store:
    """A file and the float network that it was made of."""
    store = Store.open(None, {"seed": 0})
    write(store, INT8, "pgd", set(range(1, 25)))
    write(store, INT8, "transfer", set(range(1, 20)))
    write(store, INT8, "square", set(range(1, 10)))
    write(store, INT8, "gap", set(range(1, 38)), ties={36, 37})
    write(store, FLOAT, "gap", set(range(1, 40)))
    deployed = {INT8.model: about("net.tflite", False, FLOAT.model), FLOAT.model: about(FLOAT.model, True, None)}
    store.note(deployed=deployed)
    store.flag(INT8, {"saturated_softmax": FLAT})
    store.finish()
    return store
