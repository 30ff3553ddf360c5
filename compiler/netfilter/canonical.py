"""A rule taken apart into its fields, every value in canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from compiler.family import Family
from compiler.netfilter.rule import Rule
from compiler.netfilter.rule_reader import RuleReader
from compiler.netfilter.words import split_line


@dataclass(frozen=True, slots=True)
class Match:
    """A match of a rule: its name and its options as printed (`--dport 80`, `! --ctstate NEW`)."""

    name: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"-m {self.name}", *self.options))


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule taken apart, every value in printed form.

    `source` to `fragment` are words as printed (`-s 10.0.0.0/8`, `! -d ::1/128`), empty where the
    rule has none. `comments` are unquoted.
    """

    source: str
    destination: str
    in_interface: str
    out_interface: str
    protocol: str
    fragment: str
    comments: tuple[str, ...]
    matches: tuple[Match, ...]
    target: str
    goto: bool
    target_options: tuple[str, ...]

    def option(self, match: str, name: str) -> str | None:
        """Return the value of an option, with `! ` in front where negated; None without it."""
        for used in self.matches:
            if used.name == match:
                for option in used.options:
                    bare = option.removeprefix("! ")
                    if bare == name or bare.startswith(name + " "):
                        value = bare[len(name) + 1 :]
                        return value if bare is option else f"! {value}"
        return None

    def target_option(self, name: str) -> str | None:
        """Return the value of an option of the target; None without it."""
        for option in self.target_options:
            if option == name or option.startswith(name + " "):
                return option[len(name) + 1 :]
        return None

    @property
    def comment(self) -> str:
        """The first comment, empty without one."""
        return self.comments[0] if self.comments else ""


def parse_rule(rule: Rule, family: Family) -> RuleSpec:
    """Take a rule apart into its fields."""
    return _take_apart(rule.text, family)


@lru_cache(maxsize=4096)
def _take_apart(text: str, family: Family) -> RuleSpec:
    words, quoted = split_line(text)
    reader = RuleReader(words, quoted, family)
    reader.read(0)
    comments = []
    matches = []
    for used in reader.ordered_matches():
        if used.name == "comment":
            comments += [_unquoted(told.split(" ", 1)[1]) for told in used.words()]
        else:
            matches.append(Match(used.name, tuple(used.words())))
    target = reader.target
    base = reader.base
    return RuleSpec(
        base.get("s", ""),
        base.get("d", ""),
        base.get("i", ""),
        base.get("o", ""),
        base.get("p", ""),
        base.get("f", ""),
        comments=tuple(comments),
        matches=tuple(matches),
        target=target.name if target else "",
        goto=reader.goto,
        target_options=tuple(target.words()) if target else (),
    )


def _unquoted(word: str) -> str:
    words = split_line(word)[0]
    return words[0] if words else ""
