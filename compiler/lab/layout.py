"""What a lab consists of, as values: its members, where they listen, the services that it serves.

A `Layout` is worked out from the manifests before anything is made, is written to the lab's run
directory, and is all that the other commands know of a lab apart from the kernel itself.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address

import msgspec

from compiler.family import IPV4, IPV6, Family

NODE = "node"


def family_of(address: str) -> Family:
    """Return the family of an address in text. Raises ValueError where it is none."""
    return IPV6 if ip_address(address).version == 6 else IPV4


class Role(StrEnum):
    """What a member of the lab stands for, which decides how it is wired to the node."""

    NODE = "node"
    """The node whose rules are tried."""
    LOCAL_POD = "local pod"
    """A pod on that node, behind the interface (or bridge) by which kube-proxy detects pods."""
    FAR_POD = "remote pod"
    """A pod on another node (or of unknown place), reached through the node's uplink."""
    OTHER_NODE = "another node"
    """Another node, for endpoints in its host network; reached like its pods."""
    OUTSIDE = "outside"
    """A client that is no part of the cluster."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One network namespace of the lab.

    `name` is how the command line calls it.
    """

    name: str
    role: Role
    addresses: tuple[str, ...]


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's socket address, served over TCP and UDP.

    Its answers give the member's name.
    """

    member: str
    address: str
    port: int


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A service port of one family, with all its entry points.

    `name` is kube-proxy's, `namespace/name:port`; `protocol` is in upper case; `node_port` is 0
    where there is none. `chains` are its own chains, the endpoints' included. `endpoints` are the
    serving ones as (address, port), whether or not the rules use them. `unserved_inside` and
    `unserved_outside` say why the rules reject or drop what comes to the cluster IP or to the
    external entry points; they are empty where an endpoint is used.
    """

    name: str
    protocol: str
    family: Family
    port: int
    cluster_ip: str
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    node_port: int = 0
    chains: tuple[str, ...] = ()
    endpoints: tuple[tuple[str, int], ...] = ()
    unserved_inside: str = ""
    unserved_outside: str = ""

    @property
    def service(self) -> str:
        """The Service: `namespace/name`."""
        return self.name.partition(":")[0]

    @property
    def port_name(self) -> str:
        """The port's name; empty where it has none."""
        return self.name.partition(":")[2]


class Interfaces(msgspec.Struct, frozen=True, kw_only=True):
    """How the node's interfaces to its own pods are called.

    With `bridge` they are ports of that bridge; otherwise each begins with `pod_prefix`.
    """

    pod_prefix: str = "pod"
    bridge: str = ""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """All of a lab that is decided before it is made.

    `members` has the node first. `listeners` are the endpoints' servers. `families` are those in
    use. `localhost_node_ports` says whether the node may send 127.0.0.1 out (`route_localnet`).
    `without_ports` says by Service (`namespace/name`) why it has no service port.
    """

    members: tuple[Member, ...]
    listeners: tuple[Listener, ...]
    targets: tuple[Target, ...]
    families: tuple[Family, ...]
    interfaces: Interfaces = Interfaces()
    localhost_node_ports: bool = True
    without_ports: dict[str, str] = {}

    @property
    def node(self) -> Member:
        """The node."""
        return self.members[0]

    def member(self, name: str) -> Member | None:
        """Return the member of this name."""
        return next((member for member in self.members if member.name == name), None)
