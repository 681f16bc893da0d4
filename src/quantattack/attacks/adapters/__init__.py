"""Attacks and models from elsewhere, where their libraries are installed; each is judged by the engine like ours."""

from quantattack.attacks.adapters.bound import Bound, Slot, bound
from quantattack.attacks.adapters.libraries import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.adapters.models import from_art, from_foolbox, from_huggingface, from_quantized, from_timm

__all__ = [
    "Art",
    "AutoAttack",
    "Bound",
    "Foolbox",
    "Secml",
    "Slot",
    "TorchAttacks",
    "bound",
    "from_art",
    "from_foolbox",
    "from_huggingface",
    "from_quantized",
    "from_timm",
]
