import io
import logging
import sys

import pytest

from vretr.training import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Ten seconds pass between two looks at the clock."""
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, **settings) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.progress(4, 12, **settings) as show:
        for step in range(5, 13):
            show({"step": step, "loss": 0.123456, "validation": {"loss": 1.0}})
    return stream.getvalue()


def test_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert lines == [
        "step 7 of 12, 0:00:50 left, loss 0.1235",  # 3 steps took 30 s
        "step 10 of 12, 0:00:20 left, loss 0.1235",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = shown(monkeypatch, Terminal())
    assert "12/12" in text
    assert "loss 0.1235" in text


def test_silent_where_asked_to_be(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    assert shown(monkeypatch, io.StringIO(), shown=False) == ""
    monkeypatch.setattr(progress.log, "level", logging.ERROR)
    progress.log.manager._clear_cache()
    try:
        assert shown(monkeypatch, io.StringIO()) == ""
    finally:
        monkeypatch.undo()
        progress.log.manager._clear_cache()
