"""Find out what a quantized neural network's adversarial robustness really is."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quantattack.errors import warn_renamed
from quantattack.nn.former import keep_former_module

if TYPE_CHECKING:
    from quantattack.attacks.apgd import Apgd
    from quantattack.attacks.ascent import Ascent
    from quantattack.attacks.base import Attack, TracedAttack
    from quantattack.attacks.class_pair import ClassPair
    from quantattack.attacks.closeness import Probe, WhileClose
    from quantattack.attacks.deployed import OnOutputs, deployed_suite
    from quantattack.attacks.directions import Quantized, Stochastic
    from quantattack.attacks.eot import Eot
    from quantattack.attacks.hill_climbing import HillClimbing
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
    from quantattack.attacks.sign_patterns import SignPatterns
    from quantattack.attacks.signs import SmoothSigns
    from quantattack.attacks.square import Square
    from quantattack.attacks.squeezed import Squeezed
    from quantattack.attacks.stairs import OnStairs
    from quantattack.attacks.standard import standard
    from quantattack.attacks.success import hits, misclassified
    from quantattack.attacks.threat import Threat
    from quantattack.attacks.wrappers import AgainstRival, Ensemble, InFloat64, Restarts, Transfer
    from quantattack.certification.exact import Exact
    from quantattack.data.sets import load_data
    from quantattack.errors import InputError
    from quantattack.evaluation.certify import certify
    from quantattack.evaluation.evaluate import evaluate
    from quantattack.models.load import load_model
    from quantattack.nn.convert import freeze, quantize
    from quantattack.nn.one_logit import OneLogit
    from quantattack.record.record import Record

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
    "HillClimbing",
    "Hns",
    "InFloat64",
    "InputError",
    "Linf",
    "Mifpe",
    "MinimumNorm",
    "Njs",
    "OnOutputs",
    "OnStairs",
    "OneLogit",
    "ParticleSets",
    "Probe",
    "Quantized",
    "Record",
    "Restarts",
    "ScaledLogits",
    "SignPatterns",
    "SmoothSigns",
    "Square",
    "Squeezed",
    "Stochastic",
    "Threat",
    "TracedAttack",
    "Transfer",
    "WhileClose",
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

# Where each name is: it is imported at its first use, since what only reads records needs no torch.
_HOMES = """
attacks.apgd Apgd
attacks.ascent Ascent
attacks.base Attack TracedAttack
attacks.class_pair ClassPair
attacks.closeness Probe WhileClose
attacks.deployed OnOutputs deployed_suite
attacks.directions Quantized Stochastic
attacks.eot Eot
attacks.hill_climbing HillClimbing
attacks.losses cross_entropy dlr log_odds margin targeted targeted_dlr
attacks.minimum_norm MinimumNorm
attacks.norms L1 L2 Linf
attacks.particle_sets ParticleSets
attacks.particles Blob Dgf
attacks.recipes apgd apgd_plus apgd_targeted blob_qg daa_blob daa_dgf fgsm fgsm_plus
attacks.recipes mi_fgsm multi_targeted pgd pgd_plus pqgd square
attacks.scaling.fixed Fixed
attacks.scaling.gap Gap Mifpe
attacks.scaling.hns Hns
attacks.scaling.logits ScaledLogits
attacks.scaling.njs Njs
attacks.sign_patterns SignPatterns
attacks.signs SmoothSigns
attacks.square Square
attacks.squeezed Squeezed
attacks.stairs OnStairs
attacks.standard standard
attacks.success hits misclassified
attacks.threat Threat
attacks.wrappers AgainstRival Ensemble InFloat64 Restarts Transfer
certification.exact Exact
data.sets load_data
errors InputError
evaluation.certify certify
evaluation.evaluate evaluate
models.load load_model
nn.convert freeze quantize
nn.one_logit OneLogit
record.record Record
"""
_HOME = {name: line.split()[0] for line in _HOMES.strip().split("\n") for name in line.split()[1:]}
_ROOMS = "attacks certification data deployed evaluation gradients models nn progress reading record rng types".split()  # noqa: SIM905
_FORMER = {"Nearest": "MinimumNorm", "Rounds": "ParticleSets", "Strongest": "Ensemble"}

keep_former_module()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # its import takes longer than the rest of this one

        return version("quantattack")
    if name in _FORMER:
        warn_renamed(f"quantattack.{name}", f"quantattack.{_FORMER[name]}")
        name = _FORMER[name]
    if name in _ROOMS:
        return import_module(f"quantattack.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'quantattack' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"quantattack.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS, "__version__"})
