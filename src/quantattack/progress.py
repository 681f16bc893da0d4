"""Progress on standard error: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

Advance: TypeAlias = Callable[[str, int, int], None]  # (attack's name, images done, images in total)
EVERY = 10.0  # seconds between two plain lines


@contextmanager
def bar(shown: bool) -> Iterator[Advance]:
    """Show each attack's progress, images per second and time left, if `shown`; as plain lines without a terminal."""
    if not shown:
        yield lambda name, done, total: None  # noqa: ARG005
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines(partial(print, file=sys.stderr, flush=True), every=EVERY)
        return
    with _live_bar(console) as advance:
        yield advance


class PlainLines:
    """Writes a line on the running attack every few seconds, and one at its end if it was named before.

    Arguments:
        say: Prints a line.
        clock: Seconds from some moment on.
        every: Seconds between two lines.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic, every: float = EVERY
    ) -> None:
        self._say, self._clock, self._every = say, clock, every
        self._started: dict[str, float] = {}
        self._last, self._named = clock(), set[str]()

    def __call__(self, name: str, done: int, total: int) -> None:
        now = self._clock()
        began = self._started.setdefault(name, now)
        is_over = done >= total and name in self._named
        if not is_over and (done >= total or now - self._last < self._every):
            return
        self._last = now
        (self._named.discard if is_over else self._named.add)(name)
        self._say(f"{name}: {done} of {total} images, {now - began:.0f} s")


@contextmanager
def _live_bar(console: Any) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as shown_bar:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = shown_bar.add_task(name, total=total, rate="")
            shown_bar.update(tasks[name], completed=done, rate=_rate(shown_bar.tasks[tasks[name]].speed))

        yield advance


def _rate(speed: float | None) -> str:
    return "" if not speed else f"{speed:.3g} images/s"
