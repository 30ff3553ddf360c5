"""Everything that the commands do, as typed functions: without printing, exit codes or state.

`compile_rules` makes the rules of one node from manifests, `complete_manifests` adds to
hand-written ones what the control plane would. `diff`, `verify`, `delta` and `evaluate` answer
questions about rules, whether compiled or read from a file. `lint` finds what will surprise.
"""

from __future__ import annotations

from compiler.compilation import Compilation, compile_rules, complete_manifests
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.ruleset import Ruleset
from compiler.questions import delta, diff, evaluate, lint, read_rules, verify

__all__ = [
    "Compilation",
    "Host",
    "Outcome",
    "Packet",
    "Ruleset",
    "compile_rules",
    "complete_manifests",
    "delta",
    "diff",
    "evaluate",
    "lint",
    "read_rules",
    "verify",
]
