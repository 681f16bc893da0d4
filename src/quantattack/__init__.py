"""Find out what a quantized neural network's adversarial robustness really is."""

from importlib.metadata import version

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.ascent import Ascent, Attack
from quantattack.attacks.black_box import Square
from quantattack.attacks.compose import AgainstRival, InFloat64, Restarts, Strongest, Transfer
from quantattack.attacks.directions import Quantized, Stochastic
from quantattack.attacks.nearest import Nearest
from quantattack.attacks.particles import Blob, Dgf
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
from quantattack.attacks.rounds import Rounds
from quantattack.attacks.scaled import ScaledLogits
from quantattack.attacks.suite import standard
from quantattack.attacks.temperature import Fixed, Gap, Hns, Mifpe, Njs
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.errors import InputError
from quantattack.evaluate import evaluate
from quantattack.losses import cross_entropy, dlr, log_odds, margin, targeted, targeted_dlr
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.zoo import load_model
from quantattack.norms import L1, L2, Linf
from quantattack.records import Record

__version__ = version("quantattack")
__all__ = [
    "L1",
    "L2",
    "AgainstRival",
    "Apgd",
    "Ascent",
    "Attack",
    "Blob",
    "Dgf",
    "Fixed",
    "Gap",
    "Hns",
    "InFloat64",
    "InputError",
    "Linf",
    "Mifpe",
    "Nearest",
    "Njs",
    "Quantized",
    "Record",
    "Restarts",
    "Rounds",
    "ScaledLogits",
    "Square",
    "Stochastic",
    "Strongest",
    "Threat",
    "Transfer",
    "apgd",
    "apgd_plus",
    "apgd_targeted",
    "blob_qg",
    "cross_entropy",
    "daa_blob",
    "daa_dgf",
    "dlr",
    "evaluate",
    "fgsm",
    "fgsm_plus",
    "freeze",
    "load_data",
    "load_model",
    "log_odds",
    "margin",
    "mi_fgsm",
    "multi_targeted",
    "pgd",
    "pgd_plus",
    "pqgd",
    "quantize",
    "square",
    "standard",
    "targeted",
    "targeted_dlr",
]
