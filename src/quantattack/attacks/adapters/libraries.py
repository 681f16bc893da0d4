"""The peers: each is one part that builds the library's own attack on the engine's model, so every pass is counted."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from quantattack.attacks.adapters.common import (
    Shown,
    classes_of,
    filled,
    library,
    member,
    norm_name,
    searched,
    seed_of,
    settings_of,
)
from quantattack.attacks.threat import Threat
from quantattack.errors import InputError
from quantattack.rng import Rng
from quantattack.types import Images, Labels, Model, PerImage

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Foolbox:
    """An attack of foolbox (Rauber et al., 2020, https://doi.org/10.21105/joss.02607).

    A search for the smallest perturbation is cut to the radius by foolbox itself.  Where an attack needs a start that
    fools the model, as Brendel and Bethge's does, and finds none, or breaks down, the image stays clean; the others go
    on.

    Arguments:
        threat: Where it may search.
        attack: Its class's name in `foolbox.attacks`, like "LinfDeepFoolAttack", or an attack object.
        settings: What its constructor is given.

    Raises:
        InputError: If foolbox is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made()

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return searched(self._search, self.threat, model, clean, labels, rng, radius)

    def _made(self) -> Any:
        attacks = library("foolbox.attacks", "foolbox")
        if not isinstance(self.attack, str | type):
            return self.attack
        return made(member(attacks, self.attack, "attack of foolbox"), (), self.settings)

    def _search(self, model: Shown, images: Images, labels: Labels, radius: float) -> Images:
        foolbox, attack = library("foolbox", "foolbox"), self._made()
        host = foolbox.PyTorchModel(model, bounds=(self.threat.low, self.threat.high), device=images.device)
        if not isinstance(attack, _from_a_start(library("foolbox.attacks", "foolbox"))):
            found: Images = attack(host, images, labels, epsilons=radius)[1]
            return found
        return self._from_starts(attack, host, images, labels, radius)

    def _from_starts(self, attack: Any, host: Any, images: Images, labels: Labels, radius: float) -> Images:
        attacks, found = library("foolbox.attacks", "foolbox"), images.clone()
        first = attack.init_attack or attacks.LinearSearchBlendedUniformNoiseAttack()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says how many starts failed, which is what is looked at here
            starts = first.run(host, images, library("foolbox", "foolbox").criteria.Misclassification(labels))
        with torch.no_grad():
            begun = (host(starts).argmax(1) != labels).nonzero()[:, 0]
        todo = [begun] if len(begun) else []
        while todo:
            part = todo.pop()
            given = {"epsilons": radius, "starting_points": starts[part]}
            try:
                found[part] = attack(host, images[part], labels[part], **given)[1]
            except (AssertionError, ArithmeticError, np.linalg.LinAlgError):
                todo += part.chunk(2) if len(part) > 1 else []
        return found


def _from_a_start(attacks: Any) -> tuple[type, ...]:
    """Return the attacks of foolbox that refuse a whole batch where the start of one image fools nothing."""
    return attacks.brendel_bethge.BrendelBethgeAttack, attacks.BoundaryAttack, attacks.HopSkipJumpAttack


@dataclass(frozen=True)
class Art:
    """An attack of the Adversarial Robustness Toolbox (Nicolae et al., 2018, https://arxiv.org/abs/1807.01069).

    Given the threat's radius, norm and range where its constructor takes them; a search for the smallest perturbation
    is brought into the threat afterwards.

    Arguments:
        threat: Where it may search.
        attack: Its class's name in `art.attacks.evasion`, like "ProjectedGradientDescent", or the class.
        settings: What its constructor is given beside.

    Raises:
        InputError: If ART is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self._kind(), self.settings)

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return searched(self._search, self.threat, model, clean, labels, rng, radius)

    def _kind(self) -> Any:
        return member(library("art.attacks.evasion", "art"), self.attack, "attack of ART")

    def _search(self, model: Shown, images: Images, labels: Labels, radius: float) -> Images:
        kind = self._kind()
        norm = norm_name(self.threat, (np.inf, 2, 1))
        known = {"eps": radius, "norm": norm, "batch_size": len(images), "verbose": False}
        attack = made(kind, (self._classifier(model, images),), filled(kind, known, self.settings))
        found = torch.from_numpy(attack.generate(x=images.cpu().numpy(), y=labels.cpu().numpy())).to(images)
        return found if "eps" in settings_of(kind) else inside(self.threat, found, images, radius)

    def _classifier(self, model: Shown, images: Images) -> Any:
        classifiers = library("art.estimators.classification", "art")
        return classifiers.PyTorchClassifier(
            model=model,
            loss=torch.nn.CrossEntropyLoss(),
            input_shape=tuple(images.shape[1:]),
            nb_classes=classes_of(model, images),
            clip_values=(self.threat.low, self.threat.high),
            device_type="gpu" if images.is_cuda else "cpu",
        )


@dataclass(frozen=True)
class TorchAttacks:
    """An attack of torchattacks (Kim, 2020, https://arxiv.org/abs/2010.01950).

    Given the threat's radius and norm where its constructor takes them; a search for the smallest perturbation is
    brought into the threat afterwards.

    Arguments:
        threat: Where it may search.
        attack: Its class's name, like "PGD", or the class.
        settings: What its constructor is given beside.

    Raises:
        InputError: If torchattacks is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self._kind(), self.settings)

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        seed = seed_of(rng)

        def search(model: Shown, images: Images, labels: Labels, radius: float) -> Images:
            return self._search(model, images, labels, radius, seed)

        return searched(search, self.threat, model, clean, labels, rng, radius)

    def _kind(self) -> Any:
        return member(library("torchattacks", "torchattacks"), self.attack, "attack of torchattacks")

    def _search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:
        kind = self._kind()
        norm, classes = norm_name(self.threat, ("Linf", "L2", "L1")), classes_of(model, images)
        known = {"eps": radius, "norm": norm, "n_classes": classes, "seed": seed, "verbose": False}
        found: Images = made(kind, (model,), filled(kind, known, self.settings))(images, labels)
        return found if "eps" in settings_of(kind) else inside(self.threat, found, images, radius)


@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack (Croce and Hein, 2020, https://arxiv.org/abs/2003.01690), from `pyautoattack` or its own repository.

    Every member attacks what the earlier ones left.  There are 9 rivals, or as many as the model has.

    Arguments:
        threat: Where it may search.
        version: "standard", "plus", "rand", or "custom" with a list of attacks.
        members: Its members' names joined by "+", like "apgd-ce+apgd-t"; only with "custom", each from one start.
        package: "pyautoattack", "autoattack" for the original repository, or empty for the one that is installed.
        steps: Steps of each of its gradient attacks.

    Raises:
        InputError: If neither is installed, or the version is unknown.
    """

    threat: Threat
    version: str = "standard"
    members: str = ""
    package: str = ""
    steps: int = 100

    def __post_init__(self) -> None:
        if self.version not in ("standard", "plus", "rand", "custom"):
            raise InputError(f"version must be standard, plus, rand or custom, not {self.version!r}")
        if bool(self.members) != (self.version == "custom"):
            raise InputError("members are named with version='custom', and only with it")
        self._kind()

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        seed = seed_of(rng)

        def search(model: Shown, images: Images, labels: Labels, radius: float) -> Images:
            return self._search(model, images, labels, radius, seed)

        return searched(search, self.threat, model, clean, labels, rng, radius)

    def _kind(self) -> Any:
        if self.package:
            return library(self.package, "autoattack").AutoAttack
        try:
            return library("pyautoattack", "autoattack").AutoAttack
        except InputError:
            return library("autoattack", "autoattack").AutoAttack

    def _search(self, model: Shown, images: Images, labels: Labels, radius: float, seed: int) -> Images:
        kind, members = self._kind(), self.members.split("+") if self.members else None
        original = "attacks_to_run" in settings_of(kind)
        known = {"norm": norm_name(self.threat, ("Linf", "L2", "L1")), "eps": radius, "version": self.version}
        known |= {"seed": seed, "device": images.device, "verbose": False}
        if members:
            known["attacks_to_run" if original else "attacks"] = members
        adversary = made(kind, (model,), filled(kind, known, {}))
        rivals = min(9, classes_of(model, images) - 1)
        for part in (adversary.apgd_targeted, adversary.fab):
            part.n_target_classes = min(part.n_target_classes, rivals)
        self._shorten(adversary)
        size = {"bs" if original else "batch_size": len(images)}
        found = adversary.run_standard_evaluation(images, labels, **size)
        adv: Images = found[0] if isinstance(found, tuple) else found
        return adv

    def _shorten(self, adversary: Any) -> None:
        """Set the steps, with all that a constructor derives from them, and no restart in a version of one's own."""
        for part in (adversary.apgd, adversary.apgd_targeted):
            part.n_iter = part.n_iter_orig = self.steps
            for name, share in (("n_iter_2", 0.22), ("n_iter_min", 0.06), ("size_decr", 0.03)):
                setattr(part, name, max(int(share * self.steps), 1))
        adversary.fab.n_iter = self.steps
        if self.version == "custom":
            adversary.apgd.n_restarts = adversary.fab.n_restarts = 1


@dataclass(frozen=True)
class Secml:
    """An attack of SecML-Torch (https://github.com/pralab/secml-torch).

    Given the threat's radius, norm and range where its constructor takes them; a search for the smallest perturbation
    is brought into the threat afterwards.

    Arguments:
        threat: Where it may search.
        attack: Its name in `secmlt.adv.evasion`, like "PGD", "FMN" or "DDN", or the class.
        settings: What its constructor is given beside, like num_steps and step_size.

    Raises:
        InputError: If secml-torch is not installed, or has no such attack or setting.
    """

    threat: Threat
    attack: Any
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self._kind(), self.settings)

    def __call__(
        self,
        model: Model,
        clean: Images,
        labels: Labels,
        start: Images | None = None,  # noqa: ARG002
        rng: Rng | None = None,
        radius: PerImage | None = None,
    ) -> Images:
        return searched(self._search, self.threat, model, clean, labels, rng, radius)

    def _kind(self) -> Any:
        library("secmlt", "secml")
        if not isinstance(self.attack, str):
            return self.attack
        return member(library(f"secmlt.adv.evasion.{self.attack.lower()}", "secml"), self.attack, "attack of SecML")

    def _search(self, model: Shown, images: Images, labels: Labels, radius: float) -> Images:
        kind = self._kind()
        norm = norm_name(self.threat, ("linf", "l2", "l1"))
        known = {"perturbation_model": norm, "epsilon": radius, "lb": self.threat.low, "ub": self.threat.high}
        attack = made(kind, (), filled(kind, known, self.settings))
        loader = DataLoader(TensorDataset(images, labels), batch_size=len(images))
        host = library("secmlt.models.pytorch.base_pytorch_nn", "secml").BasePyTorchClassifier(model)
        found = torch.cat([part for part, _ in attack(host, loader)])
        return found if "epsilon" in settings_of(kind) else inside(self.threat, found, images, radius)


def made(kind: Any, given: tuple[Any, ...], settings: Settings) -> Any:
    """Call a constructor; a setting that it does not take, or refuses, is the user's to mend."""
    check(kind, settings)
    try:
        return kind(*given, **settings)
    except (TypeError, ValueError, NotImplementedError, ImportError) as error:
        said = " ".join(str(error).split())[:160]
        raise InputError(f"{kind.__name__} cannot be made: {type(error).__name__}: {said}") from None


def check(kind: Any, settings: Settings) -> None:
    """Refuse settings that a constructor does not take."""
    taken = settings_of(kind)
    for name in settings:
        if name not in taken:
            raise InputError(f"{kind.__name__} takes no setting {name!r}; it takes {', '.join(taken)}")


def inside(threat: Threat, images: Images, clean: Images, radius: float) -> Images:
    """Bring images into the threat, those without a number left clean."""
    images = torch.where(torch.isfinite(images), images, clean)
    return threat.project(images, clean, torch.full((len(clean),), radius, dtype=torch.float64, device=clean.device))
