"""The jumps from the built-in chains that kube-proxy maintains outside its restore text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import replace

from compiler.kube_rules.chains import JUMPS, Jump
from compiler.netfilter.chain import Chain
from compiler.netfilter.content import Content
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.shapes import Shapes
from compiler.netfilter.table import replacing


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


def with_jumps(
    ruleset: Ruleset,
    tables: Collection[str] | None = None,
    policies: Mapping[tuple[str, str], str] | None = None,
) -> Ruleset:
    """Return the ruleset as it would be in a kernel that holds nothing else.

    Tables without built-in chains get them, empty but for kube-proxy's jumps; `tables` are those
    whose built-in chains are replaced even where they are there. `policies` are those of built-in
    chains, by table and name, as far as they are known.
    """
    shapes = Shapes(ruleset.family)
    known = policies or {}
    made = dict(ruleset.tables)
    for name, table in ruleset.tables.items():
        chains: dict[str, Chain] = {}
        # each is inserted at the top, so that the last one comes first
        jumps = list(reversed(jumps_of(ruleset, name)))
        bare = not has_builtin_chains(ruleset, name) or (tables is not None and name in tables)
        for builtin in BUILTIN_CHAINS.get(name, ()):
            policy = known.get((name, builtin))
            if bare:
                mine = [jump for jump in jumps if jump.chain == builtin]
                chains[builtin] = _jumping(builtin, mine, shapes, policy)
            elif policy and (there := table.get(builtin)) and there.policy is None:
                chains[builtin] = there.with_policy(policy)
        made[name] = replacing(table, chains) if chains else table
    return replace(ruleset, tables=made)


def as_loaded(ruleset: Ruleset) -> Ruleset:
    """Return the ruleset as it would be in a kernel that holds nothing else, all policies known.

    Policies that no text shows are the kernel's own, ACCEPT.
    """
    policies = {(t, chain): "ACCEPT" for t, chains in BUILTIN_CHAINS.items() for chain in chains}
    return with_jumps(ruleset, policies=policies)


def _jumping(name: str, jumps: Iterable[Jump], shapes: Shapes, policy: str | None) -> Chain:
    """Return a built-in chain that has nothing but jumps."""
    lines = [str(jump).partition(f"-A {name} ")[2] for jump in jumps]
    texts = [text for line in lines for text in shapes.read(line).texts]
    return Chain(name, Content(shapes, texts=texts), policy=policy, numbers=(0,) * len(texts))


def policies_of(ruleset: Ruleset) -> Mapping[tuple[str, str], str]:
    """Return the policies that a text shows, by table and built-in chain."""
    return {
        (table, name): chain.policy
        for table, names in BUILTIN_CHAINS.items()
        for name in names
        if (chain := ruleset.chain(table, name)) is not None and chain.policy
    }
