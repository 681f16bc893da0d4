"""Recipes: published attacks under the names of their papers, assembled from the parts of this package."""

from quantattack.attacks.recipes.searches import apgd_targeted, multi_targeted, square
from quantattack.attacks.recipes.sets import blob_qg, daa_blob, daa_dgf
from quantattack.attacks.recipes.steps import LinearDecay, usual_step
from quantattack.attacks.recipes.walks import apgd, apgd_plus, fgsm, fgsm_plus, mi_fgsm, pgd, pgd_plus, pqgd

__all__ = [
    "LinearDecay",
    "apgd",
    "apgd_plus",
    "apgd_targeted",
    "blob_qg",
    "daa_blob",
    "daa_dgf",
    "fgsm",
    "fgsm_plus",
    "mi_fgsm",
    "multi_targeted",
    "pgd",
    "pgd_plus",
    "pqgd",
    "square",
    "usual_step",
]
