"""What is played against the kernel: Services of their own, clients, and changes at given ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compiler.family import IPV4, Family
from tests.kernel.manifests import (
    OTHER_NODE,
    THIS_NODE,
    Object,
    endpoint,
    endpoint_slice,
    service,
)

# Seconds; no multiple of it up to ten lies near a whole number of seconds but the twentieth.
TICK = 0.45


@dataclass(frozen=True)
class Send:
    """New connections of clients, by number, in this order."""

    clients: Sequence[int]
    via: str = "cluster"


@dataclass(frozen=True)
class Change:
    """New values of the Service, or new endpoints; a restart changes nothing."""

    endpoints: str | None = None
    timeout: int | None = None
    affinity: bool | None = None
    twin: str | None = None


@dataclass(frozen=True)
class Scenario:
    """A Service with its clients; `steps` are by tick.

    Endpoints are letters: `a` is ready and on another node, `a@` on this one, `a!` is not ready,
    `a~` is terminating and still serves. With a `twin` there is another Service for the same
    endpoints, which stands `before` or `after` this one in the manifests.
    """

    name: str
    endpoints: str
    timeout: int
    steps: dict[int, tuple[Send | Change, ...]]
    affinity: bool = True
    protocol: str = "TCP"
    spec: dict[str, Any] = field(default_factory=dict)
    node_port: bool = False
    twin: str = ""
    family: Family = IPV4
    number: int = 0

    @property
    def address(self) -> str:
        """The cluster IP."""
        return f"10.200.{self.number}.1" if self.family == IPV4 else f"fd00:200::{self.number}:1"

    @property
    def twin_address(self) -> str:
        """The cluster IP of the other Service."""
        return f"10.201.{self.number}.1" if self.family == IPV4 else f"fd00:201::{self.number}:1"

    @property
    def vias(self) -> tuple[str, ...]:
        """How clients may call it."""
        return ("cluster", *(["node"] if self.node_port else []), *(["twin"] if self.twin else []))

    @property
    def port(self) -> int:
        """The node port."""
        return 30000 + self.number

    def client(self, number: int) -> str:
        """Return a client's address."""
        if self.family == IPV4:
            return f"172.20.{self.number}.{number}"
        return f"fd00:20::{self.number}:{number:x}"

    def after(self, change: Change) -> Scenario:
        """Return the scenario with its Service changed."""
        given = {name: value for name, value in vars(change).items() if value is not None}
        return replace(self, **given)

    def objects(self) -> list[Object]:
        """Return the Service and its slice."""
        name = f"s{self.number}"
        spec = dict(self.spec)
        if self.affinity:
            spec["sessionAffinity"] = "ClientIP"
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": self.timeout}}
        port = self.port if self.node_port else 0
        made = service(name, [self.address], protocol=self.protocol, node_port=port, **spec)
        slices = [self._endpoint(word) for word in self.endpoints.split()]
        mine = [made, endpoint_slice(name, slices, protocol=self.protocol)] if slices else [made]
        if not self.twin:
            return mine
        other = [
            service(f"{name}x", [self.twin_address], **spec),
            endpoint_slice(f"{name}x", slices),
        ]
        return [*other, *mine] if self.twin == "before" else [*mine, *other]

    def _endpoint(self, word: str) -> Object:
        host = ord(word[0]) - ord("a") + 1
        address = f"10.10.{self.number}.{host}"
        if self.family != IPV4:
            address = f"fd00:10::{self.number}:{host}"
        conditions = {}
        if "!" in word:
            conditions = {"ready": False, "serving": False}
        elif "~" in word:
            conditions = {"ready": False, "serving": True, "terminating": True}
        node = THIS_NODE if "@" in word else OTHER_NODE
        return endpoint(f"s{self.number}{word[0]}", address, node, **conditions)


FEW, MANY = range(1, 13), range(1, 151)
HALF = range(1, 7)
_LOCAL = {"externalTrafficPolicy": "Local"}

SCENARIOS = (
    Scenario(
        "a client that was silent for longer than the timeout is dealt out again",
        "a b c d",
        1,
        {0: (Send(FEW),), 1: (Send(FEW),), 4: (Send(FEW),), 7: (Send(FEW),)},
    ),
    Scenario(
        "every connection begins the timeout anew",
        "a b c d",
        1,
        {tick: (Send(FEW),) for tick in range(8)},
    ),
    Scenario("two seconds", "a b c", 2, {tick: (Send(FEW),) for tick in (0, 4, 8)}),
    Scenario("three seconds", "a b c", 3, {tick: (Send(FEW),) for tick in (0, 6, 8)}),
    Scenario(
        "150 clients on one endpoint push one another out",
        "a",
        3,
        {0: (Send(MANY),), 1: (Send(MANY),), 2: (Change("a b"), Send(MANY)), 4: (Send(MANY),)},
    ),
    Scenario(
        "who reconnects is not the one that is pushed out",
        "a",
        3,
        {
            0: (Send(range(1, 101)),),
            1: (Send(range(1, 11)),),
            2: (Send(range(101, 121)),),
            3: (Change("a b"), Send(MANY)),
        },
    ),
    Scenario(
        "an endpoint that is gone and back has an empty list",
        "a b c",
        3,
        {
            0: (Send(FEW),),
            1: (Change("a c"), Send(HALF)),
            2: (Change("a b c"), Send(FEW)),
            3: (Send(FEW),),
        },
    ),
    Scenario(
        "gone and back between two connections",
        "a b c",
        3,
        {0: (Send(FEW),), 1: (Change("a c"),), 2: (Change("a b c"), Send(FEW))},
    ),
    Scenario(
        "an endpoint that is not ready for a moment",
        "a b",
        3,
        {0: (Send(FEW),), 1: (Change("a b!"), Send(HALF)), 2: (Change("a b"), Send(FEW))},
    ),
    Scenario(
        "terminating endpoints serve where no other is there",
        "a b",
        3,
        {
            0: (Send(FEW),),
            1: (Change("a b~"), Send(FEW)),
            2: (Change("a~ b~"), Send(FEW)),
            3: (Change("a~ b~ c"), Send(FEW)),
        },
    ),
    Scenario(
        "each check reaps one entry, the oldest",
        "a",
        1,
        {
            0: (Send(range(1, 21)),),
            2: (Send(range(21, 25)),),
            3: (Send(range(21, 25)),),
            4: (Send(range(22, 40)),),
            7: (Send(range(10, 30)),),
        },
    ),
    Scenario(
        "the timeout is lowered while the list is full",
        "a",
        3,
        {
            0: (Send(MANY),),
            1: (Change(timeout=1),),
            3: (Change("a b"), Send(MANY)),
            4: (Send(MANY),),
        },
    ),
    Scenario(
        "the timeout is raised: pins that had expired hold again",
        "a b c",
        1,
        {
            # in the other order, so that what is reaped is not the client's own entry
            0: (Send(range(1, 41)),),
            3: (Send(range(40, 0, -1)),),
            4: (Change(timeout=30), Send(range(1, 41))),
            5: (Send(range(1, 41)),),
        },
    ),
    Scenario(
        "affinity is turned off and on",
        "a b c",
        3,
        {
            0: (Send(FEW),),
            1: (Change(affinity=False), Send(FEW)),
            2: (Change(affinity=True), Send(FEW)),
            3: (Send(FEW),),
        },
    ),
    Scenario(
        "kube-proxy restarts",
        "a b c d",
        3,
        {0: (Send(FEW),), 1: (Change(), Send(FEW)), 2: (Change(), Send(FEW))},
    ),
    Scenario(
        "a node port: the node keeps the client's own address",
        "a b c",
        2,
        {0: (Send(FEW, "node"),), 1: (Send(FEW, "node"),), 6: (Send(FEW, "node"),)},
        node_port=True,
    ),
    Scenario(
        "node port and cluster IP share their pins",
        "a b c",
        3,
        {0: (Send(FEW, "node"),), 1: (Send(FEW),), 2: (Send(FEW, "node"),)},
        node_port=True,
    ),
    Scenario(
        "a Local policy beside the cluster IP: a client may have two pins",
        "a b@ c d@",
        3,
        {
            0: (Send(FEW),),
            1: (Send(FEW, "node"),),
            2: (Send(FEW),),
            3: (Send(FEW, "node"), Send(FEW)),
        },
        spec=_LOCAL,
        node_port=True,
    ),
    Scenario(
        "no endpoint, then two",
        "",
        3,
        {0: (Send(HALF),), 1: (Change("a b"), Send(FEW)), 2: (Change(""), Send(HALF))},
    ),
    Scenario(
        "UDP",
        "a b c",
        1,
        {0: (Send(FEW),), 1: (Send(FEW),), 4: (Send(FEW),)},
        protocol="UDP",
    ),
    Scenario(
        "scaled up and down",
        "a b",
        3,
        {
            0: (Send(FEW),),
            1: (Change("a b c d e"), Send(FEW)),
            2: (Change("e"), Send(FEW)),
            3: (Change("a b c d e"), Send(FEW)),
        },
    ),
    Scenario(
        "an endpoint that sorts before the others is asked first",
        "b c",
        1,
        {
            0: (Send(range(1, 31)),),
            3: (Change("a b c"), Send(range(1, 31))),
            4: (Change(timeout=20), Send(range(1, 31))),
        },
    ),
    Scenario(
        "a load balancer that masquerades: one address, one endpoint",
        "a b c",
        3,
        {0: (Send([1] * 12, "node"),), 1: (Send([1] * 12, "node"),)},
        node_port=True,
    ),
    Scenario(
        "two Services of the same Pods, in any order: each has pins of its own",
        "a b c",
        3,
        {
            0: (Send(FEW), Send(FEW, "twin")),
            1: (Change(twin="before"), Send(FEW, "twin"), Send(FEW)),
            2: (Change("b c"), Send(FEW), Send(FEW, "twin")),
        },
        twin="after",
    ),
    Scenario(
        "without affinity every connection is dealt out",
        "a b c",
        1,
        {0: (Send(FEW),), 1: (Send(FEW),)},
        affinity=False,
    ),
)
TICKS = 1 + max(tick for scenario in SCENARIOS for tick in scenario.steps)


def numbered() -> list[Scenario]:
    """Return every scenario in both families, each with a Service of its own."""
    both = [replace(one, family=family) for family in Family for one in SCENARIOS]
    return [replace(one, number=number) for number, one in enumerate(both, 1)]
