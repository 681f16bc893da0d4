"""What is printed of a deployed file: what it is, what runs it, and whether its twin tells the truth."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantattack.attacks.threat import Threat
from quantattack.deployed.base import DeployedModel
from quantattack.evaluation.deployed import attacked_images, compared, facts, on_images
from quantattack.evaluation.models import CountedModel
from quantattack.record.deployed import Agreement
from quantattack.report.deployed import fact_rows
from quantattack.types import Images


def print_facts(model: DeployedModel, images: Images, threat: Threat, console: Console) -> None:
    """Print a deployed file's facts, and how far twin and runtime agree on some images.

    Arguments:
        model: The deployed model.
        images: Clean images with shape (n, c, h, w).
        threat: Where an attack may walk, for the attacked images.
        console: Where to print.
    """
    about = {"file": facts(model), "on": {"": {**on_images(model, images), "attacked": {}}}}
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, words in fact_rows(about, ""):
        table.add_row(Text(name), Text(words))
    for name, agreed in _agreements(model, images, threat, about["on"][""]).items():
        table.add_row(Text(f"twin against runtime, {name} images"), Text(agreed.words))
    console.print(table)


def _agreements(model: DeployedModel, images: Images, threat: Threat, on: dict[str, Any]) -> dict[str, Agreement]:
    if model.twin is None:
        return {}
    labels = model.judge(images).argmax(1)
    attacked = compared(model, attacked_images(CountedModel(model), images, labels, threat))
    found = {"clean": on["clean"], "noise": on["noise"], "attacked": attacked}
    return {name: Agreement(**numbers) for name, numbers in found.items() if numbers is not None}
