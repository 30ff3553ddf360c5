"""Words of a rule line, quoted and unquoted exactly as iptables does it.

iptables-restore knows one kind of quotes, `"`, with a backslash in front of a character that stands
for itself inside them; a closing quote ends the word. Outside quotes a backslash is a backslash,
and `'` is never a quote.
"""

from __future__ import annotations

import re

# What xtables_save_string prints without quotes.
_PLAIN = re.compile(r"[-_0-9A-Za-z]+\Z")
_ESCAPED = re.compile(r"""["\\']""")

# iptables-restore gives up on a longer word ("Parameter too long!").
MAX_WORD = 1023


class BadWord(Exception):  # noqa: N818 - it is turned into a Problem with a place
    """A word of a rule line that is wrong: which one, what is wrong, what would be right."""

    def __init__(self, index: int, message: str, hint: str = "") -> None:
        self.index = index
        self.message = message
        self.hint = hint
        super().__init__(message)


def quote(word: str) -> str:
    """Write a free-text value (comment, prefix) as iptables-save does."""
    return word if _PLAIN.match(word) else in_quotes(word)


def in_quotes(word: str) -> str:
    """Write a word in quotes, whether it needs them or not."""
    return '"' + _ESCAPED.sub(r"\\\g<0>", word) + '"'


def needs_quotes(word: str) -> bool:
    """Say whether a word would not survive a restore without quotes."""
    return not word or any(mark in word for mark in ' \t"')


def split_line(line: str) -> tuple[list[str], frozenset[int]]:
    """Split a line into words; also give the indexes of those that were quoted.

    Raises BadWord where a quote is not closed or a word is too long for iptables-restore.
    """
    if '"' not in line:
        words = line.split(" ")
        if "" in words or "\t" in line:
            words = line.replace("\t", " ").split(" ")
            words = [word for word in words if word]
        if len(line) > MAX_WORD:
            _check_lengths(words)
        return words, frozenset()
    parts = line.split('"')
    if len(parts) % 2 and "\\" not in line and "\t" not in line and _spaced(parts):
        words = []
        quoted = []
        for index, part in enumerate(parts):
            if index % 2:
                quoted.append(len(words))
                words.append(part)
            else:
                words += [word for word in part.split(" ") if word]
        if len(line) > MAX_WORD:
            _check_lengths(words)
        return words, frozenset(quoted)
    words, quoted_words, _ = scan(line)
    return words, quoted_words


def _spaced(parts: list[str]) -> bool:
    """Say whether every quoted part stands between spaces, so that splitting at quotes is right."""
    if parts[0] and not parts[0].endswith(" "):
        return False
    if parts[-1] and not parts[-1].startswith(" "):
        return False
    return all(part.startswith(" ") and part.endswith(" ") for part in parts[2:-1:2])


def _check_lengths(words: list[str]) -> None:
    for index, word in enumerate(words):
        if len(word) > MAX_WORD:
            raise BadWord(index, f"a word of {len(word)} characters", f"at most {MAX_WORD}")


def scan(line: str) -> tuple[list[str], frozenset[int], list[int]]:
    """Split a line character by character: words, which were quoted, and where each starts.

    This is iptables' own loop, for lines with escapes or glued quotes, and for the columns of
    errors. Positions count from 0.
    """
    words: list[str] = []
    starts: list[int] = []
    quoted: set[int] = set()
    param: list[str] = []
    start = -1
    inside = escaped = False
    for position, char in enumerate(line):
        if inside and (escaped or char != '"'):
            escaped = char == "\\" and not escaped
            if not escaped:
                param.append(char)
        elif inside or (char in " \t" and param):
            if inside:
                quoted.add(len(words))
            words.append("".join(param))
            starts.append(start)
            param, start, inside = [], -1, False
        elif char not in " \t":
            start = position if start < 0 else start
            inside = char == '"'
            if not inside:
                param.append(char)
    if param or inside:
        words.append("".join(param))
        starts.append(start)
    if inside:
        raise BadWord(len(words) - 1, "unclosed quote", 'expected a closing " on this line')
    _check_lengths(words)
    return words, frozenset(quoted), starts


def column_of(line: str, index: int) -> int:
    """Return the column (from 1) at which the word with this index starts."""
    try:
        starts = scan(line)[2]
    except BadWord:
        starts = [match.start() for match in re.finditer(r"[^ \t]+", line)]
    return starts[index] + 1 if index < len(starts) else len(line) + 1
