"""proxyrules: from Kubernetes Services to kube-proxy's iptables rules, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compiler.compilation import Compilation, compile_rules
    from compiler.errors import InputError, Problem
    from compiler.netfilter.evaluate import Packet
    from compiler.netfilter.host import Host
    from compiler.questions import delta, diff, evaluate, verify

__all__ = [
    "Compilation",
    "Host",
    "InputError",
    "Packet",
    "Problem",
    "compile_rules",
    "delta",
    "diff",
    "evaluate",
    "verify",
]

_HOMES = {
    "Compilation": "compiler.compilation",
    "Host": "compiler.netfilter.host",
    "InputError": "compiler.errors",
    "Packet": "compiler.netfilter.evaluate",
    "Problem": "compiler.errors",
    "compile_rules": "compiler.compilation",
    "delta": "compiler.questions",
    "diff": "compiler.questions",
    "evaluate": "compiler.questions",
    "verify": "compiler.questions",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: `proxyrules --help` must not wait for the whole compiler."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
