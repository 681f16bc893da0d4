"""Find out what a quantized neural network's adversarial robustness really is."""

from importlib.metadata import version
from typing import Any

from quantattack.attacks.apgd import Apgd
from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack, TracedAttack
from quantattack.attacks.class_pair import ClassPair
from quantattack.attacks.deployed import OnOutputs, deployed_suite
from quantattack.attacks.directions import Quantized, Stochastic
from quantattack.attacks.eot import Eot
from quantattack.attacks.losses import cross_entropy, dlr, log_odds, margin, targeted, targeted_dlr
from quantattack.attacks.minimum_norm import MinimumNorm
from quantattack.attacks.norms import L1, L2, Linf
from quantattack.attacks.particle_sets import ParticleSets
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
from quantattack.attacks.scaling.fixed import Fixed
from quantattack.attacks.scaling.gap import Gap, Mifpe
from quantattack.attacks.scaling.hns import Hns
from quantattack.attacks.scaling.logits import ScaledLogits
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.square import Square
from quantattack.attacks.standard import standard
from quantattack.attacks.success import hits, misclassified
from quantattack.attacks.threat import Threat
from quantattack.attacks.wrappers import AgainstRival, Ensemble, InFloat64, Restarts, Transfer
from quantattack.certification.exact import Exact
from quantattack.data.sets import load_data
from quantattack.deployed.load import load_model
from quantattack.errors import InputError, warn_renamed
from quantattack.evaluation.certify import certify
from quantattack.evaluation.evaluate import evaluate
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.former import keep_former_module
from quantattack.nn.one_logit import OneLogit
from quantattack.record.record import Record

__version__ = version("quantattack")
__all__ = [
    "L1",
    "L2",
    "AgainstRival",
    "Apgd",
    "Ascent",
    "Attack",
    "Blob",
    "ClassPair",
    "Dgf",
    "Ensemble",
    "Eot",
    "Exact",
    "Fixed",
    "Gap",
    "Hns",
    "InFloat64",
    "InputError",
    "Linf",
    "Mifpe",
    "MinimumNorm",
    "Njs",
    "OnOutputs",
    "OneLogit",
    "ParticleSets",
    "Quantized",
    "Record",
    "Restarts",
    "ScaledLogits",
    "Square",
    "Stochastic",
    "Threat",
    "TracedAttack",
    "Transfer",
    "apgd",
    "apgd_plus",
    "apgd_targeted",
    "blob_qg",
    "certify",
    "cross_entropy",
    "daa_blob",
    "daa_dgf",
    "deployed_suite",
    "dlr",
    "evaluate",
    "fgsm",
    "fgsm_plus",
    "freeze",
    "hits",
    "load_data",
    "load_model",
    "log_odds",
    "margin",
    "mi_fgsm",
    "misclassified",
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

_FORMER = {"Nearest": "MinimumNorm", "Rounds": "ParticleSets", "Strongest": "Ensemble"}

keep_former_module()


def __getattr__(name: str) -> Any:
    if name not in _FORMER:
        raise AttributeError(f"module 'quantattack' has no attribute {name!r}")
    warn_renamed(f"quantattack.{name}", f"quantattack.{_FORMER[name]}")
    return globals()[_FORMER[name]]
