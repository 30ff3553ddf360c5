"""The browser that tests of pages need."""

from __future__ import annotations

import importlib.util
import shutil

BROWSER = "chromium"


def missing_for_browser_tests() -> str:
    """Return what browser tests lack on this machine, empty where they can run."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return "" if shutil.which(BROWSER) else f"{BROWSER} is not installed"
