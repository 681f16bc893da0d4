"""The two attacks of the papers that this package does not have: foolbox's, where it is installed."""

from importlib.util import find_spec

from quantattack.attacks.ascent import Attack
from quantattack.attacks.outside import Foolbox
from quantattack.attacks.threat import Threat

NEAREST = ("deepfool", "brendel_bethge")  # they search for the smallest perturbation, and cost the most


def nearest(threat: Threat) -> dict[str, Attack]:
    """Return DeepFool and Brendel and Bethge's attack under Linf, foolbox's defaults; nothing where it is absent."""
    if find_spec("foolbox") is None or find_spec("numba") is None:
        return {}
    attacks = Foolbox(threat, "LinfDeepFoolAttack"), Foolbox(threat, "LinfinityBrendelBethgeAttack")
    return dict(zip(NEAREST, attacks, strict=True))
