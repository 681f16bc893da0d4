"""Where a string becomes an attack: its name, and its settings in brackets."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from quantattack.attacks.base import Attack
from quantattack.attacks.losses import dlr, log_odds, margin
from quantattack.attacks.norms import Linf
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
from quantattack.attacks.scaling.base import Temperature
from quantattack.attacks.scaling.confidence import MaxConfidence
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap, Mifpe
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat
from quantattack.cli.names import deviation, number_of, whole_of
from quantattack.cli.peers import PEERS, is_peer, peer_named
from quantattack.data.probe import draw_probe
from quantattack.data.streams import Stream
from quantattack.errors import InputError, unknown
from quantattack.gradients import placement
from quantattack.reproduction.liu2020.attacks import published
from quantattack.types import Images, Model


@dataclass(frozen=True, eq=False)
class Context:
    """What an attack's name is read in.

    Arguments:
        model: The model that is attacked.
        threat: Where the attack may walk.
        images: All test images, from which a probe is drawn.
        data: Name or path of their data set.
    """

    model: Model
    threat: Threat
    images: Images | Stream
    data: str

    def probe(self) -> Images:
        """Return 100 test images drawn by seed 0, however few are attacked."""
        return draw_probe(self.images)


def _njs(context: Context, rho: float = 0.01, unit: str = "pixel") -> Temperature:
    if unit not in ("pixel", "normalized"):
        raise unknown("unit", unit, ("pixel", "normalized"))
    std = deviation(context.data) if unit == "normalized" else None
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
    return {each.name: each.default for each in parameters if each.default is not each.empty}


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
        f"{name}_plus_{scale}": Spec(plus, f"{about} at a temperature: {words}", {}, temperature)
        for name, (plus, about) in _PLUS.items()
        for scale, (temperature, words) in _TEMPERATURES.items()
    },
}
STANDARD, PAPER = "standard", "liu2020"
_MEMBERS = tuple(standard(Threat(Linf(), 0.1)).attacks)


def attacks_named(text: str, context: Context) -> dict[str, Attack]:
    """Return the attacks of a comma-separated list; `standard` and `liu2020` stand for their members.

    Raises:
        InputError: If a name or a setting is unknown, or a setting's value cannot be used.
    """
    attacks: dict[str, Attack] = {}
    members = standard(context.threat).attacks
    for name in (name for item in _split(text) for name in _published(item, context)):
        member = members.get(name)
        attacks.update(members if name == STANDARD else {name: member or attack_named(name, context)})
    if not attacks:
        raise InputError("no attack is named; try --attacks standard, or `quantattack list attacks`")
    return attacks


def _published(item: str, context: Context) -> list[str]:
    """Return the names that stand behind `liu2020[restarts=50]`; any other name as it is."""
    if item.partition("[")[0] != PAPER:
        return [item]
    match = re.fullmatch(PAPER + r"(?:\[\s*(?:restarts\s*=\s*([1-9]\d*)\s*)?\])?", item)
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
    if text.partition("[")[0] in (STANDARD, PAPER):
        raise InputError(f"{text} stands for several attacks; name the one to train with")
    own = standard(threat).attacks.get(text)
    return own or attack_named(text, Context(_untrained, threat, torch.zeros(1, 1, 1, 1), "the training images"))


def _untrained(images: Images) -> Any:  # noqa: ARG001
    raise InputError("this attack is fitted on a trained network, and cannot train one")


def _taken(wanted: str, inside: str) -> tuple[str, str]:
    """Take one setting out of those between the brackets; empty where it is not there."""
    pairs = {pair.partition("=")[0].strip(): pair for pair in inside.split(",")}
    pair = pairs.pop(wanted, "")
    return pair.partition("=")[2].strip(), ",".join(pairs.values())


def _scaled(attack: Attack, scale: str, context: Context) -> Attack:
    """Let another library's attack climb the model's logits at a temperature, where one is named."""
    if not scale:
        return attack
    if scale not in _TEMPERATURES:
        raise unknown("temperature", scale, _TEMPERATURES)
    maker: Maker = _TEMPERATURES[scale][0]
    return OnScaled(attack, maker(context))


def _split(text: str) -> list[str]:
    return [item.strip() for item in re.split(r",(?![^\[]*\])", text) if item.strip()]


def _setting(attack: str, spec: Spec, pair: str) -> tuple[str, Any]:
    name, equals, value = (text.strip() for text in pair.partition("="))
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
            return whole_of(text)
        return text if isinstance(default, str) else number_of(text)
    except (KeyError, ValueError, ZeroDivisionError, OverflowError):
        kind = (
            "true or false"
            if isinstance(default, bool)
            else "a whole number"
            if isinstance(default, int)
            else "a number"
        )
        raise InputError(f"the setting {name} of {attack} must be {kind}, not {text!r}") from None


def attack_rows() -> list[dict[str, Any]]:
    """Return each attack's name, what it is, and the settings that it takes."""
    rows = [{"name": name, "about": spec.about, "settings": dict(spec.settings)} for name, spec in ATTACKS.items()]
    peers = [{"name": f"{peer}:...", "about": "an attack of that library", "settings": {}} for peer in PEERS]
    suites = [
        {
            "name": PAPER,
            "about": "PGD, PQGD and, but on cifar10, BLOB and BLOB_QG, as Liu et al. attack the data set",
            "settings": {"restarts": 1},
        },
        {"name": STANDARD, "about": f"its members by name: {', '.join(_MEMBERS)}", "settings": {}},
    ]
    return [*rows, *peers, *suites]
