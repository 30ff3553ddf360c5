"""`lab apply` loads the difference, and leaves alone what has not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compiler.cli.exit_codes import ExitCode
from compiler.lab import netns
from compiler.lab.loading import load
from compiler.lab.run_directory import netns_prefix
from compiler.netfilter.backend import Backend
from tests.cases import FIXTURES
from tests.kernel.box import BACKENDS, Box
from tests.kernel.manifests import OPTIONS, endpoint, endpoint_slice, service, write
from tests.kernel.namespace import PROGRAMS

pytestmark = pytest.mark.kernel(*PROGRAMS[Backend.NFT])

STUDY = FIXTURES / "study-clientip"
CLUSTER_IP = "10.200.1.10"
NODE_PORT = 30080


def test_members_come_and_go_with_apply(box: Box, tmp_path: Path) -> None:
    web = service("web", ["10.200.1.10"])

    def manifests(*addresses: str) -> Path:
        pods = [endpoint(f"web-{one.rpartition('.')[2]}", one) for one in addresses]
        return write(tmp_path, web, endpoint_slice("web", pods))

    box("up", manifests("10.10.2.1", "10.10.2.2"), *OPTIONS)
    box("apply", manifests("10.10.2.2", "10.10.2.3"))
    assert box.netns("web-1") not in netns.names(netns_prefix(box.name))
    assert set(box.tally("web", count=60)) == {"web-2", "web-3"}
    # The address of one that went, for another.
    box("apply", write(tmp_path, web, endpoint_slice("web", [endpoint("new", "10.10.2.2")])))
    assert box.tally("web", count=10) == {"new": 10}
    links = box("exec", "node", "--", "ip", "-o", "link")
    assert "web-" not in links


def test_apply_that_the_kernel_rejects_changes_nothing(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests, config = STUDY / "input.yaml", STUDY / "kube-proxy.yaml"
    box("up", manifests, "--config", config, "--node", "myk8s-control-plane")
    before = box("exec", "node", "--", "iptables-nft", "-t", "nat", "-S")
    state = box.state
    with monkeypatch.context() as patched:
        patched.setattr(
            "compiler.cli.lab.apply._difference", lambda *_: "*nat\n-A NOWHERE\nCOMMIT\n"
        )
        result = box.run("apply", FIXTURES / "study-none" / "input.yaml")
    assert result.code == ExitCode.FAILED
    assert "rejected the rules" in result.err
    assert box("exec", "node", "--", "iptables-nft", "-t", "nat", "-S") == before
    assert box.state == state


@pytest.mark.parametrize("backend", BACKENDS)
def test_affinity_survives_a_change_elsewhere(box: Box, backend: str, tmp_path: Path) -> None:
    sticky = service("sticky", [CLUSTER_IP], sessionAffinity="ClientIP")
    pods = [endpoint(f"sticky-{i}", f"10.10.2.{i}") for i in range(1, 6)]
    other = service("other", ["10.200.1.11"])
    first = endpoint_slice("other", [endpoint("other-1", "10.10.3.1")])
    objects = (sticky, endpoint_slice("sticky", pods), other, first)
    options = ("--backend", backend, "--clients", "12")
    box("up", write(tmp_path, *objects), *OPTIONS, *options)
    clients = [f"client-{number}" for number in range(1, 13)]

    def who_answers() -> dict[str, str]:
        return {client: box.answer("sticky", "--from", client) for client in clients}

    before = who_answers()
    more = [
        endpoint_slice("other", [endpoint("other-2", "10.10.3.2")]),
        service("third", ["10.200.1.12"]),
    ]
    box("apply", write(tmp_path, sticky, endpoint_slice("sticky", pods), other, *more))
    assert box.answer("other") == "other-2"
    assert box.answer("third") == "refused"
    # By chance all twelve would stay once in 5^12 = 244 million runs.
    assert who_answers() == before
    # Then one of its own endpoints goes: its clients move, the others stay.
    leaver = before["client-1"]
    left = [one for one in pods if one["targetRef"]["name"] != leaver]
    box("apply", write(tmp_path, sticky, endpoint_slice("sticky", left), other, *more))
    after = who_answers()
    assert leaver not in after.values()
    stayed = {client: pod for client, pod in before.items() if pod != leaver}
    assert {client: after[client] for client in stayed} == stayed


@pytest.mark.parametrize("backend", BACKENDS)
def test_apply_loads_the_difference_alone(
    box: Box, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters of a chain that did not change go on; what the kernel holds is the new rules."""
    loaded: list[str] = []

    def spy(*arguments: Any, **named: Any) -> None:
        loaded.append(arguments[3])
        load(*arguments, **named)

    monkeypatch.setattr("compiler.lab.lifecycle.load", spy)
    steady = [
        service("steady", [CLUSTER_IP]),
        endpoint_slice("steady", [endpoint("steady-1", "10.10.2.1")]),
    ]
    other = service("other", ["10.200.1.11"], node_port=NODE_PORT)
    box("up", write(tmp_path, *steady, other), *OPTIONS, "--backend", backend)
    box("request", "steady")
    chains = box.state.layout.targets
    (mine,) = [one.chains for one in chains if one.service == "default/steady"]
    pods = endpoint_slice("other", [endpoint("other-1", "10.10.3.1")])
    changed = write(tmp_path, *steady, other, pods)
    box("apply", changed)
    assert box.answer("other", "--from", "outside-1") == "other-1"
    _, difference = loaded
    written = {line.split()[1] for line in difference.splitlines() if line.startswith("-A")}
    assert written.isdisjoint(mine)
    assert not any(f":{chain} " in difference for chain in mine)
    assert "KUBE-SERVICES" in written
    # Where the jumps change too (no KUBE-FIREWALL without node ports on localhost), all is written.
    box("apply", changed, "--iptables-localhost-nodeports", "false")
    rules = box("exec", "node", "--", f"iptables-{backend}", "-S")
    assert "KUBE-FIREWALL" not in rules
    # The kernel holds what a lab has that was made so from the beginning.
    save = ("exec", "node", "--", f"iptables-{backend}", "-t", "nat", "-S")
    held = sorted(box(*save).splitlines())
    box("down")
    options = ("--iptables-localhost-nodeports", "false", "--backend", backend)
    box("up", changed, *OPTIONS, *options)
    assert sorted(box(*save).splitlines()) == held
    # Nothing to do is fine.
    box("apply", changed)
    assert box.answer("steady") == "steady-1"
