"""The jumps from the built-in chains that kube-proxy maintains outside its restore text."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from compiler.kube_rules.chains import JUMPS, Jump
from compiler.netfilter.chain import Chain, Content
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.shapes import Shapes


def has_builtin_chains(ruleset: Ruleset, table: str) -> bool:
    """Say whether a text shows the built-in chains of a table, as kube-proxy's own does not.

    It may show their rules without a policy, as `compile --standalone` does.
    """
    chains = ruleset.table(table)
    names = BUILTIN_CHAINS.get(table, ())
    return any(name in chains and (chains[name].policy or len(chains[name])) for name in names)


def jumps_of(ruleset: Ruleset, table: str) -> tuple[Jump, ...]:
    """Return the jumps that kube-proxy maintains to the chains that a table has."""
    chains = ruleset.table(table)
    return tuple(jump for jump in JUMPS if jump.table == table and jump.target in chains)


def with_jumps(ruleset: Ruleset, tables: Collection[str] | None = None) -> Ruleset:
    """Return the ruleset as it would be in a kernel that holds nothing else.

    Tables without built-in chains get them, empty but for kube-proxy's jumps; `tables` are those
    whose built-in chains are replaced even where they are there.
    """
    shapes = Shapes(ruleset.family)
    made = dict(ruleset.tables)
    for name, table in ruleset.tables.items():
        replaced = tables is not None and name in tables
        if has_builtin_chains(ruleset, name) and not replaced:
            continue
        chains = dict(table)
        # each is inserted at the top, so that the last one comes first
        jumps = list(reversed(jumps_of(ruleset, name)))
        for builtin in BUILTIN_CHAINS.get(name, ()):
            texts = [
                str(jump).partition(f"-A {builtin} ")[2] for jump in jumps if jump.chain == builtin
            ]
            texts = [text for line in texts for text in shapes.read(line).texts]
            chains[builtin] = Chain(
                builtin,
                Content(shapes, texts=texts),
                policy="ACCEPT",
                numbers=(0,) * len(texts),
            )
        made[name] = chains
    return replace(ruleset, tables=made)
