from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.netfilter.words import MAX_WORD, BadWord, column_of, quote, scan, split_line

# What iptables-restore makes of a line: measured with `iptables-restore --test -v` and its source
# (xshared.c, add_param_to_argv).
LINES = [
    ("-A X -j ACCEPT", ["-A", "X", "-j", "ACCEPT"]),
    ("-A  X\t-j ACCEPT ", ["-A", "X", "-j", "ACCEPT"]),
    ('--comment "a b" -j X', ["--comment", "a b", "-j", "X"]),
    ('--comment "" -j X', ["--comment", "", "-j", "X"]),
    (r'--comment "a \"b\" \\ c"', ["--comment", r'a "b" \ c']),
    (r"--comment a\b", ["--comment", r"a\b"]),
    ("--comment 'a b'", ["--comment", "'a", "b'"]),
    (r'--comment "it\'s"', ["--comment", "it's"]),
    ('--comment ab"cd"ef', ["--comment", "abcd", "ef"]),
    ('--comment "a""b"', ["--comment", "a", "b"]),
    ('"-A" X', ["-A", "X"]),
]


@pytest.mark.parametrize(("line", "words"), LINES)
def test_split_line(line: str, words: list[str]) -> None:
    assert split_line(line)[0] == words


def test_quoted_words_are_told_apart() -> None:
    assert split_line('--string "-j" -j X') == (["--string", "-j", "-j", "X"], frozenset({1}))


@pytest.mark.parametrize("line", ['--comment "open', r'--comment "open\"', '"'])
def test_open_quote(line: str) -> None:
    with pytest.raises(BadWord, match="unclosed quote"):
        split_line(line)


def test_too_long_a_word() -> None:
    split_line("a" * MAX_WORD)
    with pytest.raises(BadWord, match="a word of 1024 characters"):
        split_line("a" * (MAX_WORD + 1))


@given(st.text(max_size=60).filter(lambda word: "\n" not in word))
def test_quote_is_undone_by_split(word: str) -> None:
    assert split_line(f"--comment {quote(word)} -j X")[0] == ["--comment", word, "-j", "X"]


@given(st.text(alphabet="ab \t\"\\'-", max_size=30))
def test_fast_and_careful_splitting_agree(line: str) -> None:
    try:
        careful = scan(line)[:2]
    except BadWord:
        with pytest.raises(BadWord):
            split_line(line)
        return
    assert split_line(line) == careful


def test_quote_as_iptables_save_does() -> None:
    assert quote("plain-word_1") == "plain-word_1"
    assert quote("default/web:http") == '"default/web:http"'
    assert quote('it\'s "so" \\') == r'"it\'s \"so\" \\"'
    assert quote("") == '""'


def test_column_of() -> None:
    assert column_of('-A X --comment "a b" -j Y', 4) == 22
    assert column_of("-A X", 9) == 5
    assert column_of('-A "open', 1) == 4
