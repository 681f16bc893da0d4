"""Find out what a quantized neural network's adversarial robustness really is."""

from importlib.metadata import version

from quantattack.attacks.ascent import Ascent, Attack
from quantattack.attacks.black_box import Square
from quantattack.attacks.compose import InFloat64, Restarts, Strongest, Transfer
from quantattack.attacks.directions import Quantized
from quantattack.attacks.recipes import fgsm, fgsm_plus, pgd, pgd_plus, pqgd, square, standard
from quantattack.attacks.temperature import Fixed, Gap, Hns, Njs
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.evaluate import evaluate
from quantattack.losses import cross_entropy, dlr, log_odds, margin, targeted
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.zoo import load_model
from quantattack.norms import L1, L2, Linf
from quantattack.records import Record

__version__ = version("quantattack")
__all__ = [
    "L1",
    "L2",
    "Ascent",
    "Attack",
    "Fixed",
    "Gap",
    "Hns",
    "InFloat64",
    "InputError",
    "Linf",
    "Njs",
    "Quantized",
    "Record",
    "Restarts",
    "Square",
    "Strongest",
    "Threat",
    "Transfer",
    "cross_entropy",
    "dlr",
    "evaluate",
    "fgsm",
    "fgsm_plus",
    "freeze",
    "load_data",
    "load_model",
    "log_odds",
    "margin",
    "pgd",
    "pgd_plus",
    "pqgd",
    "quantize",
    "square",
    "standard",
    "targeted",
]
