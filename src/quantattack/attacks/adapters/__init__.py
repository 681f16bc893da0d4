"""Adapters for attacks and models of other libraries, which are optional dependencies."""

from quantattack.attacks.adapters.art import Art
from quantattack.attacks.adapters.autoattack import AutoAttack
from quantattack.attacks.adapters.bound import Bound, Slot, bound
from quantattack.attacks.adapters.foolbox import Foolbox
from quantattack.attacks.adapters.models import from_art, from_foolbox, from_huggingface, from_quantized, from_timm
from quantattack.attacks.adapters.secml import Secml
from quantattack.attacks.adapters.torchattacks import TorchAttacks

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
