"""What `signal` does: it measures how far an error's signals come in networks, and keeps what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from torch import nn

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.deployed import FileOptions
from quantattack.data.sets import SETS, load_data
from quantattack.data.sources import digest
from quantattack.diagnostics.signals.measure import case_of, clever_signals, propagation_signals
from quantattack.errors import guarded
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.task import examine
from quantattack.progress import bar
from quantattack.record.description import digest_of
from quantattack.record.signals import Signal, read_signals, write_signals
from quantattack.record.store import Store
from quantattack.report.signal_tables import print_signal_table, tables
from quantattack.types import Images, Labels

GRAY = 1 / 255  # any radius: nothing is attacked


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


def requested(
    models: Sequence[str], data: str | None, root: str | None, images: int, clever: int, unit: str
) -> Request:
    """Return what is to be measured of networks, from the command's names."""
    name = names.data_for(data, models)
    std = names.deviation(name) if unit == "normalized" else None
    return Request(name, *load_data(name, root), images, clever, std)


def print_signals(
    request: Request, models: Sequence[str], options: FileOptions, device: str, out: Path | None, quiet: bool
) -> None:
    """Measure networks by name, keep their signals in a record, and print them."""
    place = names.device_named(device)
    nets = {name: names.model_named(name, place, options) for name in dict.fromkeys(models)}
    store = measured_on(nets, request, out, quiet)
    for table in tables(store):
        print_signal_table(table, Console())
    typer.echo(f"record: {store.folder}")


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
