"""A training from its recipe to its checkpoint; a recipe states network, quantizers, data, settings and adversary."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantattack.attacks.ascent import Ascent
from quantattack.attacks.base import Attack, Batch, search
from quantattack.attacks.norms import Linf
from quantattack.attacks.scaling.base import Rescale, Temperature, unit
from quantattack.attacks.scaling.njs import Njs
from quantattack.attacks.threat import Threat
from quantattack.data.sets import load_data
from quantattack.nn.architectures import build
from quantattack.nn.checkpoints import Card, quantizer_card, save
from quantattack.nn.convert import freeze, quantize
from quantattack.nn.quantizers import Quantizer
from quantattack.progress import Advance
from quantattack.record.description import describe, stable, tagged
from quantattack.rng import Rng
from quantattack.training.distributed import ProcessGroup, assemble
from quantattack.training.fit import Progress, Watched, accuracy, fit
from quantattack.training.settings import Settings
from quantattack.types import Images, Labels, Model


@dataclass(frozen=True)
class Adversarial:
    """Adversarial training: every update is on adversarial images only.

    Source: Madry, Makelov, Schmidt, Tsipras & Vladu 2018, https://arxiv.org/abs/1706.06083

    Arguments:
        attack: Finds the adversarial images; every update has another random start.

    """

    attack: Attack

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        index = torch.randint(2**40, (len(images),))  # from torch's random state, which the loop sets for each epoch
        return search(self.attack, model, Batch(images, labels, Rng(0, index.to(images.device)))).images


@tagged("BatchNjs")
@dataclass(frozen=True)
class BatchNjs:
    """NJS fitted anew on each batch, for a training that changes the network from batch to batch.

    An image's beta depends on its batch, which a verdict's may not: it is for training alone.

    Source: Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511 (Algorithm 1).

    Arguments:
        probe: Images, the first of each batch, that the Jacobian is measured on.

    """

    probe: int = 16

    def __call__(self, model: Model, images: Images, labels: Labels) -> Rescale:
        return Njs.fit(model, images[: self.probe])(model, images, labels)


def madry(
    radius: float = 8 / 255, step_size: float = 2 / 255, steps: int = 7, temperature: Temperature = unit
) -> Adversarial:
    """Return adversarial training with PGD under Linf from a random start, on the last iterate.

    Arguments:
        radius: Radius of the ball, in pixels of [0, 1].
        step_size: Size of a step, in pixels of [0, 1].
        steps: Number of steps.
        temperature: Temperature of the adversary's logits. It should be that of the training's loss: the cross entropy
            of a binarized head's raw logits saturates, and its images would hardly be attacked.

    """
    threat = Threat(Linf(), radius)
    return Adversarial(
        Ascent(threat=threat, step_size=step_size, steps=steps, temperature=temperature, last_iterate=True)
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network and how it is trained.

    Arguments:
        name: Its name, which is the network's in the zoo.
        data: Name of the data set.
        architecture: Name of the architecture.
        options: The architecture's settings.
        weights: Quantizer of the weights; None for float.
        activations: Quantizer of the activations; None for float.
        skip: Modules that stay float.
        training: How it is trained.
        adversarial: The adversary of the training; None for plain training.
        half: Whether the trained network is rounded to half precision, which halves the size of its file.

    """

    name: str
    data: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Quantizer | None = None
    activations: Quantizer | None = None
    skip: tuple[str, ...] = ()
    training: Settings
    adversarial: Adversarial | None = None
    half: bool = True


def train(
    recipe: Recipe,
    out: Path | str,
    *,
    root: Path | str | None = None,
    keep: Path | str | None = None,
    progress: Progress | None = None,
    advance: Advance | None = None,
    watched: int = 2000,
    processes: ProcessGroup | None = None,
) -> Card:
    """Train a recipe's network and write its checkpoint, on the GPU where there is one.

    Arguments:
        recipe: What to train and how.
        out: Where the checkpoint goes.
        root: The folder of the data sets; None takes it from QUANTATTACK_DATA.
        keep: A file for the state of the training, from which a second call continues.
        progress: Called after each epoch.
        advance: Told after each update how many images of how many are done.
        watched: Number of test images on which the accuracy of each epoch is measured; the checkpoint states the
            accuracy on all of them.
        processes: The processes that train together, of which the first writes; None takes those of torchrun.

    Raises:
        InputError: If the data are missing, or ``keep`` holds another training.

    """
    with assemble() if processes is None else nullcontext(processes) as group:
        test = load_data(recipe.data, root, "test")
        watch = (test[0][:watched], test[1][:watched])
        advance = advance if group.rank == 0 else None
        final = _final(_fitted(recipe, root, keep, watch, progress, advance, group), recipe.half)
        card = _card(recipe, accuracy(final, *test))
        if group.rank == 0:
            save(final, out, card)
    return card


def _fitted(
    recipe: Recipe,
    root: Path | str | None,
    keep: Path | str | None,
    watch: Watched,
    progress: Progress | None,
    advance: Advance | None,
    processes: ProcessGroup,
) -> nn.Module:
    """Return a recipe's network after its training, its latent weights as parameters."""
    model = network(recipe).to(processes.device)
    fit(
        model,
        *load_data(recipe.data, root, "train"),
        recipe.training,
        adversary=recipe.adversarial,
        watch=watch,
        progress=progress,
        advance=advance,
        keep=keep,
        about=recipe,
        processes=processes,
    )
    return model


def _final(model: nn.Module, half: bool) -> nn.Module:
    """Return a trained network's final form, as its file is loaded."""
    final = _rounded(freeze(model)) if half else freeze(model)
    return final.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def network(recipe: Recipe) -> nn.Module:
    """Return a recipe's network with its initial weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = build(recipe.architecture, recipe.options)
        initialize(model)
    return quantize(model, weights=recipe.weights, activations=recipe.activations, skip=recipe.skip)


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """Draw weights from Xavier's uniform distribution and biases from N(0, 0.1²)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)


def _card(recipe: Recipe, clean: float) -> Card:
    adversarial = stable(describe(recipe.adversarial)) if recipe.adversarial else ""
    return Card(
        architecture=recipe.architecture,
        settings=dict(recipe.options),
        weights=quantizer_card(recipe.weights),
        activations=quantizer_card(recipe.activations),
        skip=recipe.skip,
        data=recipe.data,
        adversarial=adversarial,
        training=asdict(recipe.training),
        clean=clean,
    )


@torch.no_grad()
def _rounded(model: nn.Module) -> nn.Module:
    """The network with every parameter and statistic of its file rounded to half precision, computed in single."""
    for tensor in model.state_dict().values():  # not what its options give, such as the normalization
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
    return model
