"""What `inspect` does: it prints what is really quantized in a network, or what runs a deployed file."""

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

from quantattack.cli import names
from quantattack.cli.deployed import FileOptions
from quantattack.cli.facts import print_facts
from quantattack.data.sets import SETS, load_data
from quantattack.deployed.base import DeployedModel
from quantattack.errors import InputError
from quantattack.evaluation.checks import first_logits
from quantattack.nn.checkpoints import Card
from quantattack.nn.inspect import Inspection, Layer
from quantattack.nn.inspect import inspect as inspect_layers
from quantattack.types import Images

_IMAGES, _COMPARED = 16, 128  # images shown to a network of layers, and to a deployed file
_LISTED = 4  # levels of weights that are printed one by one


def print_inspection(model: str, data: str | None, root: str | None, options: FileOptions) -> None:
    """Print what is really quantized in a network by name; of a deployed file, what runs and how."""
    options.check([model])
    named, network = names.data_for(data, [model]), names.model_named(model, torch.device("cpu"), options)
    images = _images(named, root, _COMPARED if isinstance(network, DeployedModel) else _IMAGES)
    first_logits(network, images)
    if isinstance(network, DeployedModel):
        print_facts(network, images, names.threat_of_data(named), Console())
    else:
        _print_layers(network, images)
        typer.echo(_trained_on(names.card_named(model)))


def _print_layers(network: nn.Module, images: Images) -> None:
    inspection = inspect_layers(network, images)
    table = Table(box=None)
    for header in ("layer", "kind", "weight levels"):
        table.add_column(header.replace(" ", "\n"), overflow="fold")
    for header in ("input levels", "parameters", "quantized", "multiply-adds"):
        table.add_column(header.replace(" ", "\n").replace("-", "-\n"), no_wrap=True)
    for layer in inspection.layers:
        table.add_row(*_row(layer))
    Console().print(table)
    typer.echo(_summary(inspection))


def _trained_on(card: Card | None) -> str:
    if card is None:
        return "training: not stated; an attack climbs the logits as the model returns them"
    if card.logit_scale == 1:
        return "training: on the loss of its logits as they are, which an attack climbs too"
    return (
        f"training: on the loss of {card.logit_scale:.4g} times its logits, while an attack climbs them as they are: "
        f"compare pgd with pgd_plus_fixed[beta={card.logit_scale:.4g}]"
    )


def _images(data: str, root: str | None, count: int) -> Images:
    """Return some test images; noise of the same shape where the data set's files are missing."""
    try:
        return load_data(data, root)[0][:count]
    except InputError:
        if data not in SETS:
            raise
        return torch.rand(count, *SETS[data].shape, generator=torch.Generator().manual_seed(0))


def _row(layer: Layer) -> tuple[str, ...]:
    place = " (first)" if layer.first else " (last)" if layer.last else ""
    inputs = "float" if layer.inputs is None else str(layer.inputs)
    counts = (f"{count:,}" for count in (layer.parameters, layer.quantized, layer.multiply_adds))
    return (layer.name + place, layer.kind, _levels(layer), inputs, *counts)


def _levels(layer: Layer) -> str:
    """Return the levels of a layer's weights: one by one where they are few, else their ends."""
    if layer.weights is None:
        return "float"
    if not layer.values:
        return str(layer.weights)
    if len(layer.values) > _LISTED:
        return f"{layer.weights} levels, from {min(layer.values):.3g} to {max(layer.values):.3g}"
    return f"{layer.weights}: {', '.join(f'{value:g}' for value in layer.values)}"


def _summary(inspection: Inspection) -> str:
    return (
        f"quantized: {100 * inspection.quantized_parameters:.1f}% of {inspection.parameters:,} parameters, "
        f"{100 * inspection.quantized_multiply_adds:.1f}% of the multiply-adds by their weights, "
        f"{100 * inspection.integer_multiply_adds:.1f}% by weights and inputs; {inspection.bytes:,} bytes packed"
    )
