"""From what a run is to its tasks: every model on every data set under every threat, and the float network beside."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import nn

from quantattack.attacks.deployed import ON_LOGITS, TRANSFERRED
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.attacks import DEPLOYED, STANDARD, attacks_named, is_attack, is_deployed, split_list
from quantattack.cli.deployed import FileOptions, file_options
from quantattack.cli.run_file import RunFile
from quantattack.cli.temperatures import Context
from quantattack.data.sources import Source
from quantattack.data.streams import Stream, stream_data
from quantattack.deployed.base import DeployedModel
from quantattack.errors import InputError, check_count, guarded
from quantattack.evaluation.checks import first_logits
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.pixels import levels_named, usual_threat
from quantattack.evaluation.task import Task, TaskSettings, examine, prepare

_GRADIENT = ("pgd", "gap", "log_odds", "rivals")  # members of `standard`


def tasks_of(plan: RunFile, part: tuple[int, int] = (1, 1)) -> Iterator[Task]:
    """Return what is to be done: every model on every data set under every threat.

    Raises:
        InputError: If a name, a number or a setting of the plan cannot be used.
    """
    _check_models(plan.models)
    wanted = plan.data or [names.data_for(None, plan.models)]
    sets = {data: stream_data(data, plan.data_root) for data in dict.fromkeys(map(names.data_named, wanted))}
    given = [entry for data in sets for entry in _threats(plan, data)]
    speed = FastSearch.named(plan.speed)
    settings: TaskSettings = {"seed": plan.seed, "batch_size": plan.batch_size, "part": part, "speed": speed}
    settings["keep_images"], settings["padding"] = plan.save_images, plan.padding
    for model in _models(plan):
        settings["make"] = model.make
        for data, (threat, free) in given:
            images = sets[data].first(_count(plan.images, len(sets[data])))
            stated = usual_threat(model.judged, images, threat) if free else threat
            yield _task(model, images, sets[data], stated, plan, {**settings, "names": (model.name, data)})


def _check_models(models: Sequence[str]) -> None:
    """Raise InputError where a word of another option's list was taken for a model."""
    for name in models:
        if is_attack(name):
            raise InputError(f"{name} is an attack, not a model; write the attacks as one word, --attacks pgd,{name}")
        if _is_number(name):
            raise InputError(f"{name} is a number, not a model; write several as one word, such as --radius 0.1,0.2")


def _is_number(text: str) -> bool:
    try:
        return names.number_of(text) is not None
    except (ValueError, ArithmeticError):
        return False


def _threats(plan: RunFile, data: str) -> list[tuple[str, tuple[Threat, bool]]]:
    """Return the plan's threats on a data set, each with whether its levels are left to what is usual."""
    named = [
        (threat, entry.levels is None)
        for entry in plan.threats
        for threat in names.threat_named(
            entry.norm, ",".join(entry.radius) if entry.radius else None, data, levels_named(entry.levels)
        )
    ]
    return [(data, pair) for pair in dict.fromkeys(named)]


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """A model of a run, with how another process makes it, and the float network that it was made of."""

    name: str
    model: nn.Module
    make: Callable[[], nn.Module]
    float_model: nn.Module | None = None
    beside: nn.Module | None = None  # the model that a float network was given with, whose grid is its own

    @property
    def judged(self) -> nn.Module:
        """The model whose usual grid holds."""
        return self.model if self.beside is None else self.beside


def _models(plan: RunFile) -> Iterator[_Evaluated]:
    """Yield the models of a plan, and after them the float network that deployed files were made of."""
    options, place = _file_options(plan), names.device_named(plan.device)
    options.check([*plan.models, *filter(None, [plan.float_model])])
    relative = None
    for name in dict.fromkeys(plan.models):
        model = names.model_named(name, place, options)
        if plan.float_model is not None:
            relative = names.relative_named(model, plan.float_model, place, options)
        yield _Evaluated(name, model, Named(name, plan.device, options, plan.float_model), relative)
    if relative is not None and plan.float_model not in plan.models:
        file = relative.file if isinstance(relative, DeployedModel) else None
        make = file or Named(str(plan.float_model), plan.device, options)
        yield _Evaluated(str(plan.float_model), relative, make, beside=model)


def _file_options(plan: RunFile) -> FileOptions:
    said = (plan.layout, plan.range, plan.mean, plan.std, plan.runtime, plan.data_root)
    return file_options(*said, one_logit=plan.one_logit, architecture=plan.architecture)


def _task(
    evaluated: _Evaluated, images: Source, stream: Stream, threat: Threat, plan: RunFile, settings: TaskSettings
) -> Task:
    model = evaluated.model
    counted, _ = examine(model, images, None, threat)  # before anything is fitted on the model
    if evaluated.float_model is not None:
        _check_relative(counted, evaluated, images)
    context = Context(model, threat, stream, settings["names"][1], evaluated.float_model)
    attacks = _attacks(plan, evaluated.name, DEPLOYED if is_deployed(context) else STANDARD)
    with guarded("the model", "an attack is fitted on it"):
        fitted = attacks_named(",".join(attacks), context)
    return prepare(model, images, None, fitted, threat, **settings)


def _attacks(plan: RunFile, name: str, usual: str) -> list[str]:
    """Return the attacks that are named for a model, else the usual; the float network gets none of files alone.

    Where none are named it gets the gradient attacks of `standard`: its number is there to compare, and Square would
    cost most of the time.
    """
    beside = name == plan.float_model
    if plan.attacks is None:
        return list(_GRADIENT) if beside else [usual]
    named = split_list(",".join(plan.attacks))
    if not beside or not named:
        return named
    return [each for each in named if each not in (TRANSFERRED, ON_LOGITS, DEPLOYED)] or list(_GRADIENT)


def _check_relative(model: CountedModel, evaluated: _Evaluated, images: Source) -> None:
    """Raise InputError unless the float network takes the same images and has the same classes."""
    relative, shown = CountedModel(evaluated.float_model or model), images.take([0])[0]
    own, other = (first_logits(each, shown).shape[1] for each in (model, relative))
    if own != other:
        raise InputError(f"the network of --float has {other} classes and {evaluated.name} has {own}; name its own")


@dataclass(frozen=True)
class Named:
    """Makes a model by its name, in whatever process it is called.

    Arguments:
        name: The model's name.
        device: Where it is put.
        options: How a deployed file is opened.
        float_model: The float network that a deployed file was made of.
    """

    name: str
    device: str
    options: FileOptions = field(default_factory=FileOptions)
    float_model: str | None = None

    def __call__(self) -> nn.Module:
        place = names.device_named(self.device)
        model = names.model_named(self.name, place, self.options, quiet=True)
        if self.float_model is not None:
            names.relative_named(model, self.float_model, place, self.options)
        return model


def _count(asked: int | None, there: int) -> int:
    if asked is not None:
        check_count("--images", asked)
    return there if asked is None else min(asked, there)
