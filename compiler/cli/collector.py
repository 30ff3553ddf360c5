"""The garbage collector, which a command does without while it makes a million objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resting_objects() -> Iterator[None]:
    """Let the garbage collector look at new objects alone.

    For work that makes garbage piece by piece beside a million objects that stay.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def paused_collector() -> Iterator[None]:
    """Pause the garbage collector; also a decorator of a whole command.

    A compile, and the reading of rules, makes a million objects and no cycles: looking at all of
    them again and again, to find nothing, would take a fifth of the time, and a first look after
    they were made 2 s more.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
