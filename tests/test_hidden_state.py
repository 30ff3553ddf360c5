"""A library call leaves nothing behind: no setting of the process, and no ruleset in a cache."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path

import pytest

import compiler.analysis.diff
from compiler import api
from compiler.compilation import Compilation
from compiler.manifests.source import Source
from compiler.netfilter.chain import Chain
from compiler.netfilter.content import Content
from compiler.netfilter.ruleset import Ruleset
from tests.cases import FIXTURES, GOLDEN

OLD = (GOLDEN / "seed-affinity-none.rules").read_text()
NEW = (GOLDEN / "seed-affinity-clientip.rules").read_text()
NUMBERS = count(11)
MANIFEST = FIXTURES / "seed-affinity-none" / "input.yaml"
# All that holds rules: kept chains would be as many megabytes as a kept ruleset.
KINDS = (Ruleset, Chain, Content, Compilation)


def held() -> list[object]:
    gc.collect()
    return [one for one in gc.get_objects() if type(one) in KINDS]


def left_by(question: Callable[[], object]) -> list[str]:
    """Name what is left of a question once its answer is gone."""
    before = held()  # kept alive, so that no new object has the identity of one of these
    known = {id(one) for one in before}
    answer = question()
    assert answer is not None
    del answer
    return sorted(type(one).__name__ for one in held() if id(one) not in known)


# Every question is about rules that no question was about before: a cache that was filled with
# equal ones earlier would give those back, and let go of these.


def compiled() -> Compilation:
    return api.compile_rules(MANIFEST, flags={"cluster_cidr": f"10.{next(NUMBERS)}.0.0/16"})


def rules(text: str) -> Source:
    assert "10.10.0.0/16" in text
    fresh = text.replace("10.10.0.0/16", f"10.{next(NUMBERS)}.0.0/16")
    return Source("memory", fresh.encode())


QUESTIONS: dict[str, Callable[[], object]] = {
    "read": lambda: api.read_rules(rules(OLD)),
    "compile": lambda: api.read_rules(compiled()),
    "diff": lambda: api.diff(rules(OLD), rules(NEW)),
    "diff of manifests": lambda: api.diff(compiled(), rules(NEW)),
    "verify": lambda: api.verify(rules(OLD), rules(NEW)),
    "verify of manifests": lambda: api.verify(compiled(), rules(NEW)),
    "delta": lambda: api.delta(rules(OLD), rules(NEW)),
}


@pytest.fixture
def _collector_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def touched(*_: object) -> None:
        raise AssertionError("a library call changes the garbage collector of the whole process")

    assert gc.isenabled()
    with monkeypatch.context() as patch:
        for name in ("disable", "enable", "freeze", "unfreeze", "set_threshold"):
            patch.setattr(gc, name, touched)
        yield
    assert gc.isenabled()


@pytest.mark.usefixtures("_collector_stays")
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_garbage_collector_is_left_alone(name: str) -> None:
    assert QUESTIONS[name]() is not None


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_rules_are_left(name: str) -> None:
    assert left_by(QUESTIONS[name]) == []


def test_rules_that_a_cache_keeps_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with a cache keyed by rulesets, as one might add, it does."""
    cached = lru_cache(maxsize=None)(compiler.analysis.diff.diff_rules)
    monkeypatch.setattr(compiler.analysis.diff, "diff_rules", cached)
    left = left_by(QUESTIONS["diff"])
    assert left.count("Ruleset") == 2
    assert {"Chain", "Content"} < set(left)


def test_a_compilation_that_is_kept_is_found() -> None:
    kept: list[Compilation] = []

    def keep() -> Path:
        kept.append(compiled())
        return MANIFEST

    assert "Compilation" in left_by(keep)
