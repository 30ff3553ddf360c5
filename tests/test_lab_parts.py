"""The lab's parts that need no kernel: what is read, what is worked out, what is printed."""

from __future__ import annotations

import builtins
import gzip
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from compiler.cli import EXIT_BAD_INPUT, EXIT_FAILED
from compiler.family import IPV4, IPV6, Family
from compiler.lab import affinity, netns, request, rules, serving, tracking
from compiler.lab.errors import LabError, LabUsageError, NamespaceGoneError
from compiler.lab.layout import Layout, Member, Role, Target
from compiler.lab.server import reply
from tests.kernel.manifests import NODE_IP, NODE_IP6, OPTIONS, service, write
from tests.run import Runner

KERNEL_LINES = """\
-A KUBE-SEP-AAAAAAAAAAAAAAAA -s 10.10.2.1/32 -m comment --comment "default/web:main" -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m comment --comment "default/web:main" -m recent --set --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.10.2.1:8080
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m recent --set --name KUBE-SEP-BBBBBBBBBBBBBBBB --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination [fd00::1]:80
-A KUBE-SVC-CCCCCCCCCCCCCCCC -m comment --comment "default/web:main -> 10.10.2.1:8080" -m recent --rcheck --seconds 30 --reap --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-CCCCCCCCCCCCCCCC -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-BBBBBBBBBBBBBBBB --mask 255.255.255.255 --rsource -j KUBE-SEP-BBBBBBBBBBBBBBBB
""".splitlines()  # noqa: E501 - as the kernel prints them


def test_affinity_rules_are_read_as_the_kernel_prints_them() -> None:
    assert [(one.recent, one.seconds) for one in rules.affinity_checks(KERNEL_LINES)] == [
        ("KUBE-SEP-AAAAAAAAAAAAAAAA", 30),
        ("KUBE-SEP-BBBBBBBBBBBBBBBB", 10800),
    ]
    first, second = rules.endpoint_chains(KERNEL_LINES).values()
    assert first == rules.EndpointChain(
        "KUBE-SEP-AAAAAAAAAAAAAAAA", "10.10.2.1:8080", "default/web:main"
    )
    assert second == rules.EndpointChain("KUBE-SEP-BBBBBBBBBBBBBBBB", "[fd00::1]:80", "")


def test_the_lines_of_a_service_are_its_chains_and_what_names_it() -> None:
    other = '-A KUBE-SERVICES -m comment --comment "default/web:mainly cluster IP" -j KUBE-SVC-D'
    named = '-A KUBE-SERVICES -m comment --comment "default/web:main has no endpoints" -j REJECT'
    lines = [*KERNEL_LINES, other, named]
    names = {"default/web:main"}
    assert rules.lines_of_service_ports(lines, chains=(), names=names) == [
        line for line in lines if "default/web:main" in line and line != other
    ]
    chains = {"KUBE-SEP-BBBBBBBBBBBBBBBB"}
    assert rules.lines_of_service_ports(lines, chains=chains, names=()) == [
        line for line in lines if "BBBB" in line
    ]


def test_affinity_lists_are_read_in_both_families() -> None:
    text = (
        "src=10.10.0.6 ttl: 63 last_seen: 4295139537 oldest_pkt: 2 4295139500, 4295139537\n"
        "src=fd00:0010:0000:0000:0000:0000:0000:0006 ttl: 0 last_seen: 7 oldest_pkt: 1 7\n"
    )
    assert affinity.entries(text) == [("10.10.0.6", 4295139537), ("fd00:10::6", 7)]


@pytest.mark.parametrize("rate", [100, 200, 250, 300, 500, 1000])
@pytest.mark.parametrize("error", [-0.04, 0, 0.04])
def test_tick_rate_is_the_nearest_that_linux_has(rate: int, error: float) -> None:
    assert affinity.tick_rate(rate * 10 * (1 + error), 10) == rate


def test_the_nearest_tick_rate_is_nearest_in_proportion() -> None:
    """A clock is off by a share of its rate, so 274 is nearer to 300 than to 250."""
    assert affinity.tick_rate(274, 1) == 300


@pytest.mark.parametrize("rate", [100, 250, 1000])
def test_what_remains_of_a_pin_is_in_seconds_whatever_the_tick_rate(
    rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = (1 << 32) + 5000 * rate
    seen = {"KUBE-SEP-AAAAAAAAAAAAAAAA": now - 12 * rate, "KUBE-SEP-BBBBBBBBBBBBBBBB": now}
    monkeypatch.setattr(netns, "entered", lambda _: nullcontext())
    monkeypatch.setattr(
        affinity, "read_list", lambda name: f"src=10.10.0.6 ttl: 64 last_seen: {seen[name]} x"
    )
    monkeypatch.setattr(affinity, "read_clock", lambda: affinity.Clock(now, rate))
    assert affinity.pins("any", KERNEL_LINES) == [
        affinity.Pin("10.10.0.6", "10.10.2.1:8080", "KUBE-SEP-AAAAAAAAAAAAAAAA", 30 - 12),
        affinity.Pin("10.10.0.6", "[fd00::1]:80", "KUBE-SEP-BBBBBBBBBBBBBBBB", 10800),
    ]


@pytest.mark.parametrize("uptime", [10_000.0, 299.0])
def test_clock_is_right_long_after_boot_and_at_its_blind_moment(
    uptime: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five minutes after boot the counter passes 2^32, and time since then says nothing."""
    now = [uptime]
    monkeypatch.setattr(affinity, "TIMER_LIST", Path(__file__))
    monkeypatch.setattr(affinity, "read_jiffies", lambda: int((1 << 32) + 250 * (now[0] - 300)))
    monkeypatch.setattr("time.clock_gettime", lambda _: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    clock = affinity.read_clock()
    assert clock == affinity.Clock(int((1 << 32) + 250 * (now[0] - 300)), 250)


def test_clock_without_the_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers hide /proc/timer_list; the kernel's configuration is then as good."""
    config = tmp_path / "config.gz"
    config.write_bytes(
        gzip.compress(b"# CONFIG_HZ_100 is not set\nCONFIG_HZ_300=y\nCONFIG_HZ=300\n")
    )
    monkeypatch.setattr(affinity, "TIMER_LIST", tmp_path / "none")
    monkeypatch.setattr(affinity, "PROC_CONFIG", config)
    monkeypatch.setattr("time.clock_gettime", lambda _: 1300.0)
    assert affinity.read_clock() == affinity.Clock((1 << 32) + 300_000, 300)
    monkeypatch.setattr(affinity, "PROC_CONFIG", tmp_path / "none")
    (tmp_path / f"config-{os.uname().release}").write_text("CONFIG_HZ=100\n")
    monkeypatch.setattr(affinity, "BOOT", tmp_path)
    assert affinity.read_clock() == affinity.Clock((1 << 32) + 100_000, 100)
    monkeypatch.setattr(affinity, "BOOT", tmp_path / "none")
    with pytest.raises(LabError, match="the kernel's clock can't be read"):
        affinity.read_clock()


OLD = """\
# remark
*filter
:KUBE-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
-I INPUT -j KUBE-FIREWALL
-I OUTPUT -j KUBE-SERVICES
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-OLD - [0:0]
-A KUBE-SERVICES -j KUBE-SVC-OLD
COMMIT
"""
NEW = """\
*filter
:KUBE-SERVICES - [0:0]
-I FORWARD -j KUBE-SERVICES
-I OUTPUT -j KUBE-SERVICES
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-NEW - [0:0]
-A KUBE-SERVICES -j KUBE-SVC-NEW
COMMIT
"""


def test_reload_text_writes_what_is_new_and_removes_what_is_gone() -> None:
    assert rules.reload_text(OLD, NEW) == (
        "*filter\n"
        ":KUBE-SERVICES - [0:0]\n"
        ":KUBE-FIREWALL - [0:0]\n"
        "-D INPUT -j KUBE-FIREWALL\n"
        "-I FORWARD -j KUBE-SERVICES\n"
        "-X KUBE-FIREWALL\n"
        "COMMIT\n"
        "*nat\n"
        ":KUBE-SERVICES - [0:0]\n"
        ":KUBE-SVC-NEW - [0:0]\n"
        ":KUBE-SVC-OLD - [0:0]\n"
        "-A KUBE-SERVICES -j KUBE-SVC-NEW\n"
        "-X KUBE-SVC-OLD\n"
        "COMMIT\n"
    )
    assert rules.tables(OLD)["nat"][-1] == "-A KUBE-SERVICES -j KUBE-SVC-OLD"


TARGET = Target(
    name="default/web:main",
    protocol="TCP",
    family=IPV4,
    port=80,
    cluster_ip="10.200.1.10",
    external_ips=("192.0.2.20",),
    node_port=30080,
)
UDP = Target(name="other/dns", protocol="UDP", family=IPV4, port=53, cluster_ip="10.200.1.11")
NODE = Member(name="node", role=Role.NODE, addresses=(NODE_IP6, NODE_IP))
OUTSIDE = Member(name="outside-1", role=Role.OUTSIDE, addresses=("198.18.0.2",))


def lab_of(*targets: Target, **without_ports: str) -> Layout:
    return Layout(
        members=(NODE,),
        listeners=(),
        targets=targets,
        families=(IPV4,),
        without_ports={f"default/{name}": reason for name, reason in without_ports.items()},
    )


def renamed(target: Target, name: str) -> Target:
    return structs.replace(target, name=name)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("web", TARGET),
        ("web:80", TARGET),
        ("web:main", TARGET),
        ("default/web", TARGET),
        ("other/dns", UDP),
        ("other/dns:53", UDP),
        ("dns", UDP),
        ("dns:53", UDP),
    ],
)
def test_a_service_port_is_found_by_name_or_number(wanted: str, found: Target) -> None:
    assert request.pick_target(lab_of(TARGET, UDP), wanted) == found


def test_a_bare_name_is_the_default_namespaces_first() -> None:
    both = lab_of(renamed(TARGET, "a/web:main"), TARGET)
    assert request.pick_target(both, "web") == TARGET
    neither = lab_of(renamed(TARGET, "b/web:main"), renamed(TARGET, "a/web:main"))
    with pytest.raises(LabUsageError) as raised:
        request.pick_target(neither, "web")
    assert str(raised.value) == 'several namespaces have a Service "web": a/web, b/web'


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("web:81", 'Service default/web has no port "81"; its ports are: main (80/TCP, ipv4)'),
        ("dns:x", 'Service other/dns has no port "x"; its ports are: (53/UDP, ipv4)'),
        (
            "other/web",
            (
                'no Service "other/web" in the lab; '
                "its Services are: default/alias, default/web, other/dns"
            ),
        ),
        ("", 'no Service "" in the lab; its Services are: default/alias, default/web, other/dns'),
        ("alias", "kube-proxy writes no rules for Service default/alias: it is an alias"),
        ("alias:80", "kube-proxy writes no rules for Service default/alias: it is an alias"),
    ],
)
def test_a_service_port_that_is_missing_is_an_error_with_what_there_is(
    wanted: str, message: str
) -> None:
    with pytest.raises(LabUsageError) as raised:
        request.pick_target(lab_of(TARGET, UDP, alias="it is an alias"), wanted)
    assert str(raised.value) == message


def test_family_and_protocol_choose_among_ports_of_one_name() -> None:
    other = structs.replace(TARGET, protocol="UDP")
    six = structs.replace(TARGET, family=IPV6, cluster_ip="fd00:200::10")
    lab = lab_of(TARGET, other, six)
    assert request.pick_target(lab, "web", protocol="UDP") == other
    assert request.pick_target(lab, "web", family="ipv6") == six
    with pytest.raises(LabUsageError, match=r"has no port SCTP ipv6; its ports are: main \(80/T"):
        request.pick_target(lab, "web", family="ipv6", protocol="SCTP")


@pytest.mark.parametrize(
    ("via", "where"),
    [
        ("cluster-ip", ("10.200.1.10", 80)),
        ("external-ip", ("192.0.2.20", 80)),
        ("node-port", (NODE_IP, 30080)),
        ("localhost", ("127.0.0.1", 30080)),
    ],
)
def test_every_entry_point_has_its_address(via: str, where: tuple[str, int]) -> None:
    assert request.address_of(TARGET, via, NODE) == where


def test_an_entry_point_that_is_missing_is_an_error() -> None:
    with pytest.raises(LabUsageError, match=r"^default/web:main has no load-balancer of ipv4$"):
        request.address_of(TARGET, "load-balancer", NODE)
    with pytest.raises(LabUsageError) as raised:
        request.default_entry_point(UDP, OUTSIDE)
    assert str(raised.value) == (
        "other/dns has no load-balancer IP, external IP or node port for outside-1; "
        "try `--via cluster-ip`"
    )


def test_outside_clients_prefer_the_load_balancer_then_the_external_ip() -> None:
    everything = structs.replace(TARGET, load_balancer_ips=("192.0.2.30",))
    assert request.default_entry_point(everything, NODE) == "cluster-ip"
    assert request.default_entry_point(everything, OUTSIDE) == "load-balancer"
    assert request.default_entry_point(TARGET, OUTSIDE) == "external-ip"
    only_node_port = structs.replace(TARGET, external_ips=())
    assert request.default_entry_point(only_node_port, OUTSIDE) == "node-port"


def test_tally_is_most_first_then_by_name() -> None:
    assert request.tally(["b", "a", "c", "c"]) == [(2, "c"), (1, "a"), (1, "b")]


def test_conntrack_entries_of_a_service() -> None:
    lines = [
        "tcp      6 119 TIME_WAIT src=10.10.0.6 dst=10.200.1.10 sport=1 dport=80 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 [ASSURED] mark=0 use=1",  # noqa: E501
        "tcp      6 119 TIME_WAIT src=10.10.0.6 dst=10.200.1.10 sport=1 dport=81 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 [ASSURED] mark=0 use=1",  # noqa: E501
        "udp      17 29 src=10.10.0.6 dst=10.200.1.10 sport=1 dport=80 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 mark=0 use=1",  # noqa: E501
        f"tcp      6 9 CLOSE src=198.18.0.2 dst={NODE_IP} sport=1 dport=30080 src=10.10.2.1 dst={NODE_IP} sport=8080 dport=1 mark=0 use=1",  # noqa: E501
        "icmp     1 9 src=10.10.0.6 dst=10.200.1.10 type=8 code=0 id=1 src=10.10.2.1 dst=10.10.0.6 type=0 code=0 id=1 mark=0 use=1",  # noqa: E501
    ]
    local = lines[3].replace(f"dst={NODE_IP} sport=1", "dst=127.0.0.1 sport=1")
    assert tracking.of_targets([*lines, local], [TARGET], NODE) == [lines[0], lines[3], local]


@pytest.mark.parametrize(("family", "address"), [(IPV4, NODE_IP), (IPV6, NODE_IP6)])
def test_node_ports_are_on_the_nodes_addresses_and_on_localhost(
    family: Family, address: str
) -> None:
    target = structs.replace(TARGET, family=family, cluster_ip=address, external_ips=())
    assert tracking.entry_points(target, NODE) == {
        ("tcp", address, 80),
        ("tcp", address, 30080),
        ("tcp", family.loopback, 30080),
    }


@pytest.mark.parametrize(
    ("asked", "first_line", "has_body"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", True),
        (b"HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", False),
        (b"hello\n", "Hostname: webpod1", True),
        (b"", "Hostname: webpod1", True),
    ],
)
def test_servers_speak_http_and_plain(asked: bytes, first_line: str, has_body: bool) -> None:
    answered = reply(asked, "webpod1", "10.10.0.6").decode()
    assert answered.splitlines()[0] == first_line
    assert answered.endswith("Hostname: webpod1\nClient: 10.10.0.6\n") == has_body


def test_without_root_it_says_so(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for arguments in (("up", "x.yaml"), ("down",), ("status",), ("request", "web")):
        result = proxyrules("lab", *arguments)
        assert result.code == EXIT_FAILED, arguments
        assert result.out == ""
        assert result.err == "Error: the lab needs root to make network namespaces; try `sudo`\n"


def test_without_pyroute2_it_says_how_to_get_it(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pyroute2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(builtins, "__import__", without)
    result = proxyrules("lab", "up", "x.yaml")
    assert result.code == EXIT_FAILED
    assert result.err == (
        "Error: the lab needs pyroute2, which is not installed; "
        f"install it with `{sys.executable} -m pip install pyroute2`\n"
    )


def test_on_another_system_it_says_so(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "the lab needs Linux" in proxyrules("lab", "status").err


def test_bad_input_is_rejected_before_anything_is_made(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    path = tmp_path / "wrong.yaml"
    path.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: Web}\n")
    result = proxyrules("lab", "up", path)
    assert result.code == 2
    assert f"{path}:3:18: Service default/Web: metadata.name" in result.err
    outside = ("--outside", "nowhere", "--outside", "203.0.113.7", "--outside", "127.0.0.1")
    result = proxyrules("lab", "up", path, *outside)
    assert (result.code, result.out) == (EXIT_BAD_INPUT, "")
    assert result.err == (
        '--outside: "nowhere" is not an IP address; '
        "use an address of its own, such as 203.0.113.7\n"
        '--outside: "127.0.0.1" is a loopback address; '
        "use an address of its own, such as 203.0.113.7\n"
    )
    web = write(tmp_path, service("web", ["10.200.1.10"]))
    result = proxyrules("lab", "up", web, *OPTIONS, "--outside", "10.200.1.10")
    assert (result.code, result.out) == (EXIT_BAD_INPUT, "")
    assert result.err == (
        '--outside: "10.200.1.10" is the cluster IP of default/web:main; '
        "use an address of its own, such as 203.0.113.7\n"
    )


def test_help_lists_the_commands_in_the_order_of_use(proxyrules: Runner) -> None:
    out = proxyrules("lab", "--help").out
    commands = out.partition("Commands:\n")[2].partition("\n\n")[0]
    listed = [line.split()[0] for line in commands.splitlines()]
    assert listed == [
        "up", "request", "apply", "rules", "affinity", "conntrack", "exec", "status", "down",
    ]  # fmt: skip
    for command in listed:
        shown = proxyrules("lab", command, "--help")
        assert shown.code == 0
        assert shown.out.startswith(f"Usage: proxyrules lab {command} ")


def test_a_name_without_a_namespace_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` unmounts a namespace before it removes its name."""
    monkeypatch.setattr(netns, "RUN_NETNS", tmp_path)
    (tmp_path / "unmounted").touch()
    for name in ("unmounted", "missing"):
        with pytest.raises(NamespaceGoneError) as raised, netns.entered(name):
            pass
        assert str(raised.value) == f"there is no network namespace {name}"


def test_a_process_that_is_gone_is_not_alive() -> None:
    assert serving.alive(1)
    assert not serving.alive(2**22 + 1)
    assert sys.platform == "linux"
