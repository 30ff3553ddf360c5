"""One form for every rule: the one in which iptables-save prints what the kernel holds.

A rule as a program writes it and the same rule read back have the same canonical text:

- addresses, interfaces and protocol come first, in iptables' order, with their prefix;
- comments come next, then the other matches. Matches whose asking changes nothing are put in
  alphabetical order (iptables-nft may print them in another than they were given in); `recent`,
  `statistic`, `limit`, `nfacct`, `set` and every match that isn't known keep their place, since
  what stands before them decides whether they are asked;
- options have their printed name, order and value, with the defaults that iptables-save prints;
- an empty `-m tcp` under `-p tcp` goes, since it matches nothing more and nft forgets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.base_options import BASE, BASE_FIXES
from compiler.netfilter.extension import Extension, Held, Option
from compiler.netfilter.header import Header, header
from compiler.netfilter.match import Match
from compiler.netfilter.matches import IMPLIED, MATCHES
from compiler.netfilter.matches.other import UNKNOWN
from compiler.netfilter.target import Jump, Target
from compiler.netfilter.targets import OTHER_TARGETS, TARGETS
from compiler.netfilter.words import BadWord, in_quotes, needs_quotes, split_line

_CHAIN_JUMP = Extension(MappingProxyType({}), Jump.build)
# Commands are no options of a rule: iptables rejects a second one in a line.
_COMMANDS = frozenset(f"-{letter}" for letter in "ADIRFXNPZELSCVh")
# What iptables prints for a match or target that was written by a newer iptables than itself.
_UNSUPPORTED = ("[unsupported", "revision]")
# An option of an extension that the rule does not load is an error, not something new.
_ALL_OPTIONS = frozenset(
    name for table in (MATCHES, TARGETS) for used in table.values() for name in used.options
)
# More addresses in one line than this is no rule that anyone wrote: s,s,s d,d,d multiply.
MAX_EXPANDED = 4096
# iptables-restore's own bound (MAX_ARGC).
MAX_WORDS = 255

Counters = tuple[int, int]


class Reading(NamedTuple):
    """What a line says: its rules in canonical form (usually one), and the words not known."""

    texts: Sequence[str]
    unknown: Sequence[str]
    target: str
    counters: Counters | None


@dataclass(slots=True)
class Used:
    """A match or target of one rule with the options that it was given."""

    name: str
    extension: Extension
    held: Held = field(default_factory=list)

    def words(self) -> list[str]:
        """Return its options as printed, in order."""
        if len(self.held) > 1:
            self.held.sort(key=itemgetter(0))
        return [words for _, words in self.held]

    def known(self) -> bool:
        """Say whether the tables have every option that it was given."""
        return self.extension.verbatim or all(rank < 1000 for rank, _ in self.held)


class RuleReader:
    """Reads the words of one rule, in any order and spelling that iptables takes.

    `unknown` gathers what the tables don't know, as it would be written.
    """

    __slots__ = (
        "base", "counters", "family", "goto", "matches", "parted", "quoted", "target", "unknown",
        "words",
    )  # fmt: skip

    def __init__(self, words: Sequence[str], quoted: frozenset[int], family: Family) -> None:
        self.words = words
        self.quoted = quoted
        self.family = family
        self.base: dict[str, str] = {}
        self.matches: list[Used] = []
        self.target: Used | None = None
        self.goto = False
        self.counters: Counters | None = None
        self.unknown: list[str] = []
        self.parted: list[int] = []

    def read(self, place: int) -> None:
        """Read all words from `place` on. Raises BadWord."""
        if len(self.words) > MAX_WORDS:
            raise BadWord(MAX_WORDS, f"a rule of {len(self.words)} words", f"at most {MAX_WORDS}")
        current: Used | None = None
        while place < len(words := self.words):
            word = words[place]
            negated = word == "!"
            if negated:
                place += 1
                if place == len(words):
                    raise BadWord(place - 1, "nothing after !", "an option to negate must follow")
                word = words[place]
            option = current.extension.options.get(word) if current is not None else None
            if option is not None and current is not None:
                place = self._take(current, option, place, negated)
            elif word in BASE and place not in self.quoted:
                place, current = self._take_base(BASE[word], place, negated, current)
            else:
                place, current = self._take_other(word, place, negated, current)

    def _take(self, used: Used, option: Option, place: int, negated: bool) -> int:
        """Take an option whose table is known; give the place after it."""
        name, rank, words, fix, default = option
        last = place + words
        if last >= len(self.words):
            raise BadWord(place, f"{name} needs a value")
        try:
            if words == 1:
                value = fix(self.words[last], self.family)
                told = f"{name} {value}"
            elif not words:
                value = None
                told = name
            else:
                value = " ".join(self._pair(name, place))
                told = f"{name} {value}"
        except ValueError as error:
            message = f'invalid value "{self.words[last][:40]}" for {name}'
            raise BadWord(last, message, str(error)) from error
        if name == "--syn":
            rank, told = rank - 1, "--tcp-flags FIN,SYN,RST,ACK SYN"
        if negated:
            used.held.append((rank, "! " + told))
        elif value is None or value != default:
            used.held.append((rank, told))
        return last + 1

    def _pair(self, name: str, place: int) -> tuple[str, ...]:
        first, second = self.words[place + 1], self.words[place + 2]
        if name == "--tcp-flags":
            return (values.tcp_flags(first, second),)
        return values.verbatim(first, self.family), values.verbatim(second, self.family)

    def _take_base(
        self,
        kind: str,
        place: int,
        negated: bool,
        current: Used | None,
    ) -> tuple[int, Used | None]:
        """Take an option of iptables itself; give the place after it and whose options follow."""
        if kind in "f46w":
            if kind == "f":
                self.base["f"] = "! -f" if negated else "-f"
            return place + 1, current
        words = 2 if kind == "c" else 1
        if place + words >= len(self.words):
            raise BadWord(place, f"{self.words[place]} needs a value")
        if negated and kind in "mjgc":
            raise BadWord(place, f"{self.words[place]} can't be negated with !")
        value = self.words[place + 1]
        if kind == "m":
            current = Used(value, MATCHES.get(value, UNKNOWN))
            self.matches.append(current)
            if current.extension.verbatim:
                self._note(f"-m {value}", place + 1)
        elif kind in "jg":
            current = self._take_target(value, place)
            self.goto = kind == "g"
        elif kind == "c":
            self.counters = self._counters(place)
        else:
            self._take_value(kind, value, place, negated)
        return place + 1 + words, current

    def _take_target(self, name: str, place: int) -> Used:
        if self.target is not None:
            raise BadWord(place, "a second target", "one -j or -g per rule")
        extension = TARGETS.get(name)
        if extension is None:
            extension = OTHER_TARGETS.get(name, _CHAIN_JUMP)
            if extension.verbatim:
                self._note(f"-j {name}", place + 1)
            if len(name) > 28 or name[:1] in "-!" or needs_quotes(name) or not name.isprintable():
                raise BadWord(place + 1, f'invalid chain name "{name[:40]}"', "1 to 28 characters")
        self.target = Used(name, extension)
        return self.target

    def _take_value(self, kind: str, value: str, place: int, negated: bool) -> None:
        """Take an address, interface or protocol."""
        if kind in self.base:
            raise BadWord(place, f"duplicate option {self.words[place]}")
        fix = BASE_FIXES[kind]
        sign = f"! -{kind} " if negated else f"-{kind} "
        try:
            if "," in value and kind in "sd":
                several = [fix(one, self.family) for one in value.split(",")]
                if negated:
                    raise BadWord(place + 1, "! with several addresses", "one address")
                told = "\n".join(one and sign + one for one in several)
            else:
                fixed = fix(value, self.family)
                told = sign + fixed if fixed else ""
        except ValueError as error:
            message = f'invalid value "{value[:50]}" for {self.words[place]}'
            raise BadWord(place + 1, message, str(error)) from error
        if not told and negated:
            # `! -s 0.0.0.0/0` matches nothing: iptables prints it, and it must stay
            told = sign + {"s": "0.0.0.0/0", "d": "0.0.0.0/0", "i": "+", "o": "+", "p": "all"}[kind]
            if kind in "sd" and self.family == "ipv6":
                told = sign + "::/0"
        self.base[kind] = told

    def _counters(self, place: int) -> Counters:
        try:
            return values.number(self.words[place + 1]), values.number(self.words[place + 2])
        except ValueError as error:
            raise BadWord(place + 1, "-c takes two numbers", "packets and bytes") from error

    def _take_other(
        self,
        word: str,
        place: int,
        negated: bool,
        current: Used | None,
    ) -> tuple[int, Used | None]:
        """Take an option of an earlier match, of the protocol's own, or one that isn't known."""
        if place not in self.quoted and self._split(word, place, current):
            return (place - 1 if negated else place), current
        if current is not None and current.extension.verbatim:
            return self._take_words(current, place, negated), current
        earlier = [*reversed(self.matches), *([self.target] if self.target else [])]
        for used in earlier:
            if (option := used.extension.options.get(word)) is not None:
                return self._take(used, option, place, negated), used
        implied = IMPLIED.get(self.base.get("p", "")[3:])
        if implied and (option := MATCHES[implied].options.get(word)) is not None:
            used = Used(implied, MATCHES[implied])
            self.matches.append(used)
            return self._take(used, option, place, negated), used
        if self._unsupported(place, current):
            return place + 2, current
        if not word.startswith("-") or word == "-" or place in self.quoted:
            raise BadWord(place, f'unexpected argument "{word[:40]}"')
        if current is None or current.extension is _CHAIN_JUMP or word in _ALL_OPTIONS | _COMMANDS:
            hint = "" if word in _COMMANDS else "-p tcp or -m must come first"
            raise BadWord(place, f"unknown option {word[:40]} here", hint)
        sort = "-j" if current is self.target else "-m"
        self._note(f"{sort} {current.name} {word}", place)
        return self._take_words(current, place, negated), current

    def _unsupported(self, place: int, current: Used | None) -> bool:
        """Take what iptables prints for a match or target that a newer iptables wrote."""
        if current is None or tuple(self.words[place : place + 2]) != _UNSUPPORTED:
            return False
        sort = "-j" if current is self.target else "-m"
        self._note(f"{sort} {current.name} {' '.join(_UNSUPPORTED)}", place)
        current.held.append((1000, " ".join(_UNSUPPORTED)))
        return True

    def _split(self, word: str, place: int, current: Used | None) -> bool:
        """Part `--option=value` and `-s10.0.0.1` in two words, where they are that."""
        if word.startswith("--"):
            name, sign, value = word.partition("=")
            foreign = current is not None and current.extension.verbatim
            if not sign or (foreign and name not in BASE):
                return False
        else:
            name, value = word[:2], word[2:]
            if not value or name not in BASE:
                return False
        self.words = [*self.words[:place], name, value, *self.words[place + 1 :]]
        moved = {index if index < place else index + 1 for index in self.quoted}
        self.quoted = frozenset(moved | {place + 1})
        self.parted.append(place)
        return True

    def written(self, index: int) -> int:
        """Return which word of the line an index means, before words were parted."""
        return index - sum(place < index for place in self.parted)

    def _take_words(self, used: Used, place: int, negated: bool) -> int:
        """Take an option that isn't known with all words up to the next option."""
        told = ["!"] if negated else []
        start = place
        while place < len(self.words):
            word = self.words[place]
            plain = place not in self.quoted
            if place > start and plain and (word == "!" or word.startswith("-")):
                break
            # quotes are kept: without them "-j" would be an option
            told.append(word if plain and not needs_quotes(word) else in_quotes(word))
            place += 1
        used.held.append((1000, " ".join(told)))
        return place

    def _note(self, words: str, place: int) -> None:
        if any(needs_quotes(word) for word in words.split(" ")):
            raise BadWord(place, f'invalid extension name "{words[:40]}"')
        self.unknown.append(words)

    def ordered_matches(self) -> list[Used]:
        """Return the matches in canonical order, without those that say nothing."""
        protocol = self.base.get("p", "")[3:]
        comments = []
        done: list[Used] = []
        run: list[tuple[str, list[str], Used]] = []
        for used in self.matches:
            if used.extension.finish:
                used.extension.finish(used.held, self.family)
            if used.name == "comment":
                comments.append(used)
            elif not used.held and IMPLIED.get(protocol) == used.name:
                continue
            elif used.extension.pure and not any(rank == 1000 for rank, _ in used.held):
                run.append((used.name, used.words(), used))
            else:
                done += [entry[2] for entry in sorted(run, key=itemgetter(0, 1))]
                done.append(used)
                run = []
        if len(run) > 1:
            run.sort(key=itemgetter(0, 1))
        return comments + done + [entry[2] for entry in run]

    def reading(self) -> Reading:
        """Read all words and return what they say. Raises BadWord."""
        try:
            self.read(0)
            texts = self.texts()
        except BadWord as bad:
            bad.index = self.written(bad.index)
            raise
        target = self.target.name if self.target else ""
        return Reading(texts, self.unknown, target, self.counters)

    def values(self) -> tuple[Header, tuple[Match, ...], Target | None]:
        """Return the typed values of a rule in canonical form."""
        matches = tuple(self._match(used) for used in self.ordered_matches())
        if (used := self.target) is None:
            return header(self.base), matches, None
        if used.extension is _CHAIN_JUMP:
            return header(self.base), matches, Jump(used.name, (), self.goto)
        if used.extension.finish:
            used.extension.finish(used.held, self.family)
        words = tuple(used.words())
        build = used.extension.build if used.known() else Target.build
        target = build(used.name, words, self.family)
        assert isinstance(target, Target)  # noqa: S101 - targets' tables build targets
        return header(self.base), matches, target

    def _match(self, used: Used) -> Match:
        build = used.extension.build if used.known() else Match.build
        match = build(used.name, tuple(used.words()), self.family)
        assert isinstance(match, Match)  # noqa: S101 - matches' tables build matches
        return match

    def texts(self) -> list[str]:
        """Return the canonical text of every rule that the words stand for (usually one)."""
        base = self.base
        source, destination = base.get("s", ""), base.get("d", "")
        middle = [told for kind in "iopf" if (told := base.get(kind))] if base else []
        tail: list[str] = []
        for used in self.ordered_matches():
            tail.append("-m " + used.name)
            tail += used.words()
        if (target := self.target) is not None:
            if target.extension.finish:
                target.extension.finish(target.held, self.family)
            tail.append(f"{'-g' if self.goto else '-j'} {target.name}")
            tail += target.words()
        if len(self.words) > MAX_WORDS // 4 and _count(middle + tail) > MAX_WORDS - 6:
            # written out, with every default, it is more than iptables-restore takes
            raise BadWord(MAX_WORDS // 4, "a rule of too many words", f"at most {MAX_WORDS}")
        if "\n" not in source and "\n" not in destination:
            parts = [told for told in (source, destination) if told]
            return [" ".join(parts + middle + tail)]
        sources, destinations = source.split("\n"), destination.split("\n")
        if len(sources) * len(destinations) > MAX_EXPANDED:
            raise BadWord(0, "more than 4096 rules in one line", "fewer addresses")
        return [
            " ".join([told for told in pair if told] + middle + tail)
            for pair in product(sources, destinations)
        ]


def _count(printed: list[str]) -> int:
    return len(split_line(" ".join(printed))[0])
