"""`lab request` and `lab affinity` draw what a real kernel does, and follow it live."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from compiler.cli.exit_codes import ExitCode
from compiler.netfilter.backend import Backend
from tests.kernel.box import BACKENDS, Box
from tests.kernel.manifests import OPTIONS, Object, endpoint, endpoint_slice, service, write
from tests.kernel.namespace import PROGRAMS
from tests.kernel.terminal import CTRL_C, ENTER, HIDE, LEAVE, SHOW, TOP, Terminal

pytestmark = pytest.mark.kernel(*PROGRAMS[Backend.NFT])

CLUSTER_IP = "10.200.1.10"
PODS = ("web-1", "web-2", "web-3")
AFFINITY: Object = {
    "sessionAffinity": "ClientIP",
    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}},
}


def manifests(folder: Path, *, count: int = 3, **spec: Any) -> Path:
    pods = [endpoint(name, f"10.10.2.{n}") for n, name in enumerate(PODS[:count], start=1)]
    return write(folder, service("web", [CLUSTER_IP], **spec), endpoint_slice("web", pods))


def counted(out: str) -> dict[str, tuple[int, float]]:
    """What bars show: answers and what was expected, by endpoint."""
    found = re.findall(r"^(\S.*?) +([\d,]+) +([\d,]+\.\d)  ", out, re.MULTILINE)
    return {name: (int(n.replace(",", "")), float(mean)) for name, n, mean in found}


def plausible(out: str) -> bool:
    """Whether answers were compared, and differ no more than chance does in a million runs."""
    words = " ".join(out.split())
    if "fewer than 1 of 1,000,000 runs" in words or "don't account for that" in words:
        return False
    return "chance alone differs this much in" in words or "leave nothing to chance" in words


@pytest.mark.parametrize("backend", BACKENDS)
def test_bars_have_the_shares_of_the_kernels_rules(box: Box, backend: str, tmp_path: Path) -> None:
    box("up", manifests(tmp_path), *OPTIONS, "--backend", backend)
    out = box("request", "web", "--count", "300", "--bars")
    found = counted(out)
    assert sum(count for count, _ in found.values()) == 300
    assert [mean for _, mean in found.values()] == [100.0] * 3
    assert plausible(out), out
    # A rule that someone changed on the node decides what is expected.
    nat = ("exec", "node", "--", f"iptables-{backend}", "-t", "nat")
    rules = [line for line in box(*nat, "-S").splitlines() if line.startswith("-A KUBE-SVC-")]
    (place,) = (place for place, line in enumerate(rules, start=1) if "--probability 0.33" in line)
    _, chain, *words = shlex.split(re.sub(r"0\.33\d+", "0.9", rules[place - 1]))
    box(*nat, "-R", chain, str(place), *words)
    out = box("request", "web", "--count", "200", "--bars")
    assert sorted(mean for _, mean in counted(out).values()) == [10.0, 10.0, 180.0]
    assert plausible(out), out


def test_every_entry_point_and_client_has_its_expectation(box: Box, tmp_path: Path) -> None:
    """Each of several clients is followed by its own way, over both families."""
    six = endpoint_slice("web", [endpoint("web-1", "fd00:10::1"), endpoint("web-2", "fd00:10::2")])
    local = [endpoint("web-1", "10.10.2.1"), endpoint("web-2", "10.10.2.2", node="node-a")]
    web = service(
        "web", [CLUSTER_IP, "fd00:200::10"], node_port=30080, externalTrafficPolicy="Local"
    )
    box("up", write(tmp_path, web, endpoint_slice("web", local), six), *OPTIONS)
    both = {"web-1": 20.0, "web-2": 20.0}
    for arguments, expected in (
        (("--from", "node"), both),
        (("--from", "client-1", "--ip-family", "ipv6"), both),
        (("--from", "web-2"), both),
        (("--from", "outside-1"), {"web-2": 40.0}),
        (("--from", "node", "--via", "node-port"), both),  # the node's own are not "external"
    ):
        out = box("request", "web", "--count", "40", "--bars", *arguments)
        assert {name: mean for name, (_, mean) in counted(out).items()} == expected, out
        assert plausible(out), out


@pytest.mark.parametrize(
    "options",
    [
        ("--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cbr0"),
        ("--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "veth"),
    ],
    ids=["bridge", "prefix"],
)
def test_rules_that_tell_pods_by_their_interface(
    box: Box, options: tuple[str, ...], tmp_path: Path
) -> None:
    """The node's own Pods reach all endpoints by the node port, whoever comes from outside one."""
    addresses = {"web-1": "node-b", "web-2": "node-a"}
    pods = [
        endpoint(name, f"10.10.2.{n}", node=node)
        for n, (name, node) in enumerate(addresses.items(), start=1)
    ]
    web = service("web", [CLUSTER_IP], node_port=30080, externalTrafficPolicy="Local")
    box("up", write(tmp_path, web, endpoint_slice("web", pods)), "--node", "node-a", *options)
    for client, expected in {
        "client-1": {"web-1": 20.0, "web-2": 20.0},
        "outside-1": {"web-2": 40.0},
    }.items():
        via = ("--from", client, "--via", "node-port")
        out = box("request", "web", "--count", "40", "--bars", *via)
        assert {name: mean for name, (_, mean) in counted(out).items()} == expected, out
        assert plausible(out), out


def test_failures_are_no_chance(box: Box, tmp_path: Path) -> None:
    box("up", manifests(tmp_path), *OPTIONS)
    box("exec", "web-1", "--", "ip", "link", "set", "eth0", "down")
    out = box("request", "web", "--count", "60", "--timeout", "50ms", "--bars")
    assert counted(out)["timed out"][1] == 0
    assert re.search(
        r"^not chance: \d+ of 60 requests timed out, and the rules don't account for that$",
        out,
        re.MULTILINE,
    ), out
    box("apply", manifests(tmp_path, count=0))
    refused = box.run("request", "web", "--count", "9", "--bars")
    assert "as expected: the rules leave nothing to chance\n" in refused.out
    assert counted(refused.out) == {"refused": (9, 9.0)}
    assert "the rules reject or drop requests to default/web:main" in refused.err


def test_affinity_is_not_tested_but_the_first_answers_of_clients_are(
    box: Box, tmp_path: Path
) -> None:
    box("up", manifests(tmp_path, sessionAffinity="ClientIP"), *OPTIONS, "--clients", "40")
    out = box("request", "web", "--from", "client-1", "--count", "20", "--bars")
    assert "not tested: ClientIP affinity (10800 s) sends a client's requests to" in out
    assert "expected" not in out
    out = box("request", "web", "--from", "client-*", "--bars")
    words = " ".join(out.split())
    assert "of the 39 answers that affinity did not decide" in words, out


def test_a_pipe_gets_the_tally(box: Box, tmp_path: Path) -> None:
    box("up", manifests(tmp_path, count=1), *OPTIONS)
    assert box("request", "web", "--count", "7") == "7  web-1\n"
    lines = box("request", "web", "--count", "3", "--every", "50ms").splitlines()
    assert lines == ["     0.0 s  web-1", "     0.1 s  web-1", "     0.1 s  web-1", "3  web-1"]
    sources = box("request", "web", "--count", "2", "--source", "--bars").splitlines()
    assert re.fullmatch(r"2  web-1  from 10\.10\.\S+", sources[0])
    assert "default/web:main: 2 requests from client-1" in sources


def test_a_timeline_shows_where_affinity_expired(box: Box, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    box("up", manifests(tmp_path, **AFFINITY), *OPTIONS)
    plot = tmp_path / "answers.svg"
    out = box("request", "web", "--count", "4", "--every", "1.3s", "--bars", "--plot", plot)
    assert re.search(r"^expired   [↑^]{3}$", out, re.MULTILINE), out
    assert "web-1" in (text := plot.read_text())
    assert "affinity had expired before it" in text
    assert ET.parse(plot).getroot()[0].text == (
        "default/web:main: 4 requests from client-1 every 1.3 s, ClientIP affinity 1 s"
    )
    out = box("request", "web", "--count", "4", "--every", "200ms", "--bars")
    rows = re.findall(r"^web-\d +([█#·.]+)$", out, re.MULTILINE)
    assert Counter(map(len, map(set, rows))) == {1: 3}
    assert len({row for row in rows if row[0] in "█#"}) == 1
    assert "expired" not in out


def test_rules_that_change_meanwhile(box: Box, tmp_path: Path) -> None:
    box("up", manifests(tmp_path), *OPTIONS)
    command = [sys.executable, "-m", "compiler", "lab", "request", "web", "--name", box.name]
    with subprocess.Popen(
        [*command, "--count", "100", "--every", "30ms", "--bars"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as requesting:
        assert requesting.stdout
        requesting.stdout.readline()
        box("apply", manifests(tmp_path, count=2))
        out = requesting.stdout.read()
    assert "not tested: the rules changed while requests were made\n" in out


@pytest.fixture
def watched(box: Box, tmp_path: Path) -> Box:
    box("up", manifests(tmp_path), *OPTIONS)
    return box


def test_watching_on_a_terminal(watched: Box, tmp_path: Path) -> None:
    terminal = Terminal.start("lab", "request", "web", "--name", watched.name, "--watch",
                              "--every", "100ms")  # fmt: skip
    first = terminal.read_until("as expected: ")
    assert ENTER in first
    assert HIDE in first
    assert "answers  expected" in first
    # A narrow terminal is filled anew, no line wider than it.
    terminal.resize(12, 50)
    for _ in range(3):
        terminal.read_until(TOP)
    frame = terminal.shown.split(TOP)[-2]
    drawn = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line) for line in frame.split("\r\n")]
    assert len(drawn) == 12
    assert max(map(len, drawn)) <= 50, drawn
    # The rules change: what is expected is counted anew.
    watched("apply", manifests(tmp_path, count=2))
    terminal.read_until("the rules changed; ")
    terminal.read_until("answers  expected")
    terminal.press(CTRL_C)
    code, rest = terminal.end()
    assert code == ExitCode.INTERRUPTED
    assert rest.index(SHOW) < rest.index(LEAVE)
    summary = rest.partition(LEAVE)[2]
    assert summary.count("default/web:main: ") == 2
    assert "the rules changed; " in summary
    assert "Aborted" not in summary


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_leaves_the_terminal_as_it_was(watched: Box, number: signal.Signals) -> None:
    terminal = Terminal.start("lab", "request", "web", "--name", watched.name, "--watch")
    terminal.read_until("1 request from client-1 every 1 s")
    os.kill(terminal.pid, number)
    code, rest = terminal.end()
    assert code == 128 + number
    assert rest.index(SHOW) < rest.index(LEAVE) < rest.index("default/web:main: ")


def test_watching_in_a_pipe(watched: Box) -> None:
    command = [sys.executable, "-m", "compiler", "lab", "request", "web", "--name", watched.name]
    with subprocess.Popen(
        [*command, "--watch", "--every", "100ms"], stdout=subprocess.PIPE, encoding="utf-8"
    ) as watching:
        assert watching.stdout
        lines = [watching.stdout.readline() for _ in range(5)]
        watching.send_signal(signal.SIGINT)
        rest = watching.stdout.read()
    assert all(re.fullmatch(r" +\d\.\d s  web-\d\n", line) for line in lines)
    assert all("\x1b" not in line for line in [*lines, rest])
    tally = re.findall(r"^ *(\d+)  web-\d$", rest, re.MULTILINE)
    assert sum(map(int, tally)) == 5 + len(re.findall(r" s  web-\d$", rest, re.MULTILINE))
    assert watching.returncode == ExitCode.INTERRUPTED


def test_a_watch_with_a_count_ends_by_itself(watched: Box) -> None:
    out = watched("request", "web", "--watch", "--every", "10ms", "--count", "5")
    assert len(re.findall(r" s  web-\d$", out, re.MULTILINE)) == 5


def test_affinity_is_followed(box: Box, tmp_path: Path) -> None:
    box("up", manifests(tmp_path, **AFFINITY), *OPTIONS)
    command = [sys.executable, "-m", "compiler", "lab", "affinity", "--name", box.name]
    with subprocess.Popen(
        [*command, "--watch", "--every", "100ms"], stdout=subprocess.PIPE, encoding="utf-8"
    ) as watching:
        assert watching.stdout
        first = watching.stdout.readline()
        pod = box.answer("web")
        time.sleep(0.5)
        assert box.answer("web") == pod
        lines = [watching.stdout.readline() for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        rest = watching.stdout.read()
    assert first == "     0.0 s  No client is pinned to an endpoint.\n"
    assert [line.split()[2] for line in lines] == ["pinned", "renewed", "expired"]
    assert all(f"({pod})" in line and "(client-1)" in line for line in lines)
    assert rest.startswith("CLIENT ")
    assert re.search(r"^watched for \d+ s: 1 pinned, 1 renewed, 1 expired$", rest, re.MULTILINE)
    assert watching.returncode == ExitCode.INTERRUPTED


def test_affinity_is_followed_on_a_terminal_and_drawn(box: Box, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    box("up", manifests(tmp_path, sessionAffinity="ClientIP"), *OPTIONS)
    plot = tmp_path / "pins.svg"
    terminal = Terminal.start("lab", "affinity", "--name", box.name, "--watch", "--every", "100ms",
                              "--plot", str(plot), columns=60)  # fmt: skip
    assert ENTER in terminal.read_until("No client is pinned to an endpoint.")
    pod = box.answer("web")
    assert f"({pod})" in terminal.read_until("10800 s")
    terminal.press(CTRL_C)
    code, rest = terminal.end()
    assert code == ExitCode.INTERRUPTED
    assert rest.index(SHOW) < rest.index(LEAVE) < rest.index("watched for ")
    root = ET.parse(plot).getroot()
    assert root[0].text == "Session affinity: 1 client pinned"
    again = tmp_path / "again.png"
    assert "(client-1)" in box("affinity", "--plot", again)
    assert again.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", [("request", "web"), ("affinity",)])
def test_a_lab_that_is_removed_ends_a_watch(watched: Box, command: tuple[str, ...]) -> None:
    terminal = Terminal.start("lab", *command, "--name", watched.name, "--watch")
    terminal.read_until("from client-1" if command[0] == "request" else "No client is pinned")
    watched("down")
    code, rest = terminal.end()
    assert code == ExitCode.FAILED
    assert LEAVE in rest
    assert f'the lab "{watched.name}" was removed while ' in rest
