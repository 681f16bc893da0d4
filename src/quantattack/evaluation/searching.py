"""The search of one attack call: the task's faster versions of the model in turn, then the model itself."""

from itertools import pairwise

import torch
from torch import nn

from quantattack.attacks.base import Attack, Batch, Trace, is_single, needs_all, search
from quantattack.evaluation.fast_search import InBfloat16
from quantattack.evaluation.models import CountedModel
from quantattack.evaluation.task import Task
from quantattack.types import Images, Labels, Mask


def searched(task: Task, model: CountedModel, attack: Attack, batch: Batch) -> Trace:
    """Attack the task's faster versions of the model in turn, then the model itself, and return the merged result.

    After the bfloat16 version, every image that does not fool the model itself is attacked again.  After a float32
    version, only images that fool that version but not the model are; the others had a full float32 search.
    """
    faster = () if needs_all(attack) or is_single(attack) else task.faster
    models = [*(_instead(model, version) for version in faster), model]
    result = search(attack, models[0], batch.copied())  # an attack may write into its batch, which is judged later
    for searched, following in pairwise(models):
        again = ~_fooled(model, result.images, batch.labels)
        if not _is_bfloat16(searched):
            again &= _fooled(searched, result.images, batch.labels)
        if bool(again.any()):
            result = _merged(result, again, search(attack, following, batch.keep(again)))
    return result


def _instead(model: CountedModel, version: nn.Module) -> CountedModel:
    """Return another version of a model, called and counted as the model is."""
    return CountedModel(version, model.passes, model.width, model.grid, model.rows)


def _is_bfloat16(model: CountedModel) -> bool:
    return any(isinstance(module, InBfloat16) for module in model.modules())


def _fooled(model: CountedModel, images: Images, labels: Labels) -> Mask:
    with torch.no_grad():
        fooled: Mask = model(images).argmax(1) != labels
    return fooled


def _merged(result: Trace, again: Mask, other: Trace) -> Trace:
    """Return `result` with its rows at `again` replaced by those of `other`."""
    pairs = ((result.images, other.images), (result.step, other.step), (result.restart, other.restart))
    columns = [column.clone() for column, _ in pairs]
    for column, (_, new) in zip(columns, pairs, strict=True):
        column[again] = new
    images, step, restart = columns
    return Trace(images, step, restart)
