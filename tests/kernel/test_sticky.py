"""The model of session affinity against the kernel, client by client.

All scenarios run at once, each with a Service, endpoints and clients of its own. What only chance
decides - the endpoint of a connection that is dealt out - is taken from the kernel; everything else
is the model's: who is pinned and where to, and what every list holds, to the jiffy.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from compiler.analysis.sticky.node import NodeLists, Prepared
from compiler.analysis.sticky.table import Row, named_lists, tables
from compiler.api import compile_rules, delta, read_rules
from compiler.family import IPV4, Family
from compiler.kube_rules.jumps import with_jumps
from compiler.lab.affinity import entries, list_limit, read_clock
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.ruleset import BUILTIN_CHAINS
from tests.cases import node_text
from tests.kernel.manifests import CLUSTER_CIDR, THIS_NODE, nodes
from tests.kernel.namespace import PROGRAMS, Namespace, fresh_namespace
from tests.kernel.node import BACKENDS
from tests.kernel.sticky_scenarios import SCENARIOS, TICK, TICKS, Change, Scenario, Send, numbered
from tests.kernel.wire import HOST, NODE, NODE6, Fate, Wire, fresh_wire, inside, program

pytestmark = [
    pytest.mark.kernel(
        "conntrack", "nfacct", *(name for some in PROGRAMS.values() for name in some)
    ),
]
ACCEPT = {(table, name): "ACCEPT" for table, names in BUILTIN_CHAINS.items() for name in names}
_CHECKED = re.compile(r"\[(\d+):\d+\] -A (?:KUBE-SVC|KUBE-SVL)-\S+ .*--rcheck .*--name (\S+)")


@dataclass
class Side:
    """The rules of one family, in the kernel and as the model has them."""

    wire: Wire
    backend: str
    family: Family
    scenarios: dict[int, Scenario]
    rate: int
    lists: NodeLists = field(default_factory=lambda: NodeLists(list_limit() or 100))
    text: str = ""
    prepared: dict[tuple[int, str], Prepared] = field(default_factory=dict)

    @property
    def program(self) -> str:
        return program(self.backend, self.family)

    def load(self) -> None:
        """Load the rules as kube-proxy does: what changed; at first and on restarts all."""
        objects = [*nodes(), *(o for one in self.scenarios.values() for o in one.objects())]
        whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        compiled = compile_rules(
            [Source("scenarios", whole.encode())],
            node=THIS_NODE,
            ip_family=self.family.value,
            flags={"cluster_cidr": CLUSTER_CIDR},
        )
        new = compiled.text
        if not self.text:
            self.wire.shell(f"{self.program}-restore", node_text(new))
        elif new == self.text:
            self.wire.shell(f"{self.program}-restore --noflush", new)
        else:
            old = read_rules(Source("old", self.text.encode()))
            change = delta(old, read_rules(compiled), like_kube_proxy=True).text
            self.wire.shell(f"{self.program}-restore --noflush", change)
        self.text = new
        ruleset = with_jumps(read_rules(compiled), policies=ACCEPT)
        self.lists.load(named_lists(ruleset), read_clock().jiffies)
        for number, one in self.scenarios.items():
            for via in one.vias:
                packet = _packet(one, 1, via, 1024)
                traffic = replace(packet.traffic(), source_ports=((1024, 65535),), lists=None)
                (table,) = tables(ruleset, traffic, HOST)
                self.prepared[number, via] = Prepared(table[1], self.rate)

    def counted(self) -> Counter[str]:
        """Return how many packets each list's checks have matched."""
        saved = self.wire.shell(f"{self.program}-save -c -t nat")
        found: Counter[str] = Counter()
        for packets, name in _CHECKED.findall(saved):
            found[name] += int(packets)
        return found

    def held(self) -> dict[str, dict[int, int]]:
        """Return what the kernel's lists hold: stamps by address."""

        def look() -> dict[str, str]:
            folder = Path("/proc/thread-self/net/xt_recent")
            return {path.name: path.read_text() for path in folder.iterdir()}

        return {
            name: {_number(address): seen for address, seen in entries(text)}
            for name, text in inside(self.wire.node, look).items()
            if name in self.lists.lists
        }


def _number(address: str) -> int:
    return int(ipaddress.ip_address(address))


def _packet(one: Scenario, client: int, via: str, port: int) -> Packet:
    node = NODE[2] if one.family == IPV4 else NODE6[0]
    addresses = {"cluster": one.address, "twin": one.twin_address, "node": node}
    return Packet(
        source=one.client(client),
        destination=addresses[via],
        protocol=one.protocol.lower(),
        source_port=port,
        destination_port=one.port if via == "node" else 80,
        interface="eth0",
    )


@dataclass(frozen=True)
class Sent:
    """A connection: whose, how, and what became of it."""

    number: int
    via: str
    packet: Packet
    fate: Fate

    @property
    def address(self) -> int:
        return _number(self.packet.source)

    @property
    def destination(self) -> str:
        """The endpoint that it went to, as the rules print it."""
        if self.fate.kind != "forward":
            return ""
        host = self.fate.destination
        return f"[{host}]:{8080}" if ":" in host else f"{host}:{self.fate.destination_port}"


def _batches(sends: Sequence[tuple[Scenario, Send]]) -> Iterator[list[tuple[Scenario, Send]]]:
    """Give what can be sent at once: one connection per client, so that each has its stamp."""
    waiting = list(sends)
    while waiting:
        now: dict[int, tuple[Scenario, Send]] = {}
        later = []
        for one in waiting:
            if one[0].number in now:
                later.append(one)
            else:
                now[one[0].number] = one
        yield list(now.values())
        waiting = later


def _send(wire: Wire, sends: Sequence[tuple[Scenario, Send]]) -> list[Sent]:
    made = [
        (one.number, send.via, _packet(one, client, send.via, wire.next_port()))
        for one, send in sends
        for client in send.clients
    ]
    fates = wire.send([packet for _, _, packet in made])
    return [Sent(*some, fate) for some, fate in zip(made, fates, strict=True)]


def _judge(side: Side, sent: Sequence[Sent], held: Mapping[str, Mapping[int, int]]) -> Counter[str]:
    """Let the model follow what was sent; it must agree. Returns how many it pinned, by list."""
    pinned: Counter[str] = Counter()
    now = 0
    for one in sent:
        prepared = side.prepared[one.number, one.via]
        ways = {way.destination: way for row in prepared.table.rows for way in row.ways}
        assert one.destination in ways, (side.scenarios[one.number].name, one)
        taken = ways[one.destination]
        # its own stamp says when it came; who was pushed out since came with those before it
        now = max(
            [now, *(held[name][one.address] for name in taken.sets if one.address in held[name])]
        )
        row: Row | None = side.lists.pinned(one.address, prepared, now)
        if row is not None:
            assert row.ways[0] == taken, (side.scenarios[one.number].name, one, row)
            (name,) = row.ways[0].sets
            pinned[name] += 1
        else:
            assert taken in prepared.otherwise.ways
        side.lists.follow(one.address, taken, now)
    return pinned


def _round(sides: Mapping[Family, Side], wire: Wire, sends: list[tuple[Scenario, Send]]) -> None:
    before = {family: side.counted() for family, side in sides.items()}
    sent = _send(wire, sends)
    for family, side in sides.items():
        held = side.held()
        mine = [one for one in sent if one.number in side.scenarios]
        for number in side.scenarios:
            before[family] += _judge(side, [one for one in mine if one.number == number], held)
        assert +side.counted() == +before[family]
        modelled = {name: dict(recent.entries) for name, recent in side.lists.lists.items()}
        assert modelled == held


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_and_the_kernel_agree_client_by_client(backend: str) -> None:
    assert 2 * len(SCENARIOS) >= 30
    rate = read_clock().rate
    current = {one.number: one for one in numbered()}
    with fresh_wire() as wire:
        sides = {
            family: Side(
                wire,
                backend,
                family,
                {number: one for number, one in current.items() if one.family == family},
                rate,
            )
            for family in Family
        }
        for side in sides.values():
            side.load()
        begin = time.monotonic()
        for tick in range(TICKS):
            time.sleep(max(0.0, begin + tick * TICK - time.monotonic()))
            sends: list[tuple[Scenario, Send]] = []
            for side in sides.values():
                changed = False
                for number, one in side.scenarios.items():
                    for step in one.steps.get(tick, ()):
                        if isinstance(step, Change):
                            side.scenarios[number] = one.after(step)
                            changed = True
                        else:
                            sends.append((side.scenarios[number], step))
                if changed:
                    side.load()
            for batch in _batches(sends):
                _round(sides, wire, batch)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pin_expires_to_the_jiffy(backend: str) -> None:
    """Second connections from 20 ms before to 20 ms after a timeout of 1 s, a few in each jiffy."""
    with fresh_wire() as wire:
        rate = read_clock().rate
        # each try has a Service of its own; a busy machine may send too late to meet the moment
        for number in range(1, 7):
            one = Scenario("expiry", "a b c d e f g h", 1, {}, number=number)
            side = Side(wire, backend, IPV4, {number: one}, rate)
            side.load()
            ages, pinned = _ages_of_second_connections(side, one)
            assert pinned == sum(age <= rate for age in ages)
            if {rate - 1, rate, rate + 1} <= set(ages):
                return
    pytest.fail("no second connection came at the moment that was asked for")


def _ages_of_second_connections(side: Side, one: Scenario) -> tuple[list[int], int]:
    """Connect 250 clients twice; return the jiffies between, and how many the kernel sent back."""
    begin = time.monotonic()
    stamps: list[Counter[int]] = []
    before: Counter[str] = Counter()
    for first, step in ((0.0, 0.0004), (0.98, 0.00056)):
        before = side.counted()
        for client in range(1, 251):
            while time.monotonic() < begin + first + client * step:
                pass
            packet = _packet(one, client, "cluster", side.wire.next_port())
            side.wire._send_one(packet, client)
        time.sleep(0.05)
        newest = Counter[int]()
        for seen in side.held().values():
            for address, at in seen.items():
                newest[address] = max(newest[address], at)
        stamps.append(newest)
    old, new = stamps
    assert len(new) == 250
    pinned = (side.counted() - before).total()
    return [new[address] - seen for address, seen in old.items()], pinned


# What is done to the rules, and whether a list outlives it; by the text for iptables-restore.
_CHECKS = "-A SVC -m recent --rcheck --seconds {} --reap --name L --rsource -j SEP"
_SETS = (
    "-A SEP -p tcp -m recent --set --name L --rsource -m tcp -j DNAT --to-destination 1.2.3.4:80"
)
_FLUSHES = (":SVC - [0:0]", ":SEP - [0:0]")
_WHOLE = (*_FLUSHES, _CHECKS.format(100), _SETS)
CHANGES: dict[str, tuple[bool, list[tuple[str, ...]]]] = {
    "the same rules again, as when kube-proxy restarts": (True, [_WHOLE]),
    "another timeout": (True, [(*_FLUSHES, _CHECKS.format(30), _SETS)]),
    "the check is removed, the endpoint's chain stays": (True, [(":SVC - [0:0]", "-A SVC -j SEP")]),
    "the endpoint's chain is deleted": (False, [(*_FLUSHES, "-X SEP"), _WHOLE]),
    "affinity is turned off and on": (False, [(*_FLUSHES, "-A SVC -j SEP"), _WHOLE]),
    "all chains are flushed first, in a restore of its own": (False, [_FLUSHES, _WHOLE]),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_list_lives_as_long_as_a_rule_names_it(backend: str, namespace: Namespace) -> None:
    restore = [f"{program(backend, IPV4)}-restore", "--noflush"]

    def load(lines: Sequence[str]) -> None:
        namespace.run(restore, "\n".join(["*nat", *lines, "COMMIT", ""]))

    for change, (stays, texts) in CHANGES.items():
        load(_WHOLE)
        namespace.run(["sh", "-c", "echo +192.0.2.1 > /proc/net/xt_recent/L"])
        for text in texts:
            load(text)
        held = namespace.run(["cat", "/proc/net/xt_recent/L"]).stdout
        assert ("192.0.2.1" in held) is stays, change
        load(_FLUSHES)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_node_has_lists_of_its_own(backend: str, namespace: Namespace) -> None:
    """A network namespace is a node to the kernel: the same rules keep lists of their own there."""
    text = "\n".join(["*nat", *_WHOLE, "COMMIT", ""])
    with fresh_namespace() as other:
        for node in (namespace, other):
            node.run([f"{program(backend, IPV4)}-restore", "--noflush"], text)
        namespace.run(["sh", "-c", "echo +192.0.2.1 > /proc/net/xt_recent/L"])
        assert "192.0.2.1" in namespace.run(["cat", "/proc/net/xt_recent/L"]).stdout
        assert other.run(["cat", "/proc/net/xt_recent/L"]).stdout == ""
