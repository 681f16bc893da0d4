"""Where a string becomes an attack: its name, and its settings in brackets."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from quantattack.attacks.base import Attack
from quantattack.attacks.deployed import TRANSFERRED, deployed_suite
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
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.attacks.standard import standard
from quantattack.attacks.threat import Threat
from quantattack.certification.exact import Exact
from quantattack.cli.names import number_of, whole_of
from quantattack.cli.peers import PEERS, is_peer, peer_named
from quantattack.cli.temperatures import TEMPERATURES, Context, Maker
from quantattack.deployed.base import deployed_in
from quantattack.errors import InputError, unknown
from quantattack.models.hints import callables_in
from quantattack.reproduction.liu2020.attacks import published
from quantattack.types import Images


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
    "exact": Spec(Exact, "bounds and complete search, on what all other attacks left"),
    "suite": Spec(
        standard, "standard's members as one attack, each on what the earlier ones left, long where it is close"
    ),
    **{
        f"{name}_{loss}": Spec(plain, f"{about} on {loss}", {"loss": function})
        for name, (plain, about) in _PLAIN.items()
        for loss, function in _LOSSES.items()
    },
    **{
        f"{name}_plus_{scale}": Spec(plus, f"{about} at a temperature: {words}", {}, temperature)
        for name, (plus, about) in _PLUS.items()
        for scale, (temperature, words) in TEMPERATURES.items()
    },
}
SUITES = STANDARD, DEPLOYED, PAPER = "standard", "deployed", "liu2020"
_MEMBERS = tuple(standard(Threat(Linf(), 0.1)).attacks)


def attacks_named(text: str, context: Context) -> dict[str, Attack]:
    """Return the attacks of a comma-separated list; `standard` and `liu2020` stand for their members.

    Raises:
        InputError: If a name or a setting is unknown, or a setting's value cannot be used.
    """
    attacks: dict[str, Attack] = {}
    whole = standard(context.threat).attacks
    members = _deployed(context) if is_deployed(context) else whole
    for name in (name for item in split_list(text) for name in _published(item, context)):
        if name in (STANDARD, DEPLOYED):
            attacks.update(whole if name == STANDARD else _deployed(context))
        else:
            attacks[name] = members.get(name) or attack_named(name, context)
    if not attacks:
        raise InputError("no attack is named; try --attacks standard, or `quantattack list attacks`")
    return attacks


def is_attack(text: str) -> bool:
    """Return whether a text names an attack of this package, with or without settings in brackets."""
    return text.partition("[")[0] in (*ATTACKS, *SUITES, *_MEMBERS)


def is_deployed(context: Context) -> bool:
    """Return whether a model is a deployed file, or is attacked beside the float network that it was made of."""
    return deployed_in(context.model) is not None or context.float_model is not None


def _deployed(context: Context) -> Mapping[str, Attack]:
    return deployed_suite(context.model, context.threat, context.float_model).attacks


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
    if name == TRANSFERRED:
        raise InputError(f"{TRANSFERRED} attacks the float network that a model was made of; name it with --float")
    if name in _MEMBERS and name not in ATTACKS:
        raise InputError(
            f"{name} is a member of standard and takes no settings; what it is made of does, as pgd_plus_gap[steps=10]"
        )
    if name in (STANDARD, DEPLOYED):
        raise InputError(f"{name} takes no settings; name its members, see `quantattack list attacks`")
    if name.endswith(".py"):
        found = " or ".join(f"{name}:{each}" for each in callables_in(Path(name))[:6]) or f"{name}:NAME"
        raise InputError(f"name the attack in the file, or what makes it of the threat: {found}")
    if name not in ATTACKS:
        raise unknown("attack", name, [*ATTACKS, STANDARD, DEPLOYED, PAPER, *_MEMBERS])
    spec = ATTACKS[name]
    given = dict(_setting(name, spec, pair) for pair in inside.split(",") if pair.strip())
    return spec.build(context, given)


def inner_attack(text: str, threat: Threat) -> Attack:
    """Return the attack of a name for a training, where there is no trained network to fit it on."""
    if text.partition("[")[0] in SUITES:
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
    if scale not in TEMPERATURES:
        raise unknown("temperature", scale, TEMPERATURES)
    maker: Maker = TEMPERATURES[scale][0]
    return OnScaled(attack, maker(context))


def split_list(text: str) -> list[str]:
    """Return the names of a comma-separated list; commas between brackets do not separate."""
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
        {
            "name": DEPLOYED,
            "about": "PGD on a file's outputs, transfer, Square, and standard on its twin",
            "settings": {},
        },
        {"name": STANDARD, "about": f"its members by name: {', '.join(_MEMBERS)}", "settings": {}},
    ]
    return [*rows, *peers, *suites]
