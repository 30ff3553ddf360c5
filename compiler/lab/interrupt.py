"""Ctrl-C and SIGTERM while a lab is being made: handled when the lab can be removed again.

A signal inside pyroute2's event loop leaves half-closed generators behind, and a second one would
interrupt the removal. So signals are recorded, and handled between two steps.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Hold signals back; gives a function that raises KeyboardInterrupt if one has come.

    It is raised at the end too, if one came after the last look. In a thread other than the main
    one, where Python allows no handlers, nothing is held back.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)

    def look() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield look
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield look
        look()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
