"""Ctrl-C that lets the running step end."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Within `with`, SIGINT and SIGTERM only set `asked`; a second Ctrl-C interrupts at once.

    Outside the main thread Python cannot catch signals, and `asked` stays False.
    """

    asked = False

    def __enter__(self) -> "Interrupts":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
