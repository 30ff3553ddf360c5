"""A second process: what it did arrives whole, or is done again here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.api import compile_rules
from compiler.manifests import reader
from compiler.manifests.source import Source
from compiler.manifests.text import WHOLE
from compiler.yaml import fast, worker
from compiler.yaml.lines import UNKNOWN_PATH, KeyPath
from tests.benchmarks.generate import Shape, objects, write_json, write_yaml

ITEMS = 40
LIST = (
    "apiVersion: v1\nitems:\n"
    + "".join(f"- a: {n}\n  b:\n  - 'x'\n" for n in range(ITEMS - 1))
    + "- {a: &x odd}\n"
    + "kind: List\n"
).encode()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    if sys.version_info >= (3, 12) and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("a worker of pytest-xdist has threads, and Python warns of a fork then")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(worker, "is_available", lambda: True)


def chunks(shorten: fast.Shorten = bytes, workers: int = 2) -> Iterator[fast.Chunk]:
    return fast.chunks(LIST, WHOLE, shorten, workers=workers)


def in_one_process() -> list[fast.Chunk]:
    return list(chunks(workers=1))


def test_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = in_one_process()
    monkeypatch.setattr(fast, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(worker, "is_available", lambda: True)
    assert list(chunks()) == alone
    assert [chunk.item for chunk in alone] == [None, *range(ITEMS)]
    assert alone[-1].json is None


def test_keys_of_both_processes_are_seen(always: None) -> None:
    seen: set[KeyPath] = set()
    text = LIST.replace(b"- a: 38\n", b"- a: {c: [{d: 1}]}\n  e:\n    f: 1\n")
    assert [chunk.item for chunk in fast.chunks(text, WHOLE, workers=2, seen=seen)][-1] == ITEMS - 1
    assert seen == {
        ("apiVersion",), ("items",), ("kind",), ("a",), ("b",),
        ("a", "c"), ("a", "c", "d"), ("e",), ("e", "f"),
    }  # fmt: skip


def test_keys_of_a_process_that_failed_are_unknown(
    always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_work", _half_a_line)
    seen: set[KeyPath] = set()
    list(fast.chunks(LIST, WHOLE, workers=2, seen=seen))
    assert UNKNOWN_PATH in seen


def test_what_is_sent_is_shortened(always: None) -> None:
    sent = [chunk.json for chunk in chunks(lambda json: json[:6] + b"}")]
    here = [b'{"a":%d,"b":["x"]}' % n for n in range(ITEMS // 2 - 2)]
    assert sent[1 : len(here) + 1] == here
    assert sent[-2:] == [b'{"a":3}', None]


@pytest.mark.parametrize("harm", ["dies at once", "raises", "is cut short"])
def test_work_of_a_process_that_came_to_harm_is_done_here(
    always: None, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()

    def shorten(json: bytes) -> bytes:
        assert os.getpid() != parent
        if harm == "dies at once":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError

    if harm == "is cut short":
        monkeypatch.setattr(worker, "_work", _half_a_line)
    sent = [chunk.json for chunk in chunks(shorten)]
    assert sent[1:] == [b'{"a":%d,"b":["x"]}' % n for n in range(ITEMS - 1)] + [None]


def _half_a_line(work: object, writing: int) -> None:
    os.write(writing, b'{"a":')
    os._exit(0)


def test_a_reader_that_stops_leaves_no_process_behind(always: None) -> None:
    cut = chunks()
    next(cut)
    next(cut)
    cut.close()  # type: ignore[attr-defined]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_nothing_is_forked_unless_asked(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", None)
    assert [chunk.item for chunk in in_one_process()] == [None, *range(ITEMS)]
    with pytest.raises(TypeError):
        list(chunks())


def test_the_library_does_not_fork_unless_asked(
    always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = "".join(
        f"- apiVersion: v1\n  kind: Node\n  metadata:\n    name: n{n}\n" for n in range(9)
    )
    source = Source("m", f"apiVersion: v1\nitems:\n{items}kind: List\n".encode())
    monkeypatch.setattr(reader, "LARGE", 1)
    monkeypatch.setattr(os, "fork", None)
    assert len(compile_rules([source]).manifests.nodes) == 9
    with pytest.raises(TypeError):
        compile_rules([source], workers=2)


def test_a_caller_that_ignores_sigchld_gets_the_same(always: None) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert list(chunks()) == in_one_process()
        cut = chunks()
        next(cut)
        cut.close()  # type: ignore[attr-defined]
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_process_that_nobody_waits_for_gives_up(tmp_path: Path) -> None:
    done = tmp_path / "done"

    def work() -> Iterator[bytes]:
        for _ in range(2 * worker.LOOK_EVERY):
            yield b""
            time.sleep(0.001)
        done.write_text("all of it")

    with worker.meanwhile(work):
        pass
    assert not done.exists()
    with worker.meanwhile(work) as stream:
        assert stream.read() == b""
    assert done.read_text() == "all of it"


def test_no_process_is_signalled(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", None)
    cut = chunks()
    next(cut)
    cut.close()  # type: ignore[attr-defined]
    assert list(chunks()) == in_one_process()


def test_one_core_or_more_threads_mean_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert not worker.is_available()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not worker.is_available()
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert worker.is_available()


def test_a_dump_gives_the_same_rules_as_yaml_and_as_json(tmp_path: Path) -> None:
    shape = Shape(2000, 8)
    written = []
    for path, write in ((tmp_path / "a.json", write_json), (tmp_path / "a.yaml", write_yaml)):
        write(objects(shape), path)
        command = [sys.executable, "-m", "compiler", "compile", str(path), "--node"]
        command += ["ip-172-16-0-11.eu-central-1.compute.internal"]
        written.append(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert (tmp_path / "a.yaml").stat().st_size > fast.WORTH_A_PROCESS
    assert written[0] == written[1]
    assert written[0].count(b"\n-A KUBE-SEP-") > 2 * 8 * 2000 * 0.9
