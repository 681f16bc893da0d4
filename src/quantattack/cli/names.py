"""Where a string becomes an object: the only place that knows models, data, norms and attacks by name."""

import importlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from quantattack.attacks.ascent import Attack
from quantattack.attacks.confidence import MaxConfidence
from quantattack.attacks.recipes import (
    apgd,
    apgd_plus,
    apgd_targeted,
    blob_qg,
    daa_blob,
    daa_dgf,
    fgsm,
    fgsm_plus,
    mi_fgsm,
    multi_targeted,
    pgd,
    pgd_plus,
    pqgd,
    square,
)
from quantattack.attacks.scaled import OnScaled
from quantattack.attacks.suite import standard
from quantattack.attacks.temperature import Fixed, Gap, Hns, Mifpe, Njs, Temperature
from quantattack.attacks.threat import Threat
from quantattack.cli.peers import PEERS, is_peer, peer_named
from quantattack.data.sets import SETS, check_data, is_path
from quantattack.data.streams import Stream
from quantattack.errors import InputError, unknown
from quantattack.hosting import placement
from quantattack.losses import dlr, log_odds, margin
from quantattack.nn.zoo import card_of, load_model, models
from quantattack.norms import L1, L2, Linf, Norm
from quantattack.papers.liu2020 import published
from quantattack.rng import Rng
from quantattack.shapes import Images, Model

NORMS: Mapping[str, Callable[[], Norm]] = {"linf": Linf, "l2": L2, "l1": L1}
DEVICES = ("cpu", "cuda", "mps", "xpu")
PROBE = 100


@dataclass(frozen=True, eq=False)
class Context:
    """What an attack's name is read in: the model, the threat, and all test images, from which a probe is drawn."""

    model: Model
    threat: Threat
    images: Images | Stream
    data: str

    def probe(self) -> Images:
        """Return 100 test images drawn by seed 0, however few are attacked."""
        keys = Rng(0, torch.arange(len(self.images))).uniform(0, 0, (), torch.float64)
        return self.images[keys.argsort()[:PROBE].sort().values]


def _njs(context: Context, rho: float = 0.01, unit: str = "pixel") -> Temperature:
    if unit not in ("pixel", "normalized"):
        raise unknown("unit", unit, ("pixel", "normalized"))
    std = deviation(context.data) if unit == "normalized" else None
    if unit == "normalized" and std is None:
        raise InputError(f"the deviation of {context.data} is not known; leave out unit=normalized")
    device, dtype = placement(context.model)
    probe = context.probe().to(device, dtype)
    return Njs.fit(context.model, probe, std, rho)


def _hns(context: Context, paper: bool = False, points: int = 64) -> Temperature:  # noqa: ARG001
    return Hns.paper() if paper else Hns(points)


def _gap(context: Context, c: float = Gap().c) -> Temperature:  # noqa: ARG001
    return Gap(c)


def _confidence(context: Context, rho: float = MaxConfidence().rho) -> Temperature:  # noqa: ARG001
    return MaxConfidence(rho)


def _fixed(context: Context, beta: float = 0.1) -> Temperature:  # noqa: ARG001
    return Fixed(beta)


Maker: TypeAlias = Any  # a function whose keyword arguments are the settings; typed calls would hide their names


def _mifpe(context: Context, t: float = 1.0) -> Temperature:  # noqa: ARG001
    return Mifpe(t)


@dataclass(frozen=True)
class Spec:
    """How an attack's name is built: its recipe, what the name itself fixes, and the temperature in it."""

    recipe: Maker
    about: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    temperature: Maker = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that brackets may give, with their defaults."""
        taken = {**_settings(self.recipe), **(_settings(self.temperature) if self.temperature else {})}
        return {name: value for name, value in taken.items() if name not in self.fixed and not callable(value)}

    def build(self, context: Context, given: Mapping[str, Any]) -> Attack:
        own: dict[str, Any] = {name: value for name, value in given.items() if name in _settings(self.recipe)}
        rest = {name: value for name, value in given.items() if name not in own}
        second = () if self.temperature is None else (self.temperature(context, **rest),)
        attack: Attack = self.recipe(context.threat, *second, **self.fixed, **own)
        return attack


def _settings(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {part.name: part.default for part in parameters if part.default is not part.empty}


_TEMPERATURES = {
    "njs": (_njs, "Network Jacobian Scaling, fitted on 100 test images"),
    "hns": (_hns, "Hessian Norm Scaling"),
    "gap": (_gap, "the margin as the scale, at every step"),
    "fixed": (_fixed, "one fixed beta"),
    "confidence": (_confidence, "the range of the logits as the scale, Proposition 1 of NJS alone"),
    "mifpe": (_mifpe, "the margin scaled to t, at every step"),
}
_LOSSES = {"dlr": dlr, "margin": margin, "log_odds": log_odds}
_PLAIN = {
    "fgsm": (fgsm, "one step"),
    "pgd": (pgd, "projected gradient descent"),
    "apgd": (apgd, "ascent that controls its own step"),
}
_PLUS = {
    "fgsm": (fgsm_plus, "one step"),
    "pgd": (pgd_plus, "projected gradient descent"),
    "apgd": (apgd_plus, "ascent that controls its own step"),
}

ATTACKS: Mapping[str, Spec] = {
    "fgsm": Spec(fgsm, "one step on cross entropy"),
    "pgd": Spec(pgd, "projected gradient descent on cross entropy"),
    "apgd": Spec(apgd, "ascent that controls its own step, on cross entropy"),
    "pqgd": Spec(pqgd, "projected gradient descent with quantized gradients"),
    "daa_blob": Spec(daa_blob, "DAA-BLOB: images that move each other"),
    "daa_dgf": Spec(daa_dgf, "DAA-DGF: images that move each other"),
    "blob_qg": Spec(blob_qg, "DAA-BLOB with quantized gradients"),
    "apgd_targeted": Spec(apgd_targeted, "the same on targeted DLR, one rival after the other"),
    "mi_fgsm": Spec(mi_fgsm, "steps along accumulated gradients"),
    "multi_targeted": Spec(multi_targeted, "the logit difference to one rival after the other"),
    "square": Spec(square, "random search, without gradients"),
    "suite": Spec(standard, "standard's members as one attack, each on what the earlier ones left"),
    **{
        f"{name}_{loss}": Spec(plain, f"{about} on {loss}", {"loss": function})
        for name, (plain, about) in _PLAIN.items()
        for loss, function in _LOSSES.items()
    },
    **{
        f"{name}_plus_{part}": Spec(plus, f"{about} at a temperature: {words}", {}, temperature)
        for name, (plus, about) in _PLUS.items()
        for part, (temperature, words) in _TEMPERATURES.items()
    },
}
STANDARD, PAPER = "standard", "liu2020"
_MEMBERS = tuple(standard(Threat(Linf(), 0.1)).attacks)


def attacks_named(text: str, context: Context) -> dict[str, Attack]:
    """Return the attacks of a comma-separated list; `standard` and `liu2020` stand for their members.

    Raises:
        InputError: If a name or a setting is unknown, or a setting's value cannot be used.
    """
    found: dict[str, Attack] = {}
    members = standard(context.threat).attacks
    for item in (one for given in _split(text) for one in _published(given, context)):
        one = members.get(item)
        found.update(members if item == STANDARD else {item: one or attack_named(item, context)})
    if not found:
        raise InputError("no attack is named; try --attacks standard, or `quantattack list attacks`")
    return found


def _published(item: str, context: Context) -> list[str]:
    """Return the names that stand behind `liu2020[restarts=50]`; any other name as it is."""
    name, _, inside = item.partition("[")
    if name != PAPER:
        return [item]
    match = re.fullmatch(r"\s*(?:restarts\s*=\s*([1-9]\d*)\s*)?", inside.removesuffix("]"))
    if match is None:
        raise InputError(f"{PAPER} takes one setting, the restarts: {PAPER}[restarts=50]; not {item!r}")
    return published(context.data, int(match.group(1) or 1))


def attack_named(text: str, context: Context) -> Attack:
    """Return the attack of a name with its settings in brackets, `pgd[steps=40,restarts=20]`."""
    match = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]*)\])?", text)
    if match is None:
        raise InputError(f"cannot read the attack {text!r}; write it like pgd[steps=40,restarts=20]")
    name, inside = match.group(1), match.group(2) or ""
    if is_peer(name):
        scale, inside = _taken("scaled", inside)
        return _scaled(peer_named(name, inside, context.threat), scale, context)
    if name in _MEMBERS and name not in ATTACKS:
        raise InputError(f"{name} is a member of standard and takes no settings; see `quantattack list attacks`")
    if name == STANDARD:
        raise InputError("standard takes no settings; name its members, see `quantattack list attacks`")
    if name not in ATTACKS:
        raise unknown("attack", name, [*ATTACKS, STANDARD, PAPER, *_MEMBERS])
    spec = ATTACKS[name]
    given = dict(_setting(name, spec, pair) for pair in inside.split(",") if pair.strip())
    return spec.build(context, given)


def inner_attack(text: str, threat: Threat) -> Attack:
    """Return the attack of a name for a training, where there is no trained network to fit it on."""
    return attack_named(text, Context(_untrained, threat, torch.zeros(1, 1, 1, 1), ""))


def _untrained(images: Images) -> Any:  # noqa: ARG001
    raise InputError("this attack is fitted on a trained network, and cannot train one")


def _taken(wanted: str, inside: str) -> tuple[str, str]:
    """Take one setting out of those between the brackets; empty where it is not there."""
    pairs = {pair.partition("=")[0].strip(): pair for pair in inside.split(",")}
    pair = pairs.pop(wanted, "")
    return pair.partition("=")[2].strip(), ",".join(pairs.values())


def _scaled(attack: Attack, scale: str, context: Context) -> Attack:
    """Let an attack from elsewhere climb the model's logits at a temperature, where one is named."""
    if not scale:
        return attack
    if scale not in _TEMPERATURES:
        raise unknown("temperature", scale, _TEMPERATURES)
    maker: Maker = _TEMPERATURES[scale][0]
    return OnScaled(attack, maker(context))


def _split(text: str) -> list[str]:
    return [item.strip() for item in re.split(r",(?![^\[]*\])", text) if item.strip()]


def _setting(attack: str, spec: Spec, pair: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in pair.partition("="))
    if not equals:
        raise InputError(f"cannot read the setting {pair!r} of {attack}; write it like steps=40")
    if name not in spec.settings:
        raise unknown(f"setting of {attack}", name, spec.settings)
    return name, _value(attack, name, value, spec.settings[name])


def _value(attack: str, name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        return text if isinstance(default, str) else _number(text)
    except (KeyError, ValueError, ZeroDivisionError, OverflowError):
        kind = (
            "true or false"
            if isinstance(default, bool)
            else "a whole number"
            if isinstance(default, int)
            else "a number"
        )
        raise InputError(f"the setting {name} of {attack} must be {kind}, not {text!r}") from None


def threat_named(norm: str, radius: str | None, data: str) -> list[Threat]:
    """Return the threats of a norm's name and a comma-separated list of radii; the data set's own radius if none."""
    if norm.lower() not in NORMS:
        raise unknown("norm", norm, NORMS)
    make = NORMS[norm.lower()]
    if radius is None and is_path(data):
        raise InputError(f"{data} has no usual radius; give one with --radius")
    texts = [str(SETS[data].radius(norm))] if radius is None else [item.strip() for item in radius.split(",")]
    return [Threat(make(), number(text)) for text in dict.fromkeys(texts)]


def number(text: str) -> float:
    """Return the number of a text like 0.03 or 8/255."""
    try:
        return _number(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"the radius must be a positive number like 0.03 or 8/255, not {text!r}") from None


def _number(text: str) -> float:
    over, slash, under = text.partition("/")
    value = float(over) / float(under) if slash else float(over)
    if not math.isfinite(value):
        raise OverflowError
    return value


def data_named(name: str) -> str:
    """Return a data set's name or the path of one's own images, or refuse it with the nearest name."""
    check_data(name, "test")
    return name


def deviation(data: str) -> tuple[float, ...] | None:
    """Return the deviation of each channel of a data set; None for one's own images."""
    return None if is_path(data) else SETS[data].std


def data_for(given: str | None, models: Sequence[str]) -> str:
    """Return the data set that was given, else the one that the models were trained on; the digits where none says.

    Raises:
        InputError: If nothing has the given name, or the models were trained on several.
    """
    if given is not None:
        return data_named(given)
    own = sorted({card_of(model).data for model in models if not _is_function(model)})
    if len(own) > 1:
        raise InputError(f"these models were trained on {', '.join(own)}; name the images' data set with --data")
    return data_named(own[0]) if own else "digits"


def device_named(name: str) -> torch.device:
    """Return a device by name, if this machine has it."""
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise unknown("device", name, DEVICES)
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"the device {name} is not to be had here: {str(error).splitlines()[0]}") from None


def model_named(name: str, device: torch.device) -> nn.Module:
    """Return a model by its name in the zoo, its checkpoint's path, or `package.module:function`.

    Raises:
        InputError: If there is none, or the function fails or returns no `torch.nn.Module`.
    """
    model = _made(name) if _is_function(name) else load_model(name)
    return model.to(device)


def _is_function(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name)) and not Path(name).exists()


def _made(name: str) -> nn.Module:
    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        maker = getattr(importlib.import_module(module), function)
        model = maker()
    except (Exception, SystemExit) as error:  # the user's own code may fail in any way, and must not end this one
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the model {name} cannot be made: {type(error).__name__}: {reason}") from None
    if not isinstance(model, nn.Module):
        raise InputError(f"{name}() must return a torch.nn.Module, not {type(model).__name__}")
    return model


def model_rows() -> list[dict[str, Any]]:
    """Return what is known of each network of the zoo."""
    return [{part.name: getattr(row, part.name) for part in fields(row)} for row in models()]


def data_rows() -> list[dict[str, Any]]:
    """Return what is known of each data set."""
    return [{part.name: getattr(row, part.name) for part in fields(row)} for row in SETS.values()]


def attack_rows() -> list[dict[str, Any]]:
    """Return each attack's name, what it is, and the settings that it takes."""
    rows = [{"name": name, "about": spec.about, "settings": dict(spec.settings)} for name, spec in ATTACKS.items()]
    peers = [{"name": f"{peer}:...", "about": "an attack of that library", "settings": {}} for peer in PEERS]
    suites = [
        {
            "name": PAPER,
            "about": "PGD, PQGD, BLOB and BLOB_QG as Liu et al. attack the data set",
            "settings": {"restarts": 1},
        },
        {"name": STANDARD, "about": f"its members by name: {', '.join(_MEMBERS)}", "settings": {}},
    ]
    return [*rows, *peers, *suites]
