"""The smallest text for `iptables-restore --noflush` that turns one ruleset into another.

What the kernel asks for, and how the text meets it:

- A chain must be there before a rule jumps to it: all chain lines come before all rules. A chain
  line also flushes a chain that is there already, so a chain is always written whole.
- A chain can only be deleted (`-X`) when it is empty and no rule jumps to it, at that point of the
  text: legacy checks it in its copy of the table, nft in the transaction. So chains to be deleted
  get a chain line, too, and `-X` comes after all rules: by then every chain that jumped to one of
  them has been written anew, since it differs.
- Lists of `-m recent` are counted by the rules that name them. Both backends make the new rules
  before they drop the old ones, so a list outlives the rewriting of its chain, and the list of an
  endpoint whose chain isn't touched is never looked at.
- Order within a chain is that of the new text; nothing is inserted or deleted singly.

Chains of others are left alone, and so are the jumps from the built-in chains, which kube-proxy
keeps up outside its restore text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compiler.analysis.kube_chains import (
    PORT_PREFIXES,
    TOP_LEVEL,
    is_kube_proxy_chain,
    is_service_chain,
)
from compiler.netfilter.printing import declaration
from compiler.netfilter.rule import Chain, Rule, Ruleset, Table


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta: its text (empty where there is nothing to do) and what it does, for a summary.

    `kept` are chains that go by the new ruleset but that a foreign rule jumps to: they are
    flushed, and stay.
    """

    text: str
    written: int
    removed: int
    rules: int
    kept: tuple[str, ...]


def delta_rules(
    old: Ruleset,
    new: Ruleset,
    *,
    source: Sequence[str] | None = None,
    like_kube_proxy: bool = False,
) -> Delta:
    """Return what turns `old` into `new` (of one family) on a node that holds `old`.

    `source` are the lines of the new text: rules are then written with its words. With
    `like_kube_proxy` the text is what kube-proxy's own partial sync repeats: all top-level chains,
    and all chains of a service port of which one changed.
    """
    parts: list[str] = []
    written = removed = rules = 0
    kept: list[str] = []
    for name in dict.fromkeys((*new.tables, *old.tables)):
        table = _TableDelta(name, old.table(name), new.table(name), like_kube_proxy)
        kept += table.kept
        if not (table.changed or table.flushed):
            continue
        written += len(table.changed)
        removed += len(table.stale)
        rules += sum(len(chain.rules) for chain in table.changed)
        parts += table.lines(source)
    text = "\n".join(parts) + "\n" if parts else ""
    return Delta(text, written, removed, rules, tuple(kept))


class _TableDelta:
    """What one table needs.

    `changed` are the chains to write, `stale` those to delete, `kept` those to flush only.
    """

    def __init__(self, name: str, old: Table, new: Table, like_kube_proxy: bool) -> None:
        self.name = name
        owned = [chain for chain in new.values() if is_kube_proxy_chain(name, chain.name)]
        differing = {chain.name for chain in owned if _differs(chain, old.get(chain.name))}
        gone = [
            chain
            for chain in old.values()
            if is_kube_proxy_chain(name, chain.name) and chain.name not in new
        ]
        if like_kube_proxy:
            differing |= _repeated(name, owned, differing, {chain.name for chain in gone})
        self.changed = [chain for chain in owned if chain.name in differing]
        held = _held(name, old, {chain.name for chain in gone})
        self.kept = [chain.name for chain in gone if chain.name in held and chain.rules]
        self.stale = [chain.name for chain in gone if chain.name not in held]
        self.flushed = [*self.kept, *self.stale]

    def lines(self, source: Sequence[str] | None) -> Iterable[str]:
        """Give the lines of the table."""
        yield f"*{self.name}"
        for chain in self.changed:
            yield declaration(Chain(chain.name, ()))
        for name in self.flushed:
            yield f":{name} - [0:0]"
        rules = [rule for chain in self.changed for rule in chain.rules]
        rules.sort(key=_line)
        shared = Counter(rule.line for rule in rules)
        waiting = [f"-X {name}" for name in self.stale]
        for rule in rules:
            # kube-proxy removes chains before this rule, which "must be the last"
            if rule.target == "KUBE-NODEPORTS" and waiting and self._all_written(rule):
                yield from waiting
                waiting = []
            yield _written(rule, source if shared[rule.line] == 1 else None)
        yield from waiting
        yield "COMMIT"

    def _all_written(self, rule: Rule) -> bool:
        """Say whether all rules but the node-ports rules stand before this one."""
        last = max(
            (
                other.line
                for chain in self.changed
                for other in chain.rules
                if other.target != "KUBE-NODEPORTS"
            ),
            default=0,
        )
        return rule.line > last


def _line(rule: Rule) -> int:
    return rule.line


def _differs(chain: Chain, before: Chain | None) -> bool:
    return before is None or before.texts() != chain.texts()


def _repeated(table: str, owned: list[Chain], differing: set[str], gone: set[str]) -> set[str]:
    """Return the chains that kube-proxy's partial sync repeats without need.

    That is every top-level chain, and the chains of a service port (its endpoints' included) of
    which one changed, came or went.
    """
    repeated = {chain.name for chain in owned if chain.name in TOP_LEVEL.get(table, ())}
    touched = differing | gone
    ports: dict[str, set[str]] = {}
    for chain in owned:
        if chain.name.startswith(PORT_PREFIXES):
            group = ports.setdefault(chain.name.rsplit("-", 1)[-1], set())
            group.add(chain.name)
            group.update(rule.target for rule in chain.rules if is_service_chain(rule.target))
    for group in ports.values():
        if not group.isdisjoint(touched):
            repeated |= group
    return repeated


def _held(table: str, old: Table, gone: set[str]) -> set[str]:
    """Return those of the chains that a rule jumps to which the delta does not rewrite."""
    if not gone:
        return set()
    return {
        rule.target
        for chain in old.values()
        if not is_kube_proxy_chain(table, chain.name)
        for rule in chain.rules
        if rule.target in gone
    }


def _written(rule: Rule, source: Sequence[str] | None) -> str:
    """Write a rule in the words of its text, where there is one, else in canonical form."""
    if source is not None and 0 < rule.line <= len(source):
        line = source[rule.line - 1]
        if line.startswith("-A ") and rule.counters is None:
            return line
    return str(rule)
