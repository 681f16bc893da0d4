"""Parts are recorded under tags that outlive their names: each part has one, and none is changed or used twice."""

import importlib
import inspect
import pkgutil
from dataclasses import is_dataclass

import quantattack.attacks
from quantattack.attacks.losses import cross_entropy
from quantattack.record.description import describe, tag_of

TAGS = {
    "AgainstRival": "wrappers.AgainstRival",
    "Apgd": "apgd.Apgd",
    "Art": "adapters.art.Art",
    "Ascent": "ascent.Ascent",
    "AutoAttack": "adapters.autoattack.AutoAttack",
    "Averaged": "eot.Eot",
    "Blob": "particles.Blob",
    "Blocks": "starts.Blocks",
    "Bound": "adapters.bound.Bound",
    "Dgf": "particles.Dgf",
    "Falling": "recipes.steps.LinearDecay",
    "Fixed": "scaling.fixed.Fixed",
    "Foolbox": "adapters.foolbox.Foolbox",
    "Gap": "scaling.gap.Gap",
    "HillClimbing": "hill_climbing.HillClimbing",
    "Hns": "scaling.hns.Hns",
    "InFloat64": "wrappers.InFloat64",
    "L1": "norms.L1",
    "L2": "norms.L2",
    "Later": "particle_sets.Later",
    "Linf": "norms.Linf",
    "MaxConfidence": "scaling.confidence.MaxConfidence",
    "Mifpe": "scaling.gap.Mifpe",
    "Momentum": "transforms.Momentum",
    "Nearest": "minimum_norm.MinimumNorm",
    "Njs": "scaling.njs.Njs",
    "SingularSketch": "scaling.sketch.Sketch",
    "OnScaled": "scaling.logits.OnScaled",
    "OnOutputs": "deployed.OnOutputs",
    "OnStairs": "stairs.OnStairs",
    "Probe": "closeness.Probe",
    "Quantized": "directions.Quantized",
    "Restarts": "wrappers.Restarts",
    "Rival": "class_pair.ClassPair",
    "Rounds": "particle_sets.ParticleSets",
    "Secml": "adapters.secml.Secml",
    "SignPatterns": "sign_patterns.SignPatterns",
    "SmoothSigns": "signs.SmoothSigns",
    "Square": "square.Square",
    "Squeezed": "squeezed.Squeezed",
    "Stochastic": "directions.Stochastic",
    "Strongest": "wrappers.Ensemble",
    "Targeted": "losses.Targeted",
    "Threat": "threat.Threat",
    "PixelRadii": "pixel_radii.PixelRadii",
    "TorchAttacks": "adapters.torchattacks.TorchAttacks",
    "Toward": "wrappers.Toward",
    "Transfer": "wrappers.Transfer",
    "WhileClose": "closeness.WhileClose",
    "anywhere": "starts.anywhere",
    "cross_entropy": "losses.cross_entropy",
    "dlr": "losses.dlr",
    "farthest": "starts.farthest",
    "hits": "success.hits",
    "log_odds": "losses.log_odds",
    "margin": "losses.margin",
    "misclassified": "success.misclassified",
    "raw": "directions.raw",
    "steepest": "directions.steepest",
    "targeted_dlr": "losses.targeted_dlr",
    "unit": "scaling.base.unit",
}
UNRECORDED = {"Traits", "Adopted", "Member", "Grid"}  # made while an attack runs, and no setting of one
FUNCTIONS = {  # modules of functions that are parts, and what such a part is called with first
    "losses": ("logits", {"logit_spread"}),
    "success": ("logits", set()),
    "directions": ("grad", set()),
    "transforms": ("grad", set()),
}


def modules() -> dict[str, object]:
    """Every module of the attacks, by its name in their folder."""
    root = quantattack.attacks
    names = [found.name for found in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")]
    return {name.removeprefix(f"{root.__name__}."): importlib.import_module(name) for name in names}


def own(module: object) -> dict[str, object]:
    """The public classes and functions that a module defines itself."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
    }


EVERY = [(f"{name}.{part}", thing) for name, module in modules().items() for part, thing in own(module).items()]


def test_every_tag_is_the_one_that_records_hold_and_used_once():
    tagged = [(vars(thing)["__tag__"], where) for where, thing in EVERY if "__tag__" in vars(thing)]
    assert sorted(tagged) == sorted(TAGS.items())


def test_every_part_that_can_be_recorded_has_a_tag():
    parts = [
        where
        for where, thing in EVERY
        if inspect.isclass(thing)
        and is_dataclass(thing)
        and thing.__dataclass_params__.frozen
        and thing.__eq__ is not object.__eq__
    ]
    assert len(parts) > 30
    for name, (first, helpers) in FUNCTIONS.items():
        parts += [
            where
            for where, thing in EVERY
            if where.startswith(f"{name}.") and inspect.isfunction(thing)
            if next(iter(inspect.signature(thing).parameters)) == first and where.partition(".")[2] not in helpers
        ]
    bare = [where for where in parts if where not in TAGS.values() and where.rpartition(".")[2] not in UNRECORDED]
    assert not bare, f"give each of {bare} a tag with @tagged, never used before, and list it here"


def test_a_tag_stays_when_a_function_is_renamed():
    assert tag_of(cross_entropy) == describe(cross_entropy) == "cross_entropy"
