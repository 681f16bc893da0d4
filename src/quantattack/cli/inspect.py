"""The command `quantattack inspect`."""

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

from quantattack.cli import names
from quantattack.cli.deployed import Architecture, Layout, Mean, One, Range, RuntimeName, Std, file_options
from quantattack.cli.facts import print_facts
from quantattack.cli.options import Data, DataRoot, Network
from quantattack.data.sets import SETS, load_data
from quantattack.deployed.base import DeployedModel
from quantattack.errors import InputError
from quantattack.evaluation.checks import first_logits
from quantattack.nn.inspect import Inspection, Layer
from quantattack.nn.inspect import inspect as inspect_layers
from quantattack.types import Images

_IMAGES, _COMPARED = 16, 128  # images shown to a network of layers, and to a deployed file


def inspect(
    model: Network,
    data: Data = None,
    data_root: DataRoot = None,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    runtime: RuntimeName = None,
    one_logit: One = False,
) -> None:
    """Print what is really quantized, judged by the levels of the tensors; of a deployed file, what runs and how."""
    options = file_options(layout, range_, mean, std, runtime, data_root, one_logit, architecture)
    options.check([model])
    named, network = names.data_for(data, [model]), names.model_named(model, torch.device("cpu"), options)
    images = _images(named, data_root, _COMPARED if isinstance(network, DeployedModel) else _IMAGES)
    first_logits(network, images)
    if isinstance(network, DeployedModel):
        print_facts(network, images, names.threat_of_data(named), Console())
    else:
        _print_layers(network, images)


def _print_layers(network: nn.Module, images: Images) -> None:
    inspection = inspect_layers(network, images)
    table = Table(
        "layer", "kind", "weight levels", "input levels", "parameters", "quantized", "multiply-adds", box=None
    )
    for layer in inspection.layers:
        table.add_row(*_row(layer))
    Console().print(table)
    typer.echo(_summary(inspection))


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
    levels = "float" if layer.weights is None else str(layer.weights)
    values = f": {', '.join(f'{value:g}' for value in layer.values)}" if layer.values else ""
    inputs = "float" if layer.inputs is None else str(layer.inputs)
    counts = (f"{count:,}" for count in (layer.parameters, layer.quantized, layer.multiply_adds))
    return (layer.name + place, layer.kind, levels + values, inputs, *counts)


def _summary(inspection: Inspection) -> str:
    return (
        f"quantized: {100 * inspection.quantized_parameters:.1f}% of {inspection.parameters:,} parameters, "
        f"{100 * inspection.quantized_multiply_adds:.1f}% of the multiply-adds by their weights, "
        f"{100 * inspection.integer_multiply_adds:.1f}% by weights and inputs; {inspection.bytes:,} bytes packed"
    )
