"""What is measured of a deployed model at the start of a run: whether its twin tells the truth, and how it sees pixels.

The facts are noted in the record under "deployed", by the model's name.
"""

from dataclasses import asdict
from typing import Any

import torch

from quantattack.attacks.base import Batch, search, to_the_end
from quantattack.attacks.losses import log_odds
from quantattack.attacks.recipes import pgd
from quantattack.attacks.threat import Threat
from quantattack.deployed.agreement import agreement, clipped_share, outputs_of, saturated_share
from quantattack.deployed.base import DeployedModel, deployed_in
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.task import Task
from quantattack.record.deployed import NOTE
from quantattack.record.store import Store
from quantattack.rng import NOISE, Rng
from quantattack.types import Images, Labels

_COMPARED, _SHOWN, _STEPS = 128, 512, 10  # images compared, images whose outputs are looked at, steps of the attack


def note_deployed(task: Task, store: Store) -> None:
    """Note the facts of a task's deployed model that the record lacks; of any other model there are none.

    Arguments:
        task: The task.
        store: The record.
    """
    model = deployed_in(task.model)
    if model is None:
        return
    noted = dict(store.notes.get(NOTE, {}))
    about = dict(noted.get(task.subject.model) or {"file": facts(model), "on": {}})
    on = dict(about["on"].get(task.subject.data) or _on_clean_images(task, model))
    attacked = dict(on["attacked"])
    if task.subject.threat not in attacked:
        attacked[task.subject.threat] = _on_attacked_images(task, model)
    about["float"] = model.float_name
    about["on"] = {**about["on"], task.subject.data: {**on, "attacked": attacked}}
    store.note(**{NOTE: {**noted, task.subject.model: about}})


def facts(model: DeployedModel) -> dict[str, Any]:
    """Return what is known of a deployed file without images: plain JSON.

    Arguments:
        model: The deployed model.
    """
    quantized = model.quantized
    pixel = None if quantized is None else in_pixels(model, quantized.scale)
    return {
        **asdict(model.artifact),
        "softmax": model.softmax,
        "is_float": model.is_float,
        "twin": model.twin is not None,
        "pixels": asdict(model.pixels),
        "input": None if quantized is None else {**asdict(quantized), "in_pixels": pixel},
        "opened": None if model.file is None else model.file.runtime,
    }


def in_pixels(model: DeployedModel, scale: float) -> float:
    """Return the step of a file's input in pixels, of which 255 are the range from black to white."""
    pixels = model.pixels
    deviation = max(pixels.std, default=1.0)
    return 255 * scale * deviation / (pixels.high - pixels.low)


def compared(model: DeployedModel, images: Images) -> dict[str, Any] | None:
    """Return the agreement of twin and runtime as plain JSON; None without a twin.

    Arguments:
        model: The deployed model.
        images: Images in [0, 1] with shape (n, c, h, w).
    """
    return None if model.twin is None else asdict(agreement(model, images))


def noise(images: Images) -> Images:
    """Return uniform noise of 256 levels with the shape of some images, the same in every run."""
    rng = Rng(0, torch.arange(len(images)))
    drawn = rng.uniform(0, NOISE, tuple(images.shape[1:]))
    return (drawn * 256).floor().clamp(0, 255).to(images) / 255


def on_images(model: DeployedModel, images: Images) -> dict[str, Any]:
    """Return what a deployed model does with clean images and with noise: plain JSON.

    Arguments:
        model: The deployed model.
        images: Clean images in [0, 1] with shape (n, c, h, w).
    """
    outputs, few = outputs_of(model, images), images[:_COMPARED]
    return {
        "clean": compared(model, few),
        "noise": compared(model, noise(few)),
        "classes": outputs.shape[1],
        "images": len(images),
        "saturated": saturated_share(outputs) if model.softmax else None,
        "top": float(outputs.max()) if model.softmax else None,
        "clipped": clipped_share(images, model),
    }


def attacked_images(task_model: CountedModel, images: Images, labels: Labels, threat: Threat) -> Images:
    """Return images attacked through the twin in a few steps, each to its end.

    Arguments:
        task_model: The model.
        images: Clean images with shape (n, c, h, w).
        labels: True classes with shape (n,).
        threat: Where the attack may walk.
    """
    attack = to_the_end(pgd(threat, steps=_STEPS, loss=log_odds))
    batch = Batch(images, labels, Rng(0, torch.arange(len(images), device=images.device)))
    return search(attack, task_model, batch).images


def _on_clean_images(task: Task, model: DeployedModel) -> dict[str, Any]:
    images = task.first(_SHOWN)
    return {**on_images(model, images), "attacked": {}}


def _on_attacked_images(task: Task, model: DeployedModel) -> dict[str, Any] | None:
    if model.twin is None:
        return None
    images, labels = task.batch(range(min(_COMPARED, len(task))))
    return compared(model, attacked_images(CountedModel(model), images, labels, task.threat))
