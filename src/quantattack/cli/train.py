"""What `train` does: it trains a network by its recipe and keeps the checkpoint."""

from collections.abc import Callable
from pathlib import Path

import typer

from quantattack.cli.attacks import inner_attack
from quantattack.progress import bar
from quantattack.training import recipes
from quantattack.training.state import Epoch


def train_to(recipe: str, out: Path, data_root: str | None) -> None:
    """Train a network, keep its checkpoint, and print how many test images it is right on."""
    chosen = recipes.recipe(recipe, inner_attack)
    state = out.with_name(out.name + ".state")
    with bar(True) as advance:
        report_epoch = _printed(chosen.training.epochs)
        card = recipes.train(chosen, out, root=data_root, keep=state, progress=report_epoch, advance=advance)
    state.unlink(missing_ok=True)
    typer.echo(f"{out}: {100 * card.clean:.2f}% of the test images right")


def _printed(epochs: int) -> Callable[[Epoch], None]:
    def print_epoch(epoch: Epoch) -> None:
        right = "" if epoch.accuracy is None else f"  rounded network, test images {100 * epoch.accuracy:.2f}%"
        line = f"epoch {epoch.index + 1}/{epochs}  loss {epoch.loss:.4f}  training images {100 * epoch.training:.2f}%"
        typer.echo(line + right, err=True)

    return print_epoch
