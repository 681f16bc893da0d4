"""Progress bars on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Advance: TypeAlias = Callable[[str, int, int], None]  # (attack's name, images done, images in total)


@contextmanager
def bar(shown: bool) -> Iterator[Advance]:
    """Show each attack's progress, images per second and time left, if `shown` and on a terminal."""
    if not shown:
        yield lambda name, done, total: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown_bar:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = shown_bar.add_task(name, total=total, rate="")
            shown_bar.update(tasks[name], completed=done, rate=_rate(shown_bar.tasks[tasks[name]].speed))

        yield advance


def _rate(speed: float | None) -> str:
    return "" if not speed else f"{speed:.3g} images/s"
