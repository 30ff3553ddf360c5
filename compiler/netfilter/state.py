"""Tables while they are being put together: what each iptables command does to them."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.family import Family
from compiler.netfilter.rule import BUILTIN_CHAINS, Chain, Counters, Rule, Table
from compiler.netfilter.rule_reader import RuleReader
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


class ChainState:
    """A chain that is being filled."""

    __slots__ = ("counters", "line", "name", "policy", "rules")

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.policy: str | None = None
        self.counters: Counters | None = None
        self.rules: list[Rule] = []

    def frozen(self) -> Chain:
        """Return the chain as it stands."""
        return Chain(self.name, tuple(self.rules), self.policy, self.counters, self.line)


class TableState:
    """A table that commands are applied to."""

    def __init__(self, family: Family, onto: Table | None = None) -> None:
        self.family = family
        self.chains: dict[str, ChainState] = {}
        for chain in (onto or {}).values():
            state = ChainState(chain.name, chain.line)
            state.policy, state.counters = chain.policy, chain.counters
            state.rules = list(chain.rules)
            self.chains[chain.name] = state

    def frozen(self) -> Table:
        """Return the table as it stands."""
        return {name: chain.frozen() for name, chain in self.chains.items()}

    def chain(self, name: str, line: int) -> ChainState:
        """Return a chain; one that was never declared begins here (text cut out by grep)."""
        if (found := self.chains.get(name)) is None:
            check_chain_name(name, 1)
            found = self.chains[name] = ChainState(name, line)
        return found

    def declare(
        self, name: str, line: int, policy: str | None, counters: Counters | None
    ) -> ChainState:
        """Take a `:NAME POLICY [packets:bytes]` line: it flushes the chain or makes it."""
        check_chain_name(name, 0)
        chain = self.chains.setdefault(name, ChainState(name, line))
        chain.line = line
        chain.rules = []
        if policy is not None:
            chain.policy = policy
            chain.counters = counters
        return chain

    def command(self, words: list[str], quoted: frozenset[int], line: int) -> Iterable[str]:
        """Apply a command that is not `-A`; give what of its rule isn't known. Raises BadWord."""
        kind = _COMMANDS.get(words[0])
        if kind is None:
            raise BadWord(0, f"{words[0][:40]!r} is no command of iptables-restore")
        if len(words) == 1 and kind in ("-F", "-X", "-Z"):
            self._for_all(kind)
            return ()
        if len(words) < 2:
            raise BadWord(0, f"{words[0]} without a chain")
        if kind in ("-A", "-I", "-D", "-R"):
            return self._rule_command(kind, words, quoted, line)
        self._chain_command(kind, words, line)
        return ()

    def append(self, words: list[str], quoted: frozenset[int], line: int) -> RuleReader:
        """Take `-A CHAIN rule…`, the line that nearly all lines are."""
        if len(words) < 2:
            raise BadWord(0, "-A without a chain")
        chain = self.chains.get(words[1]) or self.chain(words[1], line)
        reader, texts = self._read(words, quoted, 2)
        target = reader.target.name if reader.target else ""
        for text in texts:
            chain.rules.append(Rule(chain.name, text, target, line, reader.counters))
        return reader

    def _read(
        self, words: list[str], quoted: frozenset[int], start: int
    ) -> tuple[RuleReader, list[str]]:
        """Read the rule that begins at a word; errors tell the word as it was written."""
        reader = RuleReader(words, quoted, self.family)
        try:
            reader.read(start)
            return reader, reader.texts()
        except BadWord as bad:
            bad.index = reader.written(bad.index)
            raise

    def _for_all(self, kind: str) -> None:
        if kind == "-F":
            for chain in self.chains.values():
                chain.rules = []
        elif kind == "-X":
            for name in [name for name in self.chains if name not in _BUILTIN]:
                self._delete(name)

    def _rule_command(
        self, kind: str, words: list[str], quoted: frozenset[int], line: int
    ) -> Iterable[str]:
        if kind == "-A":
            return self.append(words, quoted, line).unknown
        chain = self.chain(words[1], line)
        position = None
        start = 2
        if len(words) > 2 and words[2].isascii() and words[2].isdigit():
            position, start = _position(words[2]), 3
        if kind == "-D" and position is not None and start == len(words):
            self._rule_at(chain, position)
            del chain.rules[position - 1]
            return ()
        reader, texts = self._read(words, quoted, start)
        target = reader.target.name if reader.target else ""
        made = [Rule(chain.name, text, target, line, reader.counters) for text in texts]
        if kind == "-I":
            place = (position or 1) - 1
            if place > len(chain.rules):
                raise BadWord(2, f"{chain.name} has only {len(chain.rules)} rules")
            # several addresses are several insertions at one place: the last ends up first
            chain.rules[place:place] = reversed(made)
        elif kind == "-R":
            self._rule_at(chain, position or 0)
            chain.rules[(position or 0) - 1] = made[0]
        else:
            for rule in made:
                held = [present.text for present in chain.rules]
                if rule.text not in held:
                    raise BadWord(1, f"{chain.name} has no such rule to delete")
                del chain.rules[held.index(rule.text)]
        return reader.unknown

    def _rule_at(self, chain: ChainState, position: int) -> None:
        if not 1 <= position <= len(chain.rules):
            raise BadWord(2, f"{chain.name} has {len(chain.rules)} rules", "a rule's number")

    def _chain_command(self, kind: str, words: list[str], line: int) -> None:
        name = words[1]
        if kind == "-N":
            check_chain_name(name, 1)
            self.chains.setdefault(name, ChainState(name, line))
        elif kind == "-F":
            self.chain(name, line).rules = []
        elif kind == "-X":
            self._delete(name)
        elif kind == "-P":
            if len(words) < 3 or words[2] not in _POLICIES:
                raise BadWord(min(2, len(words) - 1), "no policy", "ACCEPT or DROP")
            chain = self.chain(name, line)
            chain.policy = words[2]
            if len(words) == 6 and words[3] == "-c":
                chain.counters = read_counters(f"[{words[4]}:{words[5]}]", 4)
        elif kind == "-E":
            self._rename(words)

    def _delete(self, name: str) -> None:
        chain = self.chains.get(name)
        if chain is None:
            raise BadWord(1, f"there is no chain {name[:40]!r} to delete")
        if chain.rules:
            raise BadWord(1, f"{name} is not empty: iptables does not delete it", "flush it first")
        for other in self.chains.values():
            if any(rule.target == name for rule in other.rules):
                raise BadWord(1, f"{other.name} jumps to {name}: iptables does not delete it")
        del self.chains[name]

    def _rename(self, words: list[str]) -> None:
        if len(words) < 3 or words[1] not in self.chains or words[2] in self.chains:
            raise BadWord(1, "-E takes a chain that is there and a new name")
        check_chain_name(words[2], 2)
        chain = self.chains.pop(words[1])
        raise_if_used = [c for c in self.chains.values() for r in c.rules if r.target == words[1]]
        if raise_if_used:
            raise BadWord(1, f"{raise_if_used[0].name} jumps to {words[1]}; rename it there too")
        chain.name = words[2]
        old_rules, chain.rules = chain.rules, []
        for rule in old_rules:
            chain.rules.append(Rule(words[2], rule.text, rule.target, rule.line, rule.counters))
        self.chains[words[2]] = chain


def _position(word: str) -> int:
    return int(word) if len(word) < 10 else 10**9


def check_chain_name(name: str, index: int) -> None:
    """Refuse a chain name that the kernel or iptables would. Raises BadWord."""
    if not name or len(name.encode("utf-8", "surrogateescape")) > MAX_CHAIN_NAME:
        message = f"a chain name of {len(name)} characters: {name[:40]!r}"
        raise BadWord(index, message, f"1 to {MAX_CHAIN_NAME}")
    if name[0] in "-!" or '"' in name or " " in name or not name.isprintable():
        raise BadWord(index, f"{name!r} is no chain name")


def read_counters(word: str, index: int) -> Counters:
    """Read `[packets:bytes]`. Raises BadWord."""
    packets, colon, octets = word[1:-1].partition(":")
    if colon and word.startswith("[") and word.endswith("]"):
        try:
            return number(packets), number(octets)
        except ValueError:
            pass
    raise BadWord(index, f"{word[:40]!r} are no counters", "[packets:bytes]")
