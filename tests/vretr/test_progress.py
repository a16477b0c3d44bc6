import io
import logging
import sys

import pytest

from vretr import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass with each thing done."""
    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)


class Clock:
    now = 0.0


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *, note: str = "", **more) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    Clock.now = 0.0
    with progress.progress(12, "[i]Steps", done=4, **more) as bar:
        for done in range(5, 13):
            Clock.now += 10
            bar.update(done, note=note)
    return stream.getvalue()


def test_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert lines == [
        "[i]Steps: 7 of 12, 0:00:50 left, 0.1/s",  # 3 took 30 s
        "[i]Steps: 10 of 12, 0:00:20 left, 0.1/s",
    ]


def test_a_note_stands_in_place_of_the_rate(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    line = shown(monkeypatch, io.StringIO(), note="loss 0.5\x1b[2J").splitlines()[0]
    assert line == "[i]Steps: 7 of 12, 0:00:50 left, loss 0.5\\x1b[2J"


def test_a_total_may_become_known_later(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    Clock.now = 0.0
    with progress.progress(None, "Photos") as bar:
        Clock.now = 40
        bar.advance(20)
        Clock.now = 80
        bar.update(40, 60)
    assert stream.getvalue().splitlines() == [
        "Photos: 20, 0.5/s",
        "Photos: 40 of 60, 0:00:40 left, 0.5/s",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = shown(monkeypatch, Terminal(), note="loss 0.1235")
    assert "12/12" in text
    assert "[i]Steps" in text
    assert "loss 0.1235" in text


def test_a_dumb_terminal_gets_no_escapes(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(monkeypatch, Terminal())


def test_silent_where_asked_to_be(monkeypatch: pytest.MonkeyPatch, clock: None) -> None:
    assert shown(monkeypatch, io.StringIO(), shown=False) == ""
    monkeypatch.setattr(progress.log, "level", logging.ERROR)
    progress.log.manager._clear_cache()
    try:
        assert shown(monkeypatch, io.StringIO()) == ""
    finally:
        monkeypatch.undo()
        progress.log.manager._clear_cache()
