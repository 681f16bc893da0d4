"""Records of signals and diagnoses written by hand, with numbers that are easy to know again."""

import json

import numpy as np

from quantattack.record.findings import Finding, write_findings
from quantattack.record.signals import Signal, write_signals
from quantattack.record.store import Store
from records import by_hand

from .conftest import subject, write

NETS = ("float", "binary <net>")
GAPS = {"float": 8.0, "binary <net>": 100.0}
TEMPERATURES = {"unit": 1.0, "njs": 0.3, "hns_paper": 0.2, "hns": 0.25, "gap": 0.25}
FINDINGS = (
    Finding("one step", "pass", "", "PGD is 30 points under FGSM & all is well", forwards=20.0, backwards=10.0),
    Finding("iterations", "cannot tell", "", "the budget is spent", "give --budget 800"),
    Finding(
        "zero gradient",
        "fail",
        "saturation",
        "80 of 100 gradients are zero",
        "attack with Gap <log-odds>",
        forwards=2.0,
    ),
)


def curves(gap):
    """Two classes with a Jacobian difference of norm 1: everything in closed form."""
    beta = np.linspace(0.05, 130, 400) / gap
    p = 1 / (1 + np.exp(beta * gap))
    error, hessian = np.sqrt(2) * p, beta**2 * p * (1 - p)
    seen = np.where(beta * gap < 104, 8.0, 0.0)
    columns = {"softmax": p * (1 - p), "error": error, "hessian": hessian, "gradient": beta * p, "sign": 8 + 0 * p}
    listed = {key: values.tolist() for key, values in {"beta": beta, **columns}.items()}
    marks = {"unit": 1.0, "njs": 1 / gap, "hns_paper": 1.8 / gap, "hns": 2.4 / gap, "gap": 2.3994 / gap}
    where = {"image": 4, "label": 7, "margin": gap, "marks": marks}
    return {**where, **listed, "gradient_float": listed["gradient"], "sign_float": seen.tolist()}


def propagated(name, unit="normalized"):
    """Signals of a network; everything in pixels is twice what it is in normalized pixels."""
    factor = 2.0 if unit == "pixel" else 1.0
    for temperature, beta in TEMPERATURES.items():
        zero = 0.0 if temperature == "unit" and name != "float" else 8.0
        columns = {"beta": beta, "error": beta / 10, "gradient": factor * beta, "sign": 8.0}
        columns |= {"gradient_float": factor * beta * zero / 8, "sign_float": zero}
        numbers = {"image": [1, 4], **{key: [value, value] for key, value in columns.items()}}
        yield Signal(name, "digits", "propagation", temperature, unit, numbers)
        counts = {"edges": [0.1 * beta, beta, 10 * beta, 100 * beta], "counts": [1, 3, 2], "zeros": 0}
        spectrum = {"mean": factor * beta, "deviation": factor * beta / 4, **counts}
        yield Signal(name, "digits", "singular_values", temperature, unit, spectrum)
    yield Signal(name, "digits", "curves", "", unit, curves(GAPS[name]))


def signal_run(folder=None, units=("normalized",)):
    """A run of signals."""
    store = Store.open(folder, {"measured": list(NETS)})
    write_signals(store.connection, [one for name in NETS for unit in units for one in propagated(name, unit)])
    store.finish()
    return store


def attack_run(attacks, folder=None):
    """A run of attacks on two networks: name to (settings, how many of 40 images the attack breaks)."""
    store = Store.open(folder, {"attacked": list(NETS)})
    for place, name in enumerate(NETS):
        for attack, (settings, broken) in attacks.items():
            write(store, subject(name, 0.2), attack, {image: image % 8 for image in range(1, 1 + broken + place)})
            given = (json.dumps(settings), attack)
            by_hand(store.connection, "UPDATE cell SET settings = ? WHERE attack = ?", given)
    store.finish()
    return store


def diagnose(store, who, findings=FINDINGS):
    write_findings(store.connection, who, findings)
