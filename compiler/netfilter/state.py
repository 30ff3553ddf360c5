"""Tables while they are being put together: what each iptables command does to them."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.netfilter.chain_states import ChainState, ChainStates, Entry
from compiler.netfilter.rule_reader import Counters, Reading
from compiler.netfilter.ruleset import BUILTIN_CHAINS
from compiler.netfilter.shapes import Shapes
from compiler.netfilter.table import LazyTable, Table
from compiler.netfilter.values import number
from compiler.netfilter.words import BadWord

# XT_EXTENSION_MAXNAMELEN less its closing NUL.
MAX_CHAIN_NAME = 28
_BUILTIN = frozenset(name for names in BUILTIN_CHAINS.values() for name in names)
_POLICIES = frozenset(("ACCEPT", "DROP", "QUEUE", "RETURN"))
_COMMANDS = {
    "-A": "-A", "--append": "-A", "-I": "-I", "--insert": "-I", "-D": "-D", "--delete": "-D",
    "-R": "-R", "--replace": "-R", "-F": "-F", "--flush": "-F", "-X": "-X",
    "--delete-chain": "-X", "-N": "-N", "--new-chain": "-N", "-P": "-P", "--policy": "-P",
    "-Z": "-Z", "--zero": "-Z", "-E": "-E", "--rename-chain": "-E",
}  # fmt: skip


class TableState:
    """A table that commands are applied to."""

    def __init__(self, shapes: Shapes, onto: Table | None = None) -> None:
        self.shapes = shapes
        self.chains = ChainStates()
        self.whole = not onto
        for chain in (onto or {}).values():
            state = ChainState(chain.name, chain.line)
            state.policy, state.counters = chain.policy, chain.counters
            state.held, state.numbers = chain.content, chain.numbers
            state.rule_counters = dict(chain.rule_counters)
            self.chains[chain.name] = state

    def frozen(self) -> Table:
        """Return the table as it is now; no command is applied to it any more."""
        chains, shapes = self.chains, self.shapes
        if not self.whole:
            return {name: chains.chain(name, shapes) for name in chains}
        return LazyTable(
            chains.states,
            lambda name: chains.chain(name, shapes),
            chains.lines,
            like=chains.like,
            equal=chains.equal.keys(),
        )

    def chain(self, name: str, line: int) -> ChainState:
        """Return a chain; one that was never declared begins here (text cut out by grep)."""
        if (found := self.chains.get(name)) is None:
            check_chain_name(name, 1)
            found = self.chains[name] = ChainState(name, line)
        return found

    def declare(
        self, name: str, line: int, policy: str | None, counters: Counters | None
    ) -> ChainState:
        """Take a `:NAME POLICY [packets:bytes]` line: it flushes the chain or makes it.

        A built-in chain, which alone has a policy, keeps its rules: with `--noflush` they stay, and
        without it the table has been flushed before.
        """
        check_chain_name(name, 0)
        chain = self.chains.setdefault(name, ChainState(name, line))
        chain.line = line
        if policy is None:
            chain.clear()
        else:
            chain.policy = policy
            chain.counters = counters
        return chain

    def command(self, words: list[str], quoted: frozenset[int], line: int) -> Sequence[str]:
        """Apply a command; return what of its rule isn't known. Raises BadWord."""
        kind = _COMMANDS.get(words[0])
        if kind is None:
            raise BadWord(0, f'unknown command "{words[0][:40]}"')
        if len(words) == 1 and kind in ("-F", "-X", "-Z"):
            self._for_all(kind)
            return ()
        if len(words) < 2:
            raise BadWord(0, f"{words[0]} needs a chain")
        if kind in ("-A", "-I", "-D", "-R"):
            return self._rule_command(kind, words, quoted, line)
        self._chain_command(kind, words, line)
        return ()

    def _for_all(self, kind: str) -> None:
        if kind == "-F":
            for chain in self.chains.values():
                chain.clear()
        elif kind == "-X":
            for name in [name for name in self.chains if name not in _BUILTIN]:
                self._delete(name)

    def _rule_command(
        self, kind: str, words: list[str], quoted: frozenset[int], line: int
    ) -> Sequence[str]:
        chain = self.chain(words[1], line)
        position = None
        start = 2
        if kind != "-A" and len(words) > 2 and words[2].isascii() and words[2].isdigit():
            position, start = _position(words[2]), 3
        if kind == "-D" and position is not None and start == len(words):
            self._rule_at(chain, position)
            entries = chain.entries()
            del entries[position - 1]
            chain.replace(entries)
            return ()
        reading = self._read(words, quoted, start)
        made = [Entry(text, line, reading.counters) for text in reading.texts]
        if kind == "-A":
            for entry in made:
                chain.append(entry)
            return reading.unknown
        entries = chain.entries()
        if kind == "-I":
            place = (position or 1) - 1
            if place > len(entries):
                raise BadWord(2, f"{chain.name} has only {len(entries)} rules")
            # several addresses are several insertions at one place: the last ends up first
            entries[place:place] = reversed(made)
        elif kind == "-R":
            self._rule_at(chain, position or 0)
            entries[(position or 0) - 1] = made[0]
        else:
            self._take_out(chain, entries, made)
        chain.replace(entries)
        return reading.unknown

    def _take_out(self, chain: ChainState, entries: list[Entry], made: list[Entry]) -> None:
        for entry in made:
            held = [present.text for present in entries]
            if entry.text not in held:
                raise BadWord(1, f"{chain.name} has no such rule to delete")
            del entries[held.index(entry.text)]

    def _read(self, words: list[str], quoted: frozenset[int], start: int) -> Reading:
        """Read the rule that begins at a word; errors name the word as it was written."""
        try:
            return self.shapes.read_words(words[start:], frozenset(i - start for i in quoted))
        except BadWord as bad:
            bad.index += start
            raise

    def _rule_at(self, chain: ChainState, position: int) -> None:
        rules = len(chain.entries())
        if not 1 <= position <= rules:
            raise BadWord(2, f"{chain.name} has {rules} rules", "expected the number of a rule")

    def _chain_command(self, kind: str, words: list[str], line: int) -> None:
        name = words[1]
        if kind == "-N":
            check_chain_name(name, 1)
            self.chains.setdefault(name, ChainState(name, line))
        elif kind == "-F":
            self.chain(name, line).clear()
        elif kind == "-X":
            self._delete(name)
        elif kind == "-P":
            if len(words) < 3 or words[2] not in _POLICIES:
                raise BadWord(min(2, len(words) - 1), "invalid or missing policy", "ACCEPT or DROP")
            chain = self.chain(name, line)
            chain.policy = words[2]
            if len(words) == 6 and words[3] == "-c":
                chain.counters = read_counters(f"[{words[4]}:{words[5]}]", 4)
        elif kind == "-E":
            self._rename(words)

    def _delete(self, name: str) -> None:
        chain = self.chains.get(name)
        if chain is None:
            raise BadWord(1, f'no chain "{name[:40]}" to delete')
        if not chain.empty:
            raise BadWord(1, f"{name} is not empty: iptables does not delete it", "flush it first")
        for other in self.chains.values():
            if self._jumps(other, name):
                raise BadWord(1, f"{other.name} jumps to {name}: iptables does not delete it")
        del self.chains[name]

    def _jumps(self, chain: ChainState, name: str) -> bool:
        """Say whether a rule of a chain jumps to another."""
        ends = (f"-j {name}", f"-g {name}")
        texts = chain.held.texts() if chain.held is not None else chain.texts
        return any(text.endswith(ends) for text in texts)

    def _rename(self, words: list[str]) -> None:
        if len(words) < 3 or words[1] not in self.chains or words[2] in self.chains:
            raise BadWord(1, "-E needs an existing chain and a new name")
        check_chain_name(words[2], 2)
        users = [one.name for one in self.chains.values() if self._jumps(one, words[1])]
        if users:
            raise BadWord(1, f"{users[0]} jumps to {words[1]}; rename it there too")
        # its rules stand in the text under the name that it had
        self.whole = False
        chain = self.chains.pop(words[1])
        chain.name = words[2]
        self.chains[words[2]] = chain


def _position(word: str) -> int:
    return int(word) if len(word) < 10 else 10**9


def check_chain_name(name: str, index: int) -> None:
    """Reject a chain name that the kernel or iptables would. Raises BadWord."""
    if not name or len(name.encode("utf-8", "surrogateescape")) > MAX_CHAIN_NAME:
        message = f'invalid chain name "{name[:40]}"'
        raise BadWord(index, message, f"1 to {MAX_CHAIN_NAME} characters")
    if name[0] in "-!" or '"' in name or " " in name or not name.isprintable():
        raise BadWord(index, f'invalid chain name "{name}"')


def read_counters(word: str, index: int) -> Counters:
    """Read `[packets:bytes]`. Raises BadWord."""
    packets, colon, octets = word[1:-1].partition(":")
    if colon and word.startswith("[") and word.endswith("]"):
        try:
            return number(packets), number(octets)
        except ValueError:
            pass
    raise BadWord(index, f'invalid counters "{word[:40]}"', "[packets:bytes]")
