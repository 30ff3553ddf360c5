"""What the lab's commands print and accept: on Nodes of real clusters, and when things go wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compiler.cli.exit_codes import ExitCode
from compiler.netfilter.backend import Backend
from tests.cases import FIXTURES, Case
from tests.kernel.box import Box
from tests.kernel.manifests import (
    NODE_IP,
    OPTIONS,
    OTHER_NODE,
    Object,
    endpoint,
    endpoint_slice,
    service,
    write,
)
from tests.kernel.namespace import PROGRAMS

pytestmark = pytest.mark.kernel(*PROGRAMS[Backend.NFT])

CLUSTER_IP = "10.200.1.10"


def like(name: str, **spec: object) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def in_namespace(namespace: str, *objects: Object) -> list[Object]:
    return [one | {"metadata": one["metadata"] | {"namespace": namespace}} for one in objects]


@pytest.mark.parametrize("printed_by", ["kind", "kubeadm", "eks", "gke"])
def test_nodes_as_real_clusters_print_them(box: Box, printed_by: str) -> None:
    """Among their addresses are names, and ExternalIPs that are not the node's own."""
    case = Case(FIXTURES / f"nodes-as-{printed_by}-prints-them")
    box("up", *case.arguments)
    answers = {
        box.answer("web", "--from", "client-1"),
        box.answer("web", "--from", "node"),
        box.answer("web", "--from", "outside-1", "--via", "node-port"),
    }
    assert answers == {"web-7d4b9c6f5-x2x9k"}
    (internal, *others) = box.state.layout.node.addresses
    text = case.manifest.read_text()
    assert f"- address: {internal}\n      type: InternalIP" in text
    assert others == []


def pods(count: int) -> list[Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"web-{number}", "labels": {"app": "web"}},
            "spec": {"nodeName": OTHER_NODE, "containers": [{"name": "web"}]},
        }
        for number in range(count)
    ]


def test_what_the_control_plane_adds_is_summed_up(box: Box, tmp_path: Path) -> None:
    web = like("web", selector={"app": "web"}, ports=[{"port": 80}])
    few, many = (write(tmp_path, web, *pods(n), name=f"{n}.json") for n in (1, 30))
    shown = box.run("up", few, *OPTIONS)
    assert shown.err.count("control plane: ") == 3
    shown = box.run("apply", many)
    assert shown.err == "control plane: 32 additions to the manifests; -v lists them\n"
    shown = box.run("apply", "-v", many)
    assert shown.err.count("control plane: ") == 32
    assert "control plane: Pod default/web-7 has the address 10.10." in shown.err
    shown = box.run("apply", "--quiet", many)
    assert (shown.code, shown.out, shown.err) == (0, "", "")


def test_a_bare_name_is_enough_where_one_namespace_has_it(box: Box, tmp_path: Path) -> None:
    def of(namespace: str, ip: str, pod: str) -> list[Object]:
        slices = endpoint_slice("web", [endpoint("web-1", pod)])
        slices["endpoints"][0]["targetRef"]["namespace"] = namespace
        return in_namespace(namespace, service("web", [ip]), slices)

    box("up", write(tmp_path, *of("shop", CLUSTER_IP, "10.10.2.1")), *OPTIONS)
    assert box.answer("web") == "web-1"
    assert "KUBE-SVC" in box("rules", "web")
    both = [*of("shop", CLUSTER_IP, "10.10.2.1"), *of("blog", "10.200.1.11", "10.10.2.2")]
    box("apply", write(tmp_path, *both))
    shown = box.run("request", "web")
    assert shown.code == ExitCode.BAD_INPUT
    assert shown.err == 'Error: several namespaces have a Service "web": blog/web, shop/web\n'
    # Two Pods of one name are two members, and the tally names them as `status` does.
    assert box.answer("shop/web") == "shop_web-1"
    assert box.answer("blog/web") == "blog_web-1"
    assert "shop_web-1" in box("status")


def test_endpoints_in_a_nodes_host_network_answer_as_that_node(box: Box, tmp_path: Path) -> None:
    web, slices = service("web", [CLUSTER_IP]), endpoint_slice("web", [endpoint("x", "172.18.0.3")])
    box("up", write(tmp_path, web, slices), *OPTIONS)
    assert box.answer("web") == "node-b"
    assert re.search(r"^node-b +another node +172.18.0.3 +8080$", box("status"), re.MULTILINE)
    own = endpoint_slice("web", [endpoint("kube-apiserver", NODE_IP)])
    box("apply", write(tmp_path, web, own))
    assert box.answer("web") == "node"


def test_a_service_without_ports_is_rejected_with_the_reason(box: Box, tmp_path: Path) -> None:
    headless = like("db", clusterIP="None", selector={"app": "db"}, ports=[{"port": 5432}])
    alias = like("far", type="ExternalName", externalName="db.example.com")
    box("up", write(tmp_path, service("web", [CLUSTER_IP]), headless, alias), *OPTIONS)
    for name, reason in {
        "db": "it is headless, so its clients connect to the Pods",
        "default/far": "its type is ExternalName, which is an alias in DNS",
    }.items():
        shown = box.run("request", name)
        assert (shown.code, shown.out) == (ExitCode.BAD_INPUT, "")
        service_name = f"default/{name.removeprefix('default/')}"
        assert shown.err == (
            f"Error: kube-proxy writes no rules for Service {service_name}: {reason}\n"
        )


def test_a_request_that_the_rules_stop_is_explained(box: Box, tmp_path: Path) -> None:
    far = endpoint_slice("far", [endpoint("far-1", "10.10.2.1")])
    box(
        "up",
        write(
            tmp_path,
            service("empty", [CLUSTER_IP]),
            service("far", ["10.200.1.11"], node_port=30080, externalTrafficPolicy="Local"),
            far,
        ),
        *OPTIONS,
    )
    refused = box.run("request", "empty")
    assert (refused.code, refused.out) == (0, "1  refused\n")
    assert refused.err == (
        "the rules reject or drop requests to default/empty:main: it has no endpoints\n"
    )
    dropped = box.run("request", "far", "--from", "outside-1", "--timeout", "0.3")
    assert (dropped.code, dropped.out) == (0, "1  timed out\n")
    assert dropped.err == (
        "the rules reject or drop requests to default/far:main: it has no local endpoints\n"
    )
    answered = box.run("request", "far")
    assert (answered.out, answered.err) == ("1  far-1\n", "")


def test_outside_clients_are_checked(box: Box, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        service("web", [CLUSTER_IP]),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
    )
    for addresses, problem in {
        ("203.0.113.7", "203.0.113.7"): '"203.0.113.7" is the address of outside-2 already',
        (NODE_IP,): f'"{NODE_IP}" is the node\'s address',
        ("2001:db8::1",): ('"2001:db8::1" is an IPv6 address, and the lab\'s Services are IPv4'),
    }.items():
        outside = [word for address in addresses for word in ("--outside", address)]
        shown = box.run("up", path, *OPTIONS, *outside)
        assert (shown.code, shown.out) == (ExitCode.BAD_INPUT, "")
        assert shown.err == (
            f"--outside: {problem}; use an address of its own, such as 203.0.113.7\n"
        )
    box("up", path, *OPTIONS, "--outside", "203.0.113.7", "--outside", "203.0.113.8")
    assert box.answer("web", "--from", "outside-3", "--via", "cluster-ip") == "web-1"
    # An address that later manifests use is named, too.
    moved = endpoint_slice("web", [endpoint("web-1", "203.0.113.8")])
    shown = box.run("apply", write(tmp_path, service("web", [CLUSTER_IP]), moved))
    assert shown.code == ExitCode.BAD_INPUT
    assert shown.err == (
        'Error: "203.0.113.8" can\'t be an outside client: '
        "it is the address of the endpoint default/web-1\n"
    )
    assert box.answer("web") == "web-1"


@pytest.mark.kernel("nfacct")
def test_options_of_up_are_kept_by_apply(box: Box, tmp_path: Path) -> None:
    web = service("web", [CLUSTER_IP], node_port=30080)
    path = write(tmp_path, web, endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]))
    more = ("--kube-version", "1.33", "--nodeport-addresses", "172.18.0.0/16", "--nfacct")
    box("up", path, *OPTIONS, *more, "--masquerade-all", "true")
    before = box.state
    box("apply", path)
    assert box.state == before
    box("apply", path, "--masquerade-all", "false")
    assert box.state.texts != before.texts
    assert box.state.made_with["options"]["flags"] == (
        before.made_with["options"]["flags"] | {"masquerade_all": False}
    )


def test_requests_end_with_their_tally_when_the_lab_goes(box: Box, tmp_path: Path) -> None:
    """`down` kills what runs inside the lab's namespaces; a request only opens sockets there."""
    path = write(
        tmp_path,
        service("web", [CLUSTER_IP]),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
    )
    box("up", path, *OPTIONS)
    command = [sys.executable, "-m", "compiler", "lab", "request", "web", "--name", box.name]
    with subprocess.Popen(
        [*command, "--count", "100000", "--timeout", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as requesting:
        deadline = time.monotonic() + 20
        while not connections(box) and time.monotonic() < deadline:
            time.sleep(0.05)
        box("down")
        out, err = requesting.communicate(timeout=20)
    assert requesting.returncode == ExitCode.FAILED
    assert err == f'Error: the lab "{box.name}" was removed while requests were made\n'
    assert any(line.endswith("  web-1") for line in out.splitlines())


def test_a_long_watch_ends_with_its_tally(box: Box, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        service("web", [CLUSTER_IP]),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
    )
    box("up", path, *OPTIONS)
    command = [sys.executable, "-m", "compiler", "lab", "request", "web", "--name", box.name]
    with subprocess.Popen(
        [*command, "--count", "1000", "--every", "0.2"], stdout=subprocess.PIPE, encoding="utf-8"
    ) as watching:
        assert watching.stdout
        first = watching.stdout.readline()
        os.kill(watching.pid, signal.SIGINT)
        rest = watching.stdout.read()
    assert first.endswith(" s  web-1\n")
    assert rest.splitlines()[-1].endswith("  web-1")
    assert watching.returncode != 0


def connections(box: Box) -> bool:
    """Whether any connection has reached the node's rules."""
    listed = box("exec", "node", "--", "iptables-nft", "-t", "nat", "-L", "-v", "-x", "-n")
    rules = [line.split() for line in listed.splitlines() if " DNAT " in line]
    return any(int(words[0]) > 10 for words in rules)
