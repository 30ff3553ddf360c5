"""proxyrules: from Kubernetes Services to kube-proxy's iptables rules, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compiler.api import Compilation, compile_rules
    from compiler.errors import InputError, Problem

__all__ = ["Compilation", "InputError", "Problem", "compile_rules"]

_HOMES = {
    "Compilation": "compiler.api",
    "InputError": "compiler.errors",
    "Problem": "compiler.errors",
    "compile_rules": "compiler.api",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: `proxyrules --help` must not wait for the whole compiler."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
