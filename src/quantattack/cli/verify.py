"""What `verify` does: it computes the verdicts of a record once more, and prints what disagrees."""

from typing import Any

import numpy as np
import typer

from quantattack.attacks.norms import norm_named
from quantattack.attacks.pixel_radii import PixelRadii
from quantattack.attacks.threat import Threat
from quantattack.cli import names
from quantattack.cli.deployed import FileOptions, noted_options
from quantattack.data.streams import stream_data
from quantattack.errors import InputError
from quantattack.evaluation.verify import Verified
from quantattack.evaluation.verify import verify as compute_again
from quantattack.record.record import Record
from quantattack.report.tables import threat_words


def verified(
    record: Record, data: str | None, data_root: str | None, device: str, said: FileOptions, padding: bool
) -> Verified:
    """Verify one evaluation, print what disagrees and what is not there yet, and return what was computed again."""
    subject, options = record.subject, noted_options(record, data_root) if said == FileOptions() else said
    images = stream_data(names.data_named(data or subject.data), data_root)
    model = names.model_named(subject.model, names.device_named(device), options)
    found = compute_again(record, model, images, threat_of(record), padding)
    typer.echo(f"{subject.model} on {subject.data}, {threat_words(record.threat)}:")
    for line in found.wrong:
        typer.echo(f"- {line}")
    typer.echo(
        f"  {found.clean} clean predictions and {found.attacked} attacked images computed again, "
        f"{found.files} checksums; {len(found.wrong)} disagree; {found.unsaved} attacked images were not saved"
    )
    if found.proofs or found.unproved:
        typer.echo(f"  {found.proofs} proofs computed again; {found.unproved} by a solver were not searched again")
    _say_unfinished(record)
    return found


def _say_unfinished(record: Record) -> None:
    """Print how many outcomes of a run are there, where it is not complete."""
    if not record.complete:
        done = record.summary()["done"]
        how = "the same `quantattack evaluate` command continues the run"
        typer.echo(f"  unfinished: {sum(done.values())} of {len(done) * record.images} outcomes are there; {how}")


def threat_of(record: Record) -> Threat:
    """Return the threat that a record describes."""
    about: dict[str, Any] = dict(record.threat)
    norm = about.pop("norm", "")
    about.pop("part", None)
    try:
        if "each" in about:
            about["each"] = _each_of(about["each"])
        return Threat(norm_named(str(norm["part"] if isinstance(norm, dict) else norm)), **about)
    except (TypeError, KeyError, ValueError):
        raise InputError(f"no threat can be made of {record.subject.threat[:200]}; verify it in Python") from None


def _each_of(about: dict[str, Any]) -> PixelRadii:
    """Return the pixels' own radii that a record describes; those that it holds a digest of cannot be known."""
    return PixelRadii(np.reshape(about["numbers"], about["shape"]))
