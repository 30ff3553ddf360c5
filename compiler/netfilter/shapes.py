"""Lines of one shape, read once: the same words but for addresses, ports and names.

A node's rules are half a million lines of twenty shapes. The first line of a shape is read by
`RuleReader`; from what becomes of marked values in it (`_marked`) follows how any other line of
that shape is printed. Whatever fits no known shape to the letter goes to `RuleReader` again, so
that a shape decides nothing: it only repeats.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter

from compiler.family import IPV4, Family
from compiler.netfilter.rule_reader import Reading, RuleReader
from compiler.netfilter.words import split_line

# Beyond this many shapes a text is no list of alike lines: its further lines are read one by one.
_MAX_SHAPES = 2000
# Lines of one length have few shapes; more of them differ in values that are no marks here.
_MAX_ALIKE = 100
# A longer line may hold a word that is too long for iptables-restore, which takes 1,023 bytes;
# a value that varies is no longer than 200.
_MAX_LINE = 600
# Runs of so many lines have shapes of their own; how often one has to be seen first.
_MAX_RUN = 64
_SEEN = ((4, 3), (16, 10), (_MAX_RUN, 40))
_MAX_RUN_SHAPES = 200

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_PORT = r"(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
# Longer than any target's name, so that it can only be a chain's or a list's.
_LONG_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]{12,27}"
_WORD = r"[!#-\[\]-~]{1,200}"
_COMMENT_VALUE = re.compile(rf'(?:"?)(?P<value>{_WORD})(?:"?)\Z')
_VALUES = {
    "-s": (_IPV4, "198.18.0.{}"),
    "-d": (_IPV4, "198.18.0.{}"),
    "--dport": (_PORT, "61{}"),
    "--sport": (_PORT, "61{}"),
    "--to-destination": (rf"{_IPV4}:{_PORT}", "198.18.1.{0}:62{0}"),
    "-j": (_LONG_NAME, "SHAPE-OF-A-RULE-{}"),
    "-g": (_LONG_NAME, "SHAPE-OF-A-RULE-{}"),
    "--name": (_LONG_NAME, "SHAPE-OF-A-RULE-{}"),
}  # fmt: skip
_PATTERNS = {option: re.compile(pattern) for option, (pattern, _) in _VALUES.items()}
# What a comment's words that vary look like: names of objects, endpoints, chains.
_VARYING = re.compile(rf"{_WORD}[/:]{_WORD}|{_LONG_NAME}")


class _Shape:
    """A pattern that lines of one shape match, or runs of lines, and how they are printed."""

    __slots__ = ("following", "match", "order", "pattern", "places", "template")

    def __init__(self, pattern: str, template: str, places: tuple[int, ...]) -> None:
        self.pattern = pattern
        self.match = re.compile(pattern, re.ASCII).fullmatch
        self.template = template
        self.places = places
        in_order = places == tuple(range(len(places)))
        self.order = None if in_order else itemgetter(*places)
        # The shape of the line that came after one of this shape: most likely the next one's too.
        self.following: _Shape | None = None

    def printed(self, found: re.Match[str]) -> str:
        """Print what a match found."""
        groups = found.groups()
        return self.template % (self.order(groups) if self.order else groups)


class Shapes:
    """The shapes met so far; one object serves one family."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._by_length: dict[int, list[_Shape]] = {}
        self._count = 0
        self._last: _Shape | None = None
        self._runs: dict[int, list[_Shape]] = {}
        self._runs_seen: Counter[tuple[_Shape, ...]] = Counter()
        self._last_run: _Shape | None = None

    def texts(self, lines: Sequence[str], start: int) -> list[str] | None:
        """Return the canonical rule of every line, from its character `start` on.

        None where one of the lines has to be read by itself (`read`): it is of no shape known so
        far, stands for several rules, or has words that are not known.
        """
        done: list[str] = []
        append = done.append
        shapes: list[_Shape] = []
        for line in lines:
            shape = self._last.following if self._last else None
            found = shape.match(line, start) if shape else None
            if found is None:
                shape, found = self._search(line, start)
            if shape is None or found is None:
                reading = self.read(line[start:])
                if len(reading.texts) != 1 or reading.unknown:
                    return None
                append(reading.texts[0])
                continue
            if self._last is not None:
                self._last.following = shape
            self._last = shape
            groups = found.groups()
            append(shape.template % (shape.order(groups) if shape.order else groups))
            shapes.append(shape)
        if len(shapes) == len(lines) <= _MAX_RUN:
            self._see_run(tuple(shapes))
        return done

    def knows_run(self, source: str, begin: int, end: int) -> bool:
        """Say whether lines of a text, the rules of one chain, have a shape that is known.

        With IPv6 they never have: an address can be written in many ways.
        """
        return self.family == IPV4 and self._match_run(source, begin, end) is not None

    def print_run(self, source: str, begin: int, end: int) -> str | None:
        """Return lines of a text, the rules of one chain, as iptables-save prints them.

        None where they are of no shape that is known.
        """
        found = self._match_run(source, begin, end)
        return self._last_run.printed(found) if found and self._last_run else None

    def _match_run(self, source: str, begin: int, end: int) -> re.Match[str] | None:
        """Find the shape of a run; afterwards it is the last one."""
        shape = self._last_run.following if self._last_run else None
        found = shape.match(source, begin, end) if shape else None
        if found is None:
            for shape in self._runs.get(source.count("\n", begin, end), ()):
                if found := shape.match(source, begin, end):
                    break
            else:
                return None
        if self._last_run is not None:
            self._last_run.following = shape
        self._last_run = shape
        return found

    def _see_run(self, lines: tuple[_Shape, ...]) -> None:
        """Make a shape of a run's lines when such runs have come often enough."""
        if not lines or len(self._runs_seen) > _MAX_SHAPES:
            return
        self._runs_seen[lines] += 1
        needed = next(times for longest, times in _SEEN if len(lines) <= longest)
        runs = self._runs.setdefault(len(lines) - 1, [])
        if self._runs_seen[lines] != needed or len(runs) >= _MAX_RUN_SHAPES:
            return
        places: list[int] = []
        count = 1
        for shape in lines:
            places += [0, *(place + count for place in shape.places)]
            count += len(shape.places)
        names = ("([^ \\n]+)", *[r"\1"] * (len(lines) - 1))
        patterns = (f"-A {name} {shape.pattern}" for name, shape in zip(names, lines, strict=True))
        template = "\n".join(f"-A %s {shape.template}" for shape in lines)
        runs.append(_Shape("\n".join(patterns), template, tuple(places)))

    def read(self, rest: str) -> Reading:
        """Read what stands after `-A CHAIN `. Raises BadWord, its index counted from there."""
        reading = self.read_words(*split_line(rest))
        if len(reading.texts) == 1 and not reading.unknown and self._count < _MAX_SHAPES:
            self._learn(rest, reading.texts[0])
        return reading

    def read_words(self, words: list[str], quoted: frozenset[int]) -> Reading:
        """Read the words of one rule. Raises BadWord."""
        return RuleReader(words, quoted, self.family).reading()

    def _search(self, line: str, start: int) -> tuple[_Shape | None, re.Match[str] | None]:
        for shape in self._by_length.get(line.count(" ", start), ()):
            if found := shape.match(line, start):
                return shape, found
        return None, None

    def _learn(self, rest: str, text: str) -> None:
        if len(rest) >= _MAX_LINE or "\\" in rest or "\t" in rest or "  " in rest:
            return
        pattern, marked, marks = _marked(rest.split(" "), self.family)
        if not marks:
            return
        made = self.read_words(*split_line(marked))
        names = re.findall(r"(?:\A| )-m (\S+)", made.texts[0])
        if len(made.texts) != 1 or made.unknown or len(set(names)) < len(names):
            return
        template = made.texts[0].replace("%", "%%")
        places = {mark: template.find(mark) for mark in marks}
        if any(template.count(mark) != 1 for mark in marks):
            return
        order = sorted(range(len(marks)), key=lambda index: places[marks[index]])
        for mark in marks:
            template = template.replace(mark, "%s")
        shape = _Shape(pattern, template, tuple(order))
        if (found := shape.match(rest)) is None:
            return
        alike = self._by_length.setdefault(rest.count(" "), [])
        if shape.printed(found) == text and len(alike) < _MAX_ALIKE:
            alike.append(shape)
            self._count += 1


def _marked(words: Sequence[str], family: Family) -> tuple[str, str, list[str]]:
    """Return a pattern for lines of this shape, the line with marks for values, and the marks.

    A mark is a value like the others of its kind that occurs nowhere else in the line.
    """
    pieces: list[str] = []
    marked: list[str] = []
    marks: list[str] = []
    commenting = False
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        number = 100 + len(marks)
        commenting = commenting or before == "--comment"
        if commenting:
            found = _COMMENT_VALUE.match(word)
            ends = not word.startswith('"') and before == "--comment"
            commenting = not (ends or (word.endswith('"') and word != '"'))
            mark, pattern = f"shape/{number}", _WORD
            if ends and "/" not in word:
                found = None
            if ends:
                pattern = rf"[!#-.0-\[\]-~]{{0,200}}/{_WORD}"
            value = found["value"] if found and _VARYING.fullmatch(found["value"]) else ""
        else:
            bare = word.removesuffix("/32") if before in ("-s", "-d") else word
            value = bare if before in _PATTERNS and _PATTERNS[before].fullmatch(bare) else ""
            if family != IPV4 and before not in ("--dport", "--sport", "-j", "-g", "--name"):
                value = ""
            pattern, form = _VALUES.get(before, ("", ""))
            mark = form.format(number)
        if not value:
            pieces.append(re.escape(word))
            marked.append(word)
            continue
        head, tail = word.split(value, 1)
        pieces.append(f"{re.escape(head)}({pattern}){re.escape(tail)}")
        marked.append(head + mark + tail)
        marks.append(mark)
    return " ".join(pieces), " ".join(marked), marks
