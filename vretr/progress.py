"""How far long work is, on stderr: a bar on a terminal, else a line every half minute.

The one place of the library that writes there by itself, as some work takes days. A level above
WARNING for the logger `vretr` (`--quiet`) keeps it silent.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from vretr.paths import display

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30.0


class Bar:
    """How far something is. Draws nothing itself."""

    def __init__(self, description: str, total: int | None, done: int) -> None:
        self.description, self.total, self.done = description, total, done
        self.before, self.begun = done, time.monotonic()

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        self.update(self.done + count)

    def update(self, done: int, total: int | None = None, *, note: str = "") -> None:
        """So many are done, of so many (where that is known by now), and what else is to say."""
        self.done, self.total = done, self.total if total is None else total

    @property
    def rate(self) -> float:
        """How many a second, since it was begun here."""
        return (self.done - self.before) / max(time.monotonic() - self.begun, 1e-9)


class _Lines(Bar):
    """A line on stderr now and then."""

    def __init__(self, description: str, total: int | None, done: int) -> None:
        super().__init__(description, total, done)
        self.last = self.begun

    def update(self, done: int, total: int | None = None, *, note: str = "") -> None:
        super().update(done, total)
        if (now := time.monotonic()) - self.last < SECONDS_BETWEEN_LINES:
            return
        self.last, rate = now, self.rate
        told = f"{self.description}: {done:,}"
        if self.total is not None:
            told += f" of {self.total:,}"
            if rate:
                told += f", {timedelta(seconds=round((self.total - done) / rate))} left"
        print(display(f"{told}, {note or f'{rate:.1f}/s'}"), file=sys.stderr, flush=True)


class _Drawn(Bar):
    """rich's bar."""

    def __init__(self, description: str, total: int | None, done: int, drawn: Any) -> None:
        super().__init__(description, total, done)
        self.drawn = drawn
        self.task = drawn.add_task(description, total=total, completed=done, note="")

    def update(self, done: int, total: int | None = None, *, note: str = "") -> None:
        super().update(done, total)
        note = note or f"{self.rate:.1f}/s"
        self.drawn.update(self.task, completed=self.done, total=self.total, note=note)


@contextmanager
def progress(
    total: int | None, description: str, *, done: int = 0, shown: bool = True
) -> Iterator[Bar]:
    """Shows how far it is.

    Args:
        total: how many there are; None: not known yet, see `Bar.update`.
        description: a word or two before the bar.
        done: so many were done in an earlier run.
        shown: whether this process is the one that shows it.
    """
    if not (shown and log.isEnabledFor(logging.WARNING)):
        yield Bar(description, total, done)
    elif not (sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"):
        yield _Lines(description, total, done)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as drawn:
            yield _Drawn(description, total, done, drawn)
