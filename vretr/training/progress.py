"""How far a training is, on stderr: a bar on a terminal, else a line every 30 s.

The one place of the library that writes there by itself, as a training may take days; a level
above WARNING for the logger `vretr` (`--quiet`) keeps it silent.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30.0

Show = Callable[[Mapping[str, Any]], None]  # a row of metrics.jsonl


@contextmanager
def progress(start: int, steps: int, *, shown: bool = True) -> Iterator[Show]:
    """A function to call after each step; `start` steps were done in an earlier run."""
    if not (shown and log.isEnabledFor(logging.WARNING)):
        yield lambda row: None
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with _bar(start, steps) as show:
            yield show
    else:
        yield _lines(start, steps)


@contextmanager
def _bar(start: int, steps: int) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    text = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(), MofNCompleteColumn(), Elapsed(), Remaining(elapsed_when_finished=True))
    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    with Progress(*columns, text, console=console, redirect_stdout=False) as bar:
        task = bar.add_task("", total=steps, completed=start)
        yield lambda row: bar.update(task, completed=row["step"], description=_losses(row))


def _lines(start: int, steps: int) -> Show:
    begun = last = time.monotonic()

    def show(row: Mapping[str, Any]) -> None:
        nonlocal last
        if (now := time.monotonic()) - last < SECONDS_BETWEEN_LINES:
            return
        last, step = now, row["step"]
        left = timedelta(seconds=round((now - begun) / (step - start) * (steps - step)))
        print(f"step {step} of {steps}, {left} left, {_losses(row)}", file=sys.stderr, flush=True)

    return show


def _losses(row: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in row.items() if type(value) is float)
