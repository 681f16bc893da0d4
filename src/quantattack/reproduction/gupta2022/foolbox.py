"""The two attacks of the papers that this package does not have: Foolbox's, where it is installed."""

from collections.abc import Mapping

from quantattack.attacks.adapters import Foolbox
from quantattack.attacks.base import Attack
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError

# They search for the smallest perturbation, cost the most, and are run with Foolbox's own settings but for the steps.
NEAREST: Mapping[str, str] = {"deepfool": "LinfDeepFoolAttack", "brendel_bethge": "LinfinityBrendelBethgeAttack"}
INSTALL = "pip install 'quantattack[foolbox]'"


def nearest(threat: Threat, steps: int) -> dict[str, Attack]:
    """Return DeepFool and Brendel and Bethge's attack under Linf; nothing where Foolbox is not installed.

    Arguments:
        threat: Where they may walk.
        steps: Steps of Brendel and Bethge's attack; DeepFool has its own 50.
    """
    chosen = {"deepfool": {}, "brendel_bethge": {"steps": steps}}
    try:
        return {name: Foolbox(threat, attack, chosen[name]) for name, attack in NEAREST.items()}
    except InputError:
        return {}
