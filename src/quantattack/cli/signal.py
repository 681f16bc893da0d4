"""The command `signal`: how far an error's signals come in a network, with and without scaling."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from quantattack.attacks.norms import Linf
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.data.sets import SETS, load_data
from quantattack.data.sources import digest
from quantattack.diagnostics.signals.measure import case_of, clever_signals, propagation_signals
from quantattack.errors import InputError, check_count
from quantattack.evaluation.models import model_checksum
from quantattack.evaluation.task import examine
from quantattack.progress import bar
from quantattack.record.description import digest_of
from quantattack.record.signals import Signal, read_signals, write_signals
from quantattack.record.store import Store
from quantattack.report.signal_tables import print_signal_table, tables

UNITS = ("normalized", "pixel")
GRAY = 1 / 255  # any radius: nothing is attacked


def signal(
    model: Annotated[list[str], typer.Argument(help="Names of the zoo, checkpoints, or package.module:function.")],
    data: Annotated[
        str | None, typer.Option(help="Data set, an .npz, or a folder of images; else what the model was trained on.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="Folder of the data sets; else QUANTATTACK_DATA.")] = None,
    images: Annotated[int, typer.Option(help="How many correctly classified test images, from the first on.")] = 200,
    clever: Annotated[int, typer.Option(help="On how many of them CLEVER is estimated as well.")] = 0,
    unit: Annotated[str, typer.Option(help="pixel (of 0 to 1), or normalized by the data set's deviation.")] = "pixel",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, xpu.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the record; the same command continues in it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Measure singular values, error signals and input gradients against temperature, and print them."""
    check_count("--images", images)
    check_count("--clever", clever, least=0)
    if unit not in UNITS:
        raise InputError(f"--unit must be pixel or normalized, not {unit!r}")
    data = names.data_for(data, model)
    place, given = names.device_named(device), load_data(data, data_root)
    nets = {name: names.model_named(name, place) for name in dict.fromkeys(model)}
    std = names.deviation(data) if unit == "normalized" else None
    for net in nets.values():
        examine(net, *given, Threat(Linf(), GRAY))
    about = [data] if data in SETS else [data, digest({"images": given[0], "labels": given[1]})]
    checks = [[name, *about, model_checksum(net)] for name, net in nets.items()]
    store = _store({"measured": checks, "images": images, "clever": clever, "unit": unit}, out)
    with store.writing(), bar(not quiet) as advance:
        done = {signal.model for signal in read_signals(store.connection)}
        for number, (name, net) in enumerate(nets.items(), 1):
            if name not in done:
                write_signals(store.connection, _measure(name, net, data, given, images, clever, std))
            advance("networks", number, len(nets))
    for table in tables(store):
        print_signal_table(table, Console())
    typer.echo(f"record: {store.folder}")


def _store(identity: dict[str, Any], out: Path | None) -> Store:
    return Store.open(out or Path("runs") / f"signal-{digest_of(identity)}", identity)


def _measure(
    name: str, net: Any, data: str, given: tuple[Any, Any], images: int, clever: int, std: tuple[float, ...] | None
) -> list[Signal]:
    case = case_of(net, *given, images, std)
    signals = propagation_signals(name, data, case)
    return [*signals, *clever_signals(name, data, case, clever)] if clever else signals
