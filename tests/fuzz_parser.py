"""Fuzzes the parser, and every question to what it takes, for as long as it is given.

    python -m tests.fuzz_parser [SECONDS] [SEED]

Texts of the cases, iptables-save of foreign rules and logs are damaged: bytes, words and lines are
flipped, dropped, doubled, moved and mixed. Whatever comes of it must parse and come back the same
from print, or be rejected with line and column, and quickly. What parses must be answerable: it
goes through verify, diff, delta and the printers. A text that isn't is written to standard output,
and the exit code is 1. `tests/test_parse.py` has the short version.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from compiler.analysis.delta import delta_rules
from compiler.analysis.diff import diff_rules
from compiler.analysis.verify import verify_rules
from compiler.errors import InputError
from compiler.family import IPV4, IPV6
from compiler.kube_rules.log import last_restore_input
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.dumps import is_rules, split_dumps
from compiler.netfilter.parse import decode, parse_rules
from compiler.netfilter.printing import print_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES

# No text is longer than this, and none may take longer than that.
LENGTH, SECONDS_EACH = 4_000, 2.0
# Of larger tables a diff to others takes longer than that.
DIFFED = 100
_BY_NAME = {case.name: case for case in ALL_CASES}
OTHERS = {
    IPV4: parse_rules(_BY_NAME["loadbalancer-source-ranges"].expected),
    IPV6: parse_rules(_BY_NAME["dual-stack-ipv6"].expected),
}


def damaged(chooser: random.Random, text: bytes, other: bytes) -> bytes:
    """Damage a text a few times."""
    for _ in range(chooser.randint(1, 8)):
        text = chooser.choice(DAMAGES)(chooser, text, other)[:LENGTH]
    return text


def _bytes(chooser: random.Random, text: bytes, other: bytes) -> bytes:
    start = chooser.randrange(len(text) + 1)
    put = bytes(chooser.choices(range(256), k=chooser.randint(0, 4)))
    return text[:start] + put + text[start + chooser.randint(0, 4) :]


def _marks(chooser: random.Random, text: bytes, other: bytes) -> bytes:
    start = chooser.randrange(len(text) + 1)
    marks = (
        b'"',
        b"\\",
        b"! ",
        b" -",
        b"\n",
        b"\r\n",
        b"\t",
        b"=",
        b",",
        b"/",
        b":",
        b"\xff",
        b"0x",
    )
    return text[:start] + chooser.choice(marks) + text[start:]


def _words(chooser: random.Random, text: bytes, other: bytes) -> bytes:
    words, others = text.split(b" "), other.split(b" ")
    place = chooser.randrange(len(words))
    words[place : place + chooser.randint(0, 2)] = [chooser.choice(others)]
    return b" ".join(words)


def _lines(chooser: random.Random, text: bytes, other: bytes) -> bytes:
    lines, others = text.split(b"\n"), other.split(b"\n")
    place = chooser.randrange(len(lines))
    lines[place : place + chooser.randint(0, 2)] = chooser.sample(others, min(2, len(others)))
    return b"\n".join(lines)


def _doubled(chooser: random.Random, text: bytes, other: bytes) -> bytes:
    start = chooser.randrange(len(text) + 1)
    chunk = text[start : start + chooser.randint(1, 40)]
    return text[:start] + chunk * chooser.choice((2, 3, 100)) + text[start:]


DAMAGES: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _bytes, _marks, _words, _lines, _doubled,
)  # fmt: skip


def check(raw: bytes) -> bool:
    """Read a text in every way; say whether it parsed. Raises whatever is wrong with the parser."""
    text = decode(raw)
    is_rules(text)
    last_restore_input('x "Restoring iptables" rules=' + text)
    for dump in split_dumps(text):
        try:
            ruleset = parse_rules(dump.text)
        except InputError as error:
            if not all(problem.line and problem.column for problem in error.problems):
                raise AssertionError(f"no place: {error}") from error
            return False
        if parse_rules(print_rules(ruleset), family=ruleset.family) != ruleset:
            raise AssertionError("another ruleset after print")
        answer(ruleset)
    return True


def answer(ruleset: Ruleset) -> None:
    """Ask every question. Raises whatever is wrong with the answer."""
    other = OTHERS[ruleset.family]
    if delta_rules(ruleset, ruleset).text:
        raise AssertionError("a delta to itself")
    found = verify_rules(ruleset, ruleset)
    if any(finding.kind in ("missing-rule", "extra-rule", "changed-rule") for finding in found):
        raise AssertionError(f"it does not hold itself: {found}")
    for old, new in ((ruleset, other), (other, ruleset)):
        verify_rules(old, new)
        delta_rules(old, new)
        for finding in verify_rules(old, new, new):
            if not finding.message:
                raise AssertionError("a finding without words")
    NodeRules(ruleset).service_ports()
    for _, rule in ruleset.all_rules():
        str(rule.header), str(rule.target), rule.effect, [str(match) for match in rule.matches]
    if len(ruleset.table("nat")) < DIFFED and not diff_rules(ruleset, ruleset).same:
        raise AssertionError("it differs from itself")


def seeds() -> list[bytes]:
    """Return the texts to damage."""
    texts = [case.expected for case in ALL_CASES if len(case.expected) < 3 * LENGTH]
    printed = [print_rules(parse_rules(text)) for text in texts]
    bare = ["\n".join(x for x in text.splitlines() if x[:1] == "-") for text in printed]
    header = "# Generated by iptables-nft-save v1.8.9 (nf_tables) on Mon\n"
    every = texts + printed + bare + [header + text for text in printed]
    return [text[:LENGTH].encode() for text in every]


def main(seconds: float = 60.0, seed: int | None = None) -> int:
    """Fuzz, and tell how many texts were tried and how many of them parsed."""
    seed = time.time_ns() if seed is None else seed
    chooser = random.Random(seed)
    texts = seeds()
    end = time.monotonic() + seconds
    tried = parsed = 0
    while time.monotonic() < end:
        raw = damaged(chooser, chooser.choice(texts), chooser.choice(texts))
        began = time.monotonic()
        try:
            parsed += check(raw)
        except Exception as error:  # noqa: BLE001 - any exception is what is looked for
            sys.stdout.buffer.write(raw)
            sys.stdout.write(f"\n{type(error).__name__}: {error} (seed {seed}, text {tried})\n")
            return 1
        if time.monotonic() - began > SECONDS_EACH:
            sys.stdout.buffer.write(raw)
            sys.stdout.write(f"\ntook more than {SECONDS_EACH} s (seed {seed}, text {tried})\n")
            return 1
        tried += 1
    sys.stdout.write(f"{tried:,} texts, {parsed:,} of them rules (seed {seed})\n")
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(
        main(
            float(arguments[0]) if arguments else 60.0,
            int(arguments[1]) if len(arguments) > 1 else None,
        )
    )
