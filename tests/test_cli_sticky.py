"""`proxyrules sticky` as a command."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from compiler.api import compile_rules
from tests.cases import FIXTURES, ROOT
from tests.kernel.manifests import endpoint, endpoint_slice, nodes, service
from tests.run import Runner, run_process

SHOP = "fixtures/sticky-shop/input.yaml"
OPTIONS = ("--cluster-cidr", "10.10.0.0/16", "--node", "worker-1")
RUN = (SHOP, *OPTIONS, "--clients", "450", "--at", "10m=rollout", "--at", "40m=scale:web=5")


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_text(proxyrules: Runner, golden: SnapshotAssertion) -> None:
    result = proxyrules("sticky", *RUN)
    assert result.code == 0
    assert result.err.startswith("control plane: Deployment default/web has 3 Pods: web-1 on ")
    assert result.out == golden(name="sticky.txt")
    assert max(map(len, result.out.splitlines())) <= 80
    assert proxyrules("sticky", "-q", *RUN).err == ""


def test_an_output_that_shows_no_blocks_gets_plain_characters(proxyrules: Runner) -> None:
    environment_of_old = {"PYTHONIOENCODING": "ascii"}
    done = _run(RUN, environment_of_old)
    assert done.isascii()
    assert "#########" in done
    assert done.splitlines()[0] == proxyrules("sticky", *RUN).out.splitlines()[0]


def _run(arguments: tuple[str, ...], variables: dict[str, str]) -> str:
    import os
    import subprocess

    return subprocess.run(
        [sys.executable, "-m", "compiler", "sticky", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    ).stdout


def test_json(proxyrules: Runner) -> None:
    result = proxyrules("sticky", *RUN, "--format", "json", "--expect", "moved<5%")
    assert result.code == 1
    words = "moved<5%: clients that moved to another endpoint: 450 of 450 (100 %)"
    assert f"not as expected: {words}\n" in result.err
    value = json.loads(result.out)
    assert value["ok"] is False
    (variant,) = value["variants"]
    assert [one["event"] for one in variant["stretches"]] == [
        "",
        "rollout of web",
        "scale web to 5",
    ]
    total = sum(one["connections"] for one in variant["stretches"])
    assert total == sum(one["connections"] for one in variant["samples"]) == 450 * 180
    assert variant["figures"]["lost"] == {"value": 0, "of": total}
    # five lists of 100 hold 450 clients, three don't
    assert variant["stretches"][0]["pinned"] == 0
    assert variant["stretches"][2]["pinned"] > 0.9 * variant["stretches"][2]["connections"]


def test_csv(proxyrules: Runner) -> None:
    result = proxyrules("sticky", *RUN, "--format", "csv", "--compare", "ip_list_tot=100,200")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert {row["variant"] for row in rows} == {"ip_list_tot=100", "ip_list_tot=200"}
    assert all(row["seconds"] and row["skew"] for row in rows)
    assert sum(row.startswith("clients at ") for row in rows[0]) == 8
    long = [row for row in rows if row["variant"] == "ip_list_tot=200"]
    assert {row["broken"] for row in long} == {"0"}


def test_compare(proxyrules: Runner) -> None:
    compare = ("--compare", "timeout=none,30,10800", "--compare", "every=20s,40s")
    result = proxyrules("sticky", SHOP, *OPTIONS, "--clients", "1", *compare, "--seed", "3")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    table = [line.split() for line in result.out.splitlines() if line.startswith("timeout=")][:6]
    returned = {f"{row[0]} {row[1]}": float(row[2]) for row in table}
    assert len(returned) == 6
    for name, share in returned.items():
        pinned = name not in ("timeout=none every=20s", "timeout=none every=40s")
        pinned = pinned and name != "timeout=30 every=40s"
        assert (share == 100) is pinned, name


def test_other_manifests_from_a_moment_on(proxyrules: Runner, tmp_path: Path) -> None:
    """Without session affinity, and while a rollout was under way."""
    later = tmp_path / "later.yaml"
    later.write_text(Path(SHOP).read_text().replace("sessionAffinity: ClientIP", ""))
    events = ("--at", "10m=rollout", "--at", f"607={later}", "--for", "20m")
    result = proxyrules("sticky", SHOP, *OPTIONS, "--format", "json", *events)
    assert result.code == 0, result.err
    (variant,) = json.loads(result.out)["variants"]
    first, _, after = variant["stretches"]
    assert (first["lists"], after["lists"]) == (3, 0)
    assert after["event"] == f"change to {later}"
    # the same Pods, which the rollout had begun to replace
    assert len(after["connectionsTo"]) >= 3
    assert after["dealtAnew"]["no affinity"] > 1000
    later.write_text("kind: Service\napiVersion: v1\nmetadata: {}\n")
    result = proxyrules("sticky", SHOP, *OPTIONS, *events)
    assert (result.code, result.out) == (2, "")
    assert str(later) in result.err


def test_compare_policies(proxyrules: Runner) -> None:
    """Of the three Pods one is on worker-1."""
    arguments = ("sticky", SHOP, *OPTIONS, "--via", "node-port", "--format", "json")
    result = proxyrules(*arguments, "--compare", "policy=Cluster,Local")
    both, local = json.loads(result.out)["variants"]
    assert len(both["stretches"][0]["connectionsTo"]) == 3
    assert len(local["stretches"][0]["connectionsTo"]) == 1


def test_rules_instead_of_manifests(proxyrules: Runner, tmp_path: Path) -> None:
    """Rules of one moment, other rules of a later one, and what they don't show."""
    first, later = tmp_path / "first.rules", tmp_path / "later.rules"
    for step, path in (("clientip", first), ("clientip-30s", later)):
        folder = FIXTURES / f"study-{step}"
        from compiler.compilation import complete_manifests

        config = folder / "kube-proxy.yaml"
        completed = complete_manifests([folder / "input.yaml"], config=config)
        text = compile_rules([completed.source], config=config, node="myk8s-control-plane").text
        path.write_text(text)
    run = ("sticky", first, "--every", "40s", "--clients", "10", "--format", "json")
    result = proxyrules(*run, "--at", f"30m={later}", "--at", "50m=restart")
    assert (result.code, result.err) == (0, "")
    (variant,) = json.loads(result.out)["variants"]
    begin, shorter, _ = variant["stretches"]
    assert begin["dealtAnew"] == {}
    assert set(shorter["dealtAnew"]) == {"expired"}
    result = proxyrules(*run, "--at", "10m=rollout")
    assert (result.code, result.out) == (2, "")
    assert "rollout needs manifests: rules don't show what would change" in result.err


def test_events_from_a_file_and_a_trace(proxyrules: Runner, tmp_path: Path) -> None:
    events, trace = tmp_path / "events.yaml", tmp_path / "trace"
    events.write_text("events:\n  - at: 15\n    event: not-ready:web-1\n")
    trace.write_text("".join(f"{n * 10} 10.10.9.{1 + n % 2}\n" for n in range(6)))
    arguments = ("sticky", SHOP, *OPTIONS, "--events", events, "--trace", trace)
    result = proxyrules(*arguments, "--format", "json")
    (variant,) = json.loads(result.out)["variants"]
    assert [one["connections"] for one in variant["stretches"]] == [2, 4]
    assert variant["clients"] == 2
    trace.write_text("1 10.10.9.1\nsoon 10.10.9.1\n")
    result = proxyrules(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(f'{trace}:2:1: "soon" is not a number of seconds\n')


def test_a_recorded_watch(proxyrules: Runner, tmp_path: Path) -> None:
    def entries(count: int) -> dict[str, object]:
        pods = [endpoint(f"web-{n}", f"10.10.2.{n}", ready=True) for n in range(1, count + 1)]
        return endpoint_slice("web", pods)

    whole = [*nodes(), service("web", ["10.200.1.10"], sessionAffinity="ClientIP"), entries(3)]
    manifests, watch = tmp_path / "cluster.json", tmp_path / "watch.json"
    manifests.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": whole}))
    watch.write_text("\n".join(json.dumps(entries(count)) for count in (3, 1, 3)))
    arguments = ("sticky", manifests, "--node", "node-a", "--watch", watch, "--for", "5m")
    result = proxyrules(*arguments, "--watch-every", "1m", "--format", "json")
    assert result.code == 0, result.err
    (variant,) = json.loads(result.out)["variants"]
    assert [one["begin"] for one in variant["stretches"]] == [0.0, 60.0, 120.0]
    assert variant["stretches"][1]["clientsForced"] > 0
    result = proxyrules(*arguments)
    assert result.code == 2
    assert "give the time between changes with --watch-every" in result.err


def test_several_nodes(proxyrules: Runner) -> None:
    arguments = ("sticky", SHOP, "--cluster-cidr", "10.10.0.0/16", "--format", "json")
    result = proxyrules(*arguments, "--nodes", "all", "--spread")
    (variant,) = json.loads(result.out)["variants"]
    assert variant["nodes"] == 2
    assert variant["stretches"][0]["dealtAnew"]["another node"] > 0


def test_standard_input(proxyrules: Runner) -> None:
    done = run_process("sticky", "-", *OPTIONS, stdin=(ROOT / SHOP).read_bytes())
    assert done.returncode == 0
    assert b"default/web:http: ClientIP 10800 s, 3 endpoints" in done.stdout


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_a_drawing(proxyrules: Runner, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    for path in (first, second):
        result = proxyrules(
            "sticky", SHOP, *OPTIONS, "--at", "10m=rollout", "--plot", path, "-o", tmp_path / "out"
        )
        assert (result.code, result.out) == (0, "")
    assert first.read_bytes() == second.read_bytes()
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert first.read_bytes().startswith(begins[ending])
    if ending == "svg":
        words = first.read_text()
        assert '<title id="title">Session affinity over time: default/web:http, ClientIP' in words
        assert '<desc id="desc">default/web:http, ClientIP 10800 s: returned' in words
        assert ">clients by endpoint</text>" in words


def test_without_matplotlib(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = proxyrules("sticky", *RUN, "--plot", tmp_path / "a.svg")
    assert (result.code, result.out) == (3, "")
    hint = f"install it with `{sys.executable} -m pip install matplotlib`"
    assert result.err == f"--plot: matplotlib is not installed; {hint}\n"
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "10m=rolout"], '--at: no event "rolout", and no such file; did you mean'),
        (["--at", "10m=scale:nope=3"], '--at: no workload and no Service "nope"; there are'),
        (["--at", "10m=drain:nope"], '--at: no node "nope"; there are worker-1, worker-2'),
        (["--at", "1m=not-ready:x"], '--at: "x" is no Pod behind a Service; there are'),
        (["--at", "2h=rollout"], "--at: rollout comes at 7200 s, after the end (3600 s)"),
        (["--every", "0"], "--every: must be more than 0"),
        (["--every", "soon"], '--every: "soon" is not a duration; use one like'),
        (["--for", "400d"], "--for: must be from 1 ms to 31 days"),
        (["--from", "10.0.0.0/33"], '--from: "10.0.0.0/33" is not a network; use one like'),
        (["--from", "fd00::/64"], "--from: fd00::/64 has 18446744073709551615 addresses; give"),
        (["--from", "fd00::/120"], "--from: clients' addresses are not IPv4, as the rules are"),
        (["--clients", "200000"], "--clients: 198.18.0.0/15 has 131070 addresses, not 200000"),
        (["--via", "external-ip"], f"{SHOP}: default/web:http has no external IP; it has"),
        (["--every", "1ms"], "--for: 360,000,000 connections are too many to play; at most"),
        (["--compare", "policy=x"], '--compare: "x" is no traffic policy; use Cluster or Local'),
        (["--compare", "x=1"], '--compare: can\'t compare by "x"; use one of timeout,'),
        (["--compare", "timeout="], "--compare: an empty value; write timeout=A,B"),
        (["--compare", "clients=0"], '--compare: "0" is no number above 0'),
        (["--expect", "moved"], '--expect: "moved" is no expectation; write one like'),
        (["--service", "nope"], '--service: no Service port "nope" in the rules; there are'),
        (["--nodes", "worker-1"], "--nodes: can't be combined with --node"),
        (["--spread"], "--spread: needs at least two nodes to spread connections over"),
        (["--masqueraded", "x"], '--masqueraded: "x" is not an IP address'),
        (["--masqueraded", "fd00::1"], "--masqueraded: is not IPv4"),
        (["--plot", "x.gif"], "x.gif: is no drawing; use a name that ends in .svg, .png or .pdf"),
        (["--trace", "/dev/null"], "/dev/null: no connection in it; write lines like"),
        (["--events", "/dev/null"], "/dev/null: no events in it; write events: with a list"),
        (["--watch", "/dev/null"], "/dev/null: no JSON object in it; record it with"),
        (["--events", "none.yaml"], "none.yaml: can't be read: no such file or directory"),
    ],
)
def test_bad_options(proxyrules: Runner, arguments: list[str], message: str) -> None:
    result = proxyrules("sticky", SHOP, *OPTIONS, "-q", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message), result.err
    assert result.err.count("\n") == 1
