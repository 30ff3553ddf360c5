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
maintains outside its restore text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compiler.kube_rules.chains import (
    PORT_PREFIXES,
    TOP_LEVEL,
    is_kube_proxy_chain,
    is_service_chain,
    port_hash,
)
from compiler.netfilter.chain import Chain
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import Table

_NODE_PORTS = "KUBE-NODEPORTS"


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

    `source` are the lines of the new text, where its chains don't keep them (`Content.written`):
    rules are written with its words. With
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
        rules += sum(map(len, table.changed))
        parts += table.lines(source)
    text = "\n".join(parts) + "\n" if parts else ""
    return Delta(text, written, removed, rules, tuple(kept))


class _Line(NamedTuple):
    """A rule to be written: its line in the new text, its words, and where it jumps to."""

    number: int
    text: str
    target: str


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
            if chain.name not in new and is_kube_proxy_chain(name, chain.name)
        ]
        if like_kube_proxy:
            differing |= _repeated(name, owned, differing, {chain.name for chain in gone})
        self.changed = [chain for chain in owned if chain.name in differing]
        held = _held(name, old, {chain.name for chain in gone})
        self.kept = [chain.name for chain in gone if chain.name in held and len(chain)]
        self.stale = [chain.name for chain in gone if chain.name not in held]
        self.flushed = [*self.kept, *self.stale]

    def lines(self, source: Sequence[str] | None) -> Iterator[str]:
        """Give the lines of the table."""
        yield f"*{self.name}"
        for name in (*(chain.name for chain in self.changed), *self.flushed):
            yield f":{name} - [0:0]"
        rules = [line for chain in self.changed for line in _rule_lines(chain, source)]
        rules.sort(key=lambda line: line.number)
        # kube-proxy removes chains before the rules of node ports, which "must be the last"
        last = max((line.number for line in rules if line.target != _NODE_PORTS), default=0)
        waiting = [f"-X {name}" for name in self.stale]
        for line in rules:
            if waiting and line.target == _NODE_PORTS and line.number > last:
                yield from waiting
                waiting = []
            yield line.text
        yield from waiting
        yield "COMMIT"


def _rule_lines(chain: Chain, source: Sequence[str] | None) -> Iterator[_Line]:
    """Give the rules of a chain in the words of their text, where it is known, else canonical.

    A line that stands for several rules (`-s 10.0.0.1,10.0.0.2`) is written as these.
    """
    written = chain.content.written
    shared = Counter(chain.numbers)
    rows = zip(chain.numbers, chain.texts(), chain.targets(), strict=True)
    for place, (number, text, target) in enumerate(rows):
        line = f"-A {chain.name} {text}".rstrip(" ")
        if written is not None and len(written) == len(chain.numbers):
            line = written[place]
        elif source is not None and 0 < number <= len(source) and shared[number] == 1:
            found = source[number - 1]
            line = found if found.startswith("-A ") else line
        yield _Line(number, line, target)


def _differs(chain: Chain, before: Chain | None) -> bool:
    return before is None or not before.same_rules(chain)


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
            group = ports.setdefault(port_hash(chain.name), set())
            group.add(chain.name)
            group.update(filter(is_service_chain, chain.targets()))
    for group in ports.values():
        if not group.isdisjoint(touched):
            repeated |= group
    return repeated


def _held(table: str, old: Table, gone: set[str]) -> set[str]:
    """Return those of the chains that a rule jumps to which the delta does not rewrite."""
    if not gone:
        return set()
    return {
        target
        for chain in old.values()
        if not is_kube_proxy_chain(table, chain.name)
        for target in chain.targets()
        if target in gone
    }
