"""DeepFool and the Brendel-Bethge attack, which this package takes from Foolbox if that is installed."""

from collections.abc import Mapping

from quantattack.attacks.adapters import Foolbox
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError

# Minimum-norm attacks, and the most expensive of the tables; all settings but the steps are Foolbox's defaults.
NEAREST: Mapping[str, str] = {"deepfool": "LinfDeepFoolAttack", "brendel_bethge": "LinfinityBrendelBethgeAttack"}
INSTALL = "pip install 'quantattack[foolbox]'"


def nearest(threat: Threat, steps: int) -> dict[str, Attack]:
    """Return DeepFool and the Brendel-Bethge attack under Linf; an empty dict if Foolbox is not installed.

    Arguments:
        threat: Perturbations that are allowed.
        steps: Number of steps of the Brendel-Bethge attack; DeepFool keeps its default of 50.
    """
    settings: dict[str, dict[str, int]] = {"deepfool": {}, "brendel_bethge": {"steps": steps}}
    try:
        return {name: Foolbox(threat, attack, settings[name]) for name, attack in NEAREST.items()}
    except InputError:
        return {}
