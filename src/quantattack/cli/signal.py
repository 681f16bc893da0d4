"""The command `signal`: how far an error's signals come in a network, with and without scaling."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from torch import nn

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.deployed import Architecture, Layout, Mean, One, Range, Std, file_options
from quantattack.cli.options import MODELS, DataRoot
from quantattack.data.sets import SETS, load_data
from quantattack.data.sources import digest
from quantattack.diagnostics.signals.measure import case_of, clever_signals, propagation_signals
from quantattack.errors import InputError, check_count, guarded
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.task import examine
from quantattack.progress import bar
from quantattack.record.description import digest_of
from quantattack.record.signals import Signal, read_signals, write_signals
from quantattack.record.store import Store
from quantattack.report.signal_tables import print_signal_table, tables
from quantattack.types import Images, Labels

UNITS = ("normalized", "pixel")
GRAY = 1 / 255  # any radius: nothing is attacked


def signal(
    model: Annotated[list[str], typer.Argument(help=f"{MODELS}; several.")],
    data: Annotated[
        str | None,
        typer.Option(help="Data set, .npz, parquet, image folder; else what the model was trained on."),
    ] = None,
    data_root: DataRoot = None,
    images: Annotated[int, typer.Option(help="How many correctly classified test images, from the first on.")] = 200,
    clever: Annotated[int, typer.Option(help="On how many of them CLEVER is estimated as well.")] = 0,
    unit: Annotated[str, typer.Option(help="pixel (of 0 to 1), or normalized by the data set's deviation.")] = "pixel",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the record; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    layout: Layout = None,
    range_: Range = None,
    mean: Mean = None,
    std: Std = None,
    architecture: Architecture = None,
    one_logit: One = False,
) -> None:
    """Measure singular values, error signals and input gradients against temperature, and print them."""
    check_count("--images", images)
    check_count("--clever", clever, least=0)
    if unit not in UNITS:
        raise InputError(f"--unit must be pixel or normalized, not {unit!r}")
    options = file_options(layout, range_, mean, std, one_logit=one_logit, architecture=architecture)
    options.check(model)
    data = names.data_for(data, model)
    deviation = names.deviation(data) if unit == "normalized" else None
    request = Request(data, *load_data(data, data_root), images, clever, deviation)
    place = names.device_named(device)
    nets = {name: names.model_named(name, place, options) for name in dict.fromkeys(model)}
    store = measured_on(nets, request, out, quiet)
    for table in tables(store):
        print_signal_table(table, Console())
    typer.echo(f"record: {store.folder}")


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be measured of each network.

    Arguments:
        data: Name of the data set.
        images: Its test images with shape (n, channels, height, width) and pixels in [0, 1].
        labels: Their classes with shape (n,).
        count: How many correctly classified images are measured.
        clever: On how many of them CLEVER is estimated.
        std: The channels' standard deviations, for normalized pixels; None for pixels of [0, 1].
    """

    data: str
    images: Images
    labels: Labels
    count: int
    clever: int
    std: tuple[float, ...] | None

    def signals(self, name: str, net: nn.Module) -> list[Signal]:
        """Return the signals of a network."""
        case = case_of(net, self.images, self.labels, self.count, self.std)
        signals = propagation_signals(name, self.data, case)
        return signals + (clever_signals(name, self.data, case, self.clever) if self.clever else [])

    def identity(self, nets: Mapping[str, nn.Module]) -> dict[str, Any]:
        """Return what tells the record of some networks from others."""
        about = [] if self.data in SETS else [digest({"images": self.images, "labels": self.labels})]
        checks = [[name, self.data, *about, model_checksum(net)] for name, net in nets.items()]
        unit = "pixel" if self.std is None else "normalized"
        return {"measured": checks, "images": self.count, "clever": self.clever, "unit": unit}


def measured_on(nets: Mapping[str, nn.Module], request: Request, out: Path | None, quiet: bool) -> Store:
    """Return a record of networks' signals; those that it has already are not measured again.

    Arguments:
        nets: The networks by name.
        request: What is measured of each.
        out: Folder of the record; one named by what is measured where None.
        quiet: Whether to show no progress bar.

    Raises:
        InputError: If a network cannot be used, or the folder holds another record.
    """
    for net in nets.values():
        examine(net, request.images, request.labels, Threat(Linf(), GRAY))
    identity = request.identity(nets)
    store = Store.open(out or Path("runs") / f"signal-{digest_of(identity)}", identity)
    with store.writing(), bar(not quiet) as advance:
        done = {signal.model for signal in read_signals(store.connection)}
        for number, (name, net) in enumerate(nets.items(), 1):
            if name not in done:
                with guarded(f"the model {name}"):
                    signals = request.signals(name, net)
                write_signals(store.connection, signals)
            advance("networks", number, len(nets))
    return store
