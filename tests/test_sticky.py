"""What `sticky` plays: clients, events, and the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from compiler.analysis.sticky.answers import advice, figures, read_expectation, stretches
from compiler.analysis.sticky.counts import EMPTIED, EXPIRED, GONE, NODE, NONE, OLDER, PUSHED
from compiler.analysis.sticky.duration import clock, seconds_of, spoken
from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.event_file import read_events
from compiler.analysis.sticky.events import KINDS, Event, read_event
from compiler.analysis.sticky.load import Load, addresses_in, read_addresses, read_trace
from compiler.analysis.sticky.play import Settings
from compiler.analysis.sticky.recording import TRIGGER_TIME, read_recording
from compiler.analysis.sticky.run import StickyAnswer
from compiler.analysis.sticky.timeline import Pace, Timeline
from compiler.api import sticky
from compiler.changing_cluster import ChangingCluster
from compiler.errors import InputError
from compiler.family import IPV4, IPV6
from compiler.manifests.source import Source
from tests.cases import FIXTURES, ROOT
from tests.kernel.manifests import endpoint, endpoint_slice, nodes, service
from tests.kernel.sticky_scenarios import SCENARIOS

CIDR: dict[str, Any] = {"flags": {"cluster_cidr": "10.10.0.0/16,fd00:10::/48"}}
STUDY = {
    step: ([FIXTURES / f"study-{step}" / "input.yaml"], FIXTURES / f"study-{step}/kube-proxy.yaml")
    for step in ("none", "clientip", "clientip-30s")
}


def clients(count: int, every: float = 20.0) -> Load:
    return Load(addresses_in("198.18.0.0/15", count), IPV4, every)


def cluster(timeout: int = 10800, pods: int = 3, **spec: Any) -> Source:
    """Two nodes and a Service `web` with some Pods, every other one on node-a."""
    affinity: dict[str, Any] = {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": timeout}},
    }
    places = ["node-a", "node-b"] * pods
    entries = [
        endpoint(f"web-{number}", f"10.10.2.{number}", places[number], ready=True)
        for number in range(1, pods + 1)
    ]
    made = service("web", ["10.200.1.10"], node_port=30080, **{**affinity, **spec})
    items = [*nodes(), made, endpoint_slice("web", entries)]
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    return Source("cluster.json", json.dumps(whole).encode())


def play(
    load: Load,
    *events: str,
    source: Source | None = None,
    seconds: float = 600,
    nodes: Sequence[str] = ("node-a",),
    settings: Settings | None = None,
    via: str = "cluster-ip",
) -> StickyAnswer:
    return sticky(
        [source or cluster()],
        load,
        seconds=seconds,
        events=events,
        nodes=nodes,
        settings=settings,
        via=via,
        **CIDR,
    )


# The study.


@pytest.mark.parametrize(
    ("step", "every", "causes"),
    [
        ("none", 20.0, {NONE}),
        ("clientip", 20.0, set()),
        ("clientip", 40.0, set()),
        ("clientip-30s", 20.0, set()),
        ("clientip-30s", 40.0, {EXPIRED}),
    ],
)
def test_the_study_in_five_lines(step: str, every: float, causes: set[str]) -> None:
    manifests, config = STUDY[step]
    net_pod = Load((int.from_bytes(bytes((10, 10, 0, 6))),), IPV4, every)
    answer = sticky(manifests, net_pod, seconds=3600, nodes=["myk8s-control-plane"], config=config)
    (counts,) = answer.played.stretches
    assert set(counts.dealt) == causes
    assert len(counts.to) == (3 if causes else 1)
    assert counts.connections == round(3600 / every)


# What moves clients.


def test_a_seed_makes_a_run_repeatable() -> None:
    first, second = (play(clients(50), "2m=rollout") for _ in range(2))
    assert first.played == second.played
    other = play(clients(50), "2m=rollout", settings=Settings(0, seed=1))
    assert other.played.stretches[0].to != first.played.stretches[0].to


def test_150_clients_of_one_endpoint_push_one_another_out_every_time() -> None:
    """Who comes in turn finds itself dropped by the others: nobody is pinned, not just fifty."""
    answer = play(clients(150), source=cluster(pods=1))
    (counts,) = answer.played.stretches
    assert counts.pinned == 0
    assert counts.dealt == {PUSHED: counts.connections - 150}
    assert counts.full_lists == 1
    fitting = play(clients(150), source=cluster(pods=1), settings=Settings(0, limit=150))
    assert fitting.played.stretches[0].pushed_out == 0
    assert any("ip_list_tot=150" in sentence for sentence in advice(answer, 150))


def test_only_clients_of_an_endpoint_that_is_gone_have_to_move() -> None:
    answer = play(clients(60), "5m=terminate:web-2")
    before, after = answer.played.stretches
    assert set(after.moved) == {GONE}
    assert after.clients_moved == after.clients_forced
    assert 10 < after.clients_forced < 30
    assert figures(answer)["moved"].value == after.clients_moved
    assert not before.moved
    assert after.endpoints == 2


def test_a_pod_that_fails_its_probe_for_a_moment_loses_its_pins() -> None:
    """The probe fails between two connections of every client: none had to move."""
    answer = play(clients(60), "5m=not-ready:web-2", "302=ready:web-2", source=cluster(pods=2))
    counts = answer.played.stretches[2]
    assert set(counts.moved) == {EMPTIED}
    assert counts.clients_moved > 5


def test_a_longer_timeout_makes_old_pins_valid_again() -> None:
    """Not all of them: each check of an entry that has expired reaps the oldest one of the list.

    So forty clients come back in the opposite order, and find what was reaped to be others'.
    """
    addresses = addresses_in("198.18.0.0/15", 40)
    first = [(client / 10, client) for client in range(40)]
    back = [(50 + client / 10, 39 - client) for client in range(40)]
    later = [(100 + client / 10, client) for client in range(40)]
    load = Load(addresses, IPV4, trace=tuple(first + back + later))
    answer = play(load, "90=timeout=10800", source=cluster(timeout=30))
    before, after = answer.played.stretches
    assert before.dealt[EXPIRED] > 0
    assert not before.moved[OLDER]
    assert after.moved[OLDER] > 0
    assert any("older pin" in sentence for sentence in advice(answer, None))


def test_affinity_off_and_on_begins_with_empty_lists() -> None:
    answer = play(clients(60), "2m=affinity=None", "4m=affinity=ClientIP")
    on, off, again = answer.played.stretches
    assert not on.moved
    assert set(off.dealt) == {NONE}
    # all clients connected while there were no lists: none has lost a pin
    assert set(again.dealt) == {NONE}
    assert again.broken == 0


def test_affinity_off_for_a_moment_loses_the_pins_of_who_did_not_connect() -> None:
    answer = play(clients(60), "2m=affinity=None", "130=affinity=ClientIP")
    again = answer.played.stretches[2]
    assert set(again.dealt) == {NONE, EMPTIED}
    assert again.dealt[EMPTIED] > 20


def test_a_workload_scaled_to_zero_comes_back_with_other_addresses() -> None:
    answer = play(clients(60), "2m=scale=0", "4m=scale=3")
    before, none, after = answer.played.stretches
    assert none.lost["rejected"] > 100
    assert len(after.to) == 3
    assert not before.to.keys() & after.to.keys()
    assert set(after.dealt) == {GONE}
    assert after.clients_forced == 60


def test_a_restart_of_kube_proxy_keeps_all_pins_and_a_reboot_none() -> None:
    answer = play(clients(60), "2m=restart", "4m=reboot")
    start, restarted, rebooted = answer.played.stretches
    assert not start.dealt
    assert not restarted.dealt
    assert rebooted.dealt == {EMPTIED: 60}


def test_a_reboot_of_one_node_leaves_the_pins_of_others() -> None:
    names = ("node-a", "node-b")
    answer = play(clients(60), "4m=reboot:node-b", nodes=names)
    assert answer.played.stretches[1].dealt == {EMPTIED: 30}
    with pytest.raises(StickyError, match="no client comes in by the node"):
        play(clients(60), "4m=reboot:node-b")


def test_each_node_has_lists_of_its_own() -> None:
    names = ("node-a", "node-b")
    kept = play(clients(60), nodes=names)
    assert not kept.played.stretches[0].dealt
    spread = play(clients(60), nodes=names, settings=Settings(0, spread=True))
    (counts,) = spread.played.stretches
    assert counts.dealt[NODE] > 0
    assert counts.strayed[NODE] > counts.dealt[NODE]
    assert counts.moved[NODE] > counts.connections / 4
    assert any("each node has lists" in sentence for sentence in advice(spread, None))


def test_a_load_balancer_that_masquerades_makes_all_clients_one() -> None:
    one = Settings(0, masqueraded=int.from_bytes(bytes((192, 168, 0, 9))))
    answer = play(clients(60), via="node-port", settings=one)
    assert len(answer.played.stretches[0].to) == 1
    assert answer.played.samples[-1].skew == pytest.approx(3.0)
    assert any("one pin" in sentence for sentence in advice(answer, None))
    apart = play(clients(60), via="node-port")
    assert len(apart.played.stretches[0].to) == 3


def test_a_local_policy_sends_clients_of_a_node_to_its_own_pods() -> None:
    source = cluster(externalTrafficPolicy="Local", pods=4)
    answer = play(clients(60), via="node-port", source=source)
    assert sorted(answer.played.stretches[0].to) == ["10.10.2.2:8080", "10.10.2.4:8080"]
    inside = play(clients(60), source=source)
    assert len(inside.played.stretches[0].to) == 4


def test_clients_from_outside_do_not_come_by_a_pods_interface() -> None:
    bridge = {"detect_local_mode": "BridgeInterface", "pod_bridge_interface": "cbr0"}
    answer = sticky(
        [cluster(externalTrafficPolicy="Local", pods=4)],
        clients(60),
        seconds=600,
        nodes=["node-a"],
        via="node-port",
        flags=bridge,
    )
    assert len(answer.played.stretches[0].to) == 2


def test_connections_to_a_pod_that_is_gone_are_lost_until_the_rules_follow() -> None:
    answer = play(clients(200, 1.0), "10=crash:web-1", seconds=30)
    counts = answer.played.stretches[1]
    # a third of 200 clients, each once within the second that rules are behind
    assert set(counts.lost) == {"endpoint gone"}
    assert 40 < counts.lost["endpoint gone"] < 95
    assert figures(answer)["lost"].value == counts.lost["endpoint gone"]
    assert any("preStop" in sentence for sentence in advice(answer, None))


def test_without_endpoints_connections_are_rejected() -> None:
    answer = play(clients(10), "5m=scale=0")
    counts = answer.played.stretches[1]
    # terminating Pods serve for their grace period
    assert 0 < counts.lost["rejected"] < counts.connections


def test_all_of_a_stretch_may_be_lost() -> None:
    answer = play(clients(10), "1m=crash:web-1", source=cluster(pods=1))
    assert answer.played.stretches[1].again == 0
    assert sum(answer.played.stretches[1].lost.values()) == 270


def test_after_a_scale_up_balance_does_not_return_while_clients_stay_pinned() -> None:
    answer = play(clients(90), "5m=scale:web=6")
    after = stretches(answer)[1]
    assert after.balanced is None
    assert after.skew > 1.5
    assert not after.counts.moved
    short = play(clients(90, 40.0), "5m=scale:web=6", source=cluster(timeout=30))
    assert stretches(short)[1].balanced is not None


# Events and how they unfold.


def timeline(
    *events: str, source: Source | None = None, pace: Pace | None = None
) -> list[tuple[float, list[str]]]:
    """Play events; return at each step the Pods, `!` for not ready and `~` for terminating."""
    world = ChangingCluster(CIDR, ("node-a",)).read([source or cluster()])
    made = Timeline(world, "web", pace or Pace(5, 30), lambda path: world)
    found: list[tuple[float, list[str]]] = []
    for step in made.run([read_event(text, lambda _: False) for text in events], 600):
        if step.source is None:
            continue
        whole = json.loads(step.source.text)
        entries = [
            entry
            for one in whole["items"]
            if one["kind"] == "EndpointSlice"
            for entry in one["endpoints"]
        ]
        found.append((step.at, [_pod(entry) for entry in entries]))
    return found


def _pod(entry: dict[str, dict[str, object]]) -> str:
    conditions = entry["conditions"]
    sign = "~" if conditions.get("terminating") else "" if conditions["ready"] else "!"
    return f"{entry['targetRef']['name']}{sign}"


def deployment(replicas: int, **strategy: object) -> Source:
    labels = {"app": "web"}
    items = [
        *nodes(),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "strategy": {"rollingUpdate": strategy},
                "template": {"metadata": {"labels": labels}, "spec": {}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80}]},
        },
    ]
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    return Source("deployment.json", json.dumps(whole).encode())


def test_a_rollout_by_default_starts_one_and_ends_one_at_a_time() -> None:
    """Of three Pods a quarter is one above (rounded up) and none missing (rounded down)."""
    assert timeline("10s=rollout", source=deployment(3)) == [
        (0.0, ["web-1", "web-2", "web-3"]),
        (10.0, ["web-1", "web-2", "web-3", "web-new-1!"]),
        (15.0, ["web-1", "web-2", "web-3~", "web-new-1", "web-new-2!"]),
        (20.0, ["web-1", "web-2~", "web-3~", "web-new-1", "web-new-2", "web-new-3!"]),
        (25.0, ["web-1~", "web-2~", "web-3~", "web-new-1", "web-new-2", "web-new-3"]),
        (45.0, ["web-1~", "web-2~", "web-new-1", "web-new-2", "web-new-3"]),
        (50.0, ["web-1~", "web-new-1", "web-new-2", "web-new-3"]),
        (55.0, ["web-new-1", "web-new-2", "web-new-3"]),
    ]


def test_a_rollout_with_surge_and_unavailable() -> None:
    source = deployment(4, maxSurge=2, maxUnavailable="50%")
    steps = timeline("10s=rollout", source=source, pace=Pace(5, 0))
    assert steps[1] == (
        10.0,
        ["web-1", "web-2", *(f"web-new-{number}!" for number in range(1, 5))],
    )
    assert steps[-1] == (15.0, [f"web-new-{number}" for number in range(1, 5)])
    for _, pods in steps:
        assert sum("~" not in pod for pod in pods) <= 6
        assert sum("~" not in pod and "!" not in pod for pod in pods) >= 2


def test_scaling_down_takes_from_the_fullest_node_and_up_fills_the_emptiest() -> None:
    down = timeline("10s=scale:web=1", pace=Pace(5, 0))
    assert down[-1][1] == ["web-1"]
    up = timeline("10s=scale:web=5")
    assert up[1] == (10.0, ["web-1", "web-2", "web-3", "web-new-1!", "web-new-2!"])


def test_a_drain_starts_pods_elsewhere() -> None:
    steps = timeline("10s=drain:node-b", pace=Pace(5, 10))
    assert steps[1][1] == ["web-1~", "web-2", "web-3~", "web-1-new-1!", "web-3-new-2!"]
    assert steps[-1][1] == ["web-2", "web-1-new-1", "web-3-new-2"]


def test_a_pod_that_no_node_takes_stays_pending() -> None:
    steps = timeline("10s=drain:node-b", "20s=drain:node-a", pace=Pace(5, 0))
    assert steps[-1][1] == []


def test_the_grace_period_is_that_of_the_pods_own_workload() -> None:
    source = deployment(1)
    value = json.loads(source.text)
    template = value["items"][2]["spec"]["template"]
    template["spec"]["terminationGracePeriodSeconds"] = 7
    changed = Source(source.name, json.dumps(value).encode())
    steps = timeline("10s=terminate:web-1", source=changed, pace=Pace(5))
    assert steps[-1] == (17.0, [])


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("rollout", '"rollout" is no event; write TIME=EVENT, such as 10m=rollout'),
        ("ten=rollout", '"ten" is not a duration; use one like 20s, 10m or 1h30m'),
        ("1m=rolout", 'no event "rolout", and no such file; did you mean rollout or reboot?'),
        ("1m=not-ready", "not-ready names no pod; write not-ready:POD"),
        ("1m=scale:web", "scale has no value; write scale:web=VALUE, a number of Pods"),
        ("1m=drain:a=5", 'drain takes no value, found "5"'),
        ("1m=affinity=On", '"On" is no session affinity; supported values: ClientIP, None'),
        ("1m=timeout=86401", '"86401" is no timeout; use 1 to 86400 seconds'),
        ("1m=scale=-1", '"-1" is no number of Pods; use 0 to 10000'),
    ],
)
def test_events_that_are_none(written: str, problem: str) -> None:
    with pytest.raises(StickyError) as raised:
        read_event(written, lambda _: False)
    assert "; ".join(filter(None, (str(raised.value), raised.value.hint))) == problem


def test_every_kind_of_event_can_be_played() -> None:
    targets = {"pod": "web-1", "node": "node-b", "workload": "web", "service": "web"}
    values = {"scale": "2", "affinity": "ClientIP", "timeout": "60"}
    for kind in KINDS:
        value = f"={values[kind.name]}" if kind.value else ""
        steps = timeline(f"10s={kind.name}:{targets[kind.target]}{value}")
        assert steps[0][0] == 0.0


def test_a_file_of_events_and_its_problems() -> None:
    text = b"events:\n  - at: 20\n    event: rollout\n  - {at: 1h30m, event: scale:web=5}\n"
    assert read_events(Source("e.yaml", text), lambda _: False) == (
        Event(20.0, "rollout"),
        Event(5400.0, "scale", "web", "5"),
    )
    assert read_events(Source("e.json", b'[{"at": 1, "event": "restart"}]'), lambda _: False)
    wrong = (
        b"events:\n  - at: soon\n    event: rollout\n  - event: restart\n  - at: 1s\n    do: it\n"
    )
    with pytest.raises(InputError) as raised:
        read_events(Source("e.yaml", wrong), lambda _: False)
    assert str(raised.value).splitlines() == [
        'e.yaml:2:9: events[0].at: "soon" is not a duration; use one like 20s, 10m or 1h30m',
        "e.yaml:4:5: events[1]: at is missing",
        'e.yaml:6:5: events[2].do: unknown key "do"; keys are at and event',
        "e.yaml:5:5: events[2]: event is missing",
    ]


# A recorded watch.


def recorded(name: str, pods: int, time: str = "") -> dict[str, object]:
    entries = [endpoint(f"web-{n}", f"10.10.2.{n}", ready=True) for n in range(1, pods + 1)]
    made = endpoint_slice(name, entries)
    if time:
        made["metadata"]["annotations"] = {TRIGGER_TIME: time}
    return made


def test_a_recorded_watch() -> None:
    """As kubectl prints it: one object after another, changed ones again."""
    values = [
        recorded("web", 3, "2026-01-01T10:00:00Z"),
        recorded("other", 1),
        recorded("web", 2, "2026-01-01T11:00:00Z"),
        recorded("web", 3, "2026-01-01T11:00:30Z"),
    ]
    text = "\n".join(json.dumps(value, indent=4) for value in values)
    initial, changes = read_recording(Source("w.json", text.encode()), 60.0, None)
    assert [len(one["endpoints"]) for one in initial] == [3, 1]
    assert [(one.at, len(one.slice_["endpoints"])) for one in changes] == [(60.0, 2), (90.0, 3)]


def test_a_recorded_watch_with_its_events() -> None:
    values = [
        {"type": "ADDED", "object": recorded("web", 3)},
        {"type": "MODIFIED", "object": recorded("web", 2)},
        {"type": "DELETED", "object": recorded("web", 2)},
        {"type": "ADDED", "object": recorded("late", 2)},
    ]
    text = "\n".join(map(json.dumps, values)).encode()
    _, changes = read_recording(Source("w.json", text), 60.0, 10.0)
    assert [(one.at, one.deleted) for one in changes] == [
        (60.0, False),
        (70.0, True),
        (80.0, False),
    ]
    with pytest.raises(InputError) as raised:
        read_recording(Source("w.json", text), 60.0, None)
    assert "w.json:2:1: a change without the annotation" in str(raised.value)


# Loads, durations, expectations.


def test_fixed_and_random_intervals() -> None:
    fixed = list(clients(7, 10.0).connections(60, 100, Random(0)))
    assert len(fixed) == 42
    assert fixed == sorted(fixed, key=lambda one: one[0])
    assert {fixed[n + 7][0] - fixed[n][0] for n in range(35)} == {1000}
    load = Load(addresses_in("198.18.0.0/15", 200), IPV4, 10.0, exponential=True)
    random = list(load.connections(600, 100, Random(0)))
    assert random == sorted(random, key=lambda one: one[0])
    assert len(random) == pytest.approx(12_000, rel=0.05)


def test_traces_and_addresses() -> None:
    addresses, trace = read_trace(["100.5 10.0.0.1", "# a comment", "", "102 10.0.0.2"])
    assert addresses == (0x0A000001, 0x0A000002)
    assert trace == ((0.0, 0), (1.5, 1))
    assert read_addresses(["10.0.0.1  # a", "10.0.0.1", "::1"]) == (0x0A000001, 1)
    assert addresses_in("10.0.0.0/30") == (0x0A000001, 0x0A000002)
    for lines, problem in (
        (["2 10.0.0.1", "1 10.0.0.1"], "2: 1 is earlier than the line before"),
        (["x 10.0.0.1"], '1: "x" is not a number of seconds'),
        (["1 10.0.0.x"], '1: "10.0.0.x" is not an IP address'),
        (["1"], "1: expected a time and an address, found 1 words"),
        ([], "no connection in it"),
    ):
        with pytest.raises(StickyError, match=problem):
            read_trace(lines)
    with pytest.raises(StickyError, match="has 2 addresses, not 5"):
        addresses_in("10.0.0.0/30", 5)


def test_durations() -> None:
    assert seconds_of("20") == 20
    assert seconds_of("1h30m") == 5400
    assert seconds_of("500ms") == 0.5
    assert seconds_of("1.5s") == 1.5
    for text in ("", "s", "1x", "1h30", "-1s", "1 s"):
        with pytest.raises(StickyError):
            seconds_of(text)
    assert [clock(0), clock(61.5), clock(3600)] == ["0:00", "1:01.5", "1:00:00"]
    assert [spoken(30), spoken(5400), spoken(10800)] == ["30 s", "90 min", "3 h"]


def test_expectations() -> None:
    answer = play(clients(60), "5m=terminate:web-2")
    moved = figures(answer)["moved"].value / 60
    assert read_expectation(f"moved < {100 * moved + 1}%").met(answer)
    assert not read_expectation(f"moved<{100 * moved - 1}%").met(answer)
    assert read_expectation("lost=0").met(answer)
    assert read_expectation("returned>=90%").met(answer)
    for text, problem in (
        ("moved", "is no expectation"),
        ("gone<5", "no figure"),
        ("skew<5%", "skew is no percentage"),
    ):
        with pytest.raises(StickyError, match=problem):
            read_expectation(text)


def test_ipv6() -> None:
    made = service(
        "web", ["fd00:200::10"], sessionAffinity="ClientIP", ipFamilyPolicy="SingleStack"
    )
    entries = [endpoint(f"web-{n}", f"fd00:10::{n}", ready=True) for n in range(1, 4)]
    whole = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [*nodes(), made, endpoint_slice("web", entries)],
    }
    source = Source("six.json", json.dumps(whole).encode())
    load = Load(addresses_in("2001:2::/48", 30), IPV6, 20.0)
    answer = play(load, "5m=scale:web=4", "6m=terminate:web-1", source=source)
    assert sorted(answer.played.stretches[0].to) == [f"[fd00:10::{n}]:8080" for n in (1, 2, 3)]
    assert answer.played.stretches[2].clients_forced > 0


def test_the_documents_name_kernel_tests_that_are_there() -> None:
    text = " ".join((ROOT / "docs" / "sticky.md").read_text().split())
    claims = re.findall(r"Kernel: (.*?)(?: #|$)", text)
    assert len(claims) >= 9
    scenarios = {one.name for one in SCENARIOS}
    tests = (ROOT / "tests/kernel/test_sticky.py").read_text()
    for claim in claims:
        named = re.findall(r'"([^"]+)"', claim)
        functions = re.findall(r"`(test_\w+)`", claim)
        assert named or functions, claim
        assert set(named) <= scenarios, claim
        assert all(f"def {name}(" in tests for name in functions), claim
