"""Links, addresses and routes: how the members' namespaces hang together.

Every member has a veth to the node and nothing else, with host routes on both sides, as Calico and
kind's ptp plugin wire pods: each packet between two members passes through the node's netfilter
hooks, a pod's call to itself included. Only local pods of a node that detects them by a bridge
(`detectLocalMode: BridgeInterface`) hang on that bridge instead; they have host routes too, so that
nothing is ever bridged past the rules.

The node's default route leads to the first outside client, which forwards nothing: that is where
packets for addresses that don't exist end, as they would in the world.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compiler.family import IPV4, IPV6, Family
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.layout import Interfaces, Layout, Member, Role, family_of
from compiler.lab.run_directory import netns_name, short

# The node's end of every link. Scope link, so that it is never chosen as a source towards a pod.
GATEWAY4 = "169.254.1.1"
GATEWAY6 = "fe80::1"
SCOPE_LINK = 253

# From <linux/if_addr.h>: usable at once, without duplicate address detection.
IFA_F_NODAD = 0x02

# Of all members. Redirects would show pods a shorter path than through the node's rules.
COMMON_SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/accept_redirects": "0",
}
MEMBER_SYSCTLS = {"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}
NODE_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/forwarding": "1",
    # Pods on a bridge speak to the node and to nobody else: their packets meet the hooks once, when
    # they are routed. With these on, the bridge would run the hooks first and send a pod's call to
    # itself straight back, which only ports in hairpin mode allow.
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
}


def netlink() -> Any:
    """Open a netlink socket in the current namespace. Raises LabError without pyroute2."""
    try:
        from pyroute2 import IPRoute
    except ImportError:
        raise LabError(
            "the lab needs pyroute2, which is not installed; "
            f"install it with `{sys.executable} -m pip install pyroute2`"
        ) from None
    return IPRoute()


@contextmanager
def netlink_in(namespace: str) -> Iterator[Any]:
    """Be in the namespace, with a netlink socket there.

    Raises LabError where the kernel rejects something.
    """
    with netns.entered(namespace), netlink() as opened:
        from pyroute2 import NetlinkError

        try:
            yield opened
        except NetlinkError as error:
            raise LabError(
                f"the kernel rejected a link, address or route of {namespace}: {error}"
            ) from error


def set_sysctls(values: dict[str, str]) -> None:
    """Set sysctls of the current namespace, but for those that the kernel was built without."""
    for name, value in values.items():
        path = Path("/proc/sys") / name
        if path.exists():
            path.write_text(value)


def interface_stems(interfaces: Interfaces) -> dict[Role, str]:
    """Return how interfaces to each kind of member begin, none like the node's own pods'."""
    own = "port" if interfaces.bridge else interfaces.pod_prefix
    taken = (own, interfaces.bridge or own)

    def unlike(*candidates: str) -> str:
        return next(
            word
            for word in candidates
            if not any(word.startswith(one) or one.startswith(word) for one in taken)
        )

    far = unlike("far", "remote", "away")
    return {
        Role.LOCAL_POD: own,
        Role.FAR_POD: far,
        Role.OTHER_NODE: far,
        Role.OUTSIDE: unlike("eth", "uplink", "outer"),
    }


def build_node(lab: str, layout: Layout) -> None:
    """Set up the node's own namespace: sysctls, loopback, its addresses, its bridge."""
    with netlink_in(netns_name(lab, layout.node.name)) as link:
        set_sysctls(COMMON_SYSCTLS | NODE_SYSCTLS)
        # As kube-proxy does where it serves node ports on localhost.
        route_localnet = "1" if layout.localhost_node_ports else "0"
        set_sysctls({"net/ipv4/conf/all/route_localnet": route_localnet})
        link.link("set", index=1, state="up")
        for address in layout.node.addresses:
            _add_address(link, 1, address)
        if layout.interfaces.bridge:
            link.link("add", ifname=layout.interfaces.bridge, kind="bridge")
            bridge = _index(link, layout.interfaces.bridge)
            link.link("set", index=bridge, state="up")
            _add_gateways(link, bridge, layout.families)


def attach(
    lab: str, layout: Layout, members: Sequence[Member], look: Callable[[], None] = lambda: None
) -> None:
    """Wire members, whose namespaces are there and bare, to the node.

    `look` is called between two members, and may raise to end it.
    """
    node = netns_name(lab, layout.node.name)
    stems = interface_stems(layout.interfaces)
    with netlink_in(node) as link:
        taken = _taken_numbers(link)
        bridge = _index(link, layout.interfaces.bridge) if layout.interfaces.bridge else 0
        for number, member in enumerate(members, start=max(taken, default=0) + 1):
            look()
            name = f"{stems[member.role]}{number}"
            _add_veth(link, name, netns_name(lab, member.name))
            index = _index(link, name)
            # The kernel takes an alias only for a link that is there already.
            if bridge and member.role is Role.LOCAL_POD:
                link.link("set", index=index, ifalias=short(member.name), master=bridge, state="up")
                index = bridge
            else:
                link.link("set", index=index, ifalias=short(member.name), state="up")
                _add_gateways(link, index, layout.families)
            _route_to(link, member, index, layout.node)
    for member in members:
        look()
        _build_member(lab, member)
    uplinks = [member for member in members if member.role is Role.OUTSIDE]
    if uplinks:
        _default_route(node, uplinks[0], layout.node)


def detach(lab: str, layout: Layout, members: Sequence[Member]) -> None:
    """Cut members' links, so that their addresses are free at once. Missing ones are fine."""
    with netlink_in(netns_name(lab, layout.node.name)) as link:
        known = _links_by_member(link)
        for member in members:
            if short(member.name) in known:
                link.link("del", index=known[short(member.name)])


def incoming_interfaces(lab: str, layout: Layout) -> dict[str, str]:
    """Return by which of the node's interfaces each member's packets come in.

    What comes in by a port of the bridge, the rules see as coming in by the bridge.
    """
    with netlink_in(netns_name(lab, layout.node.name)) as link:
        names = {
            found.get_attr("IFLA_IFALIAS"): found.get_attr("IFLA_IFNAME")
            for found in link.get_links()
        }
    return {
        member.name: layout.interfaces.bridge
        if layout.interfaces.bridge and member.role is Role.LOCAL_POD
        else names[short(member.name)]
        for member in layout.members
        if short(member.name) in names
    }


def _taken_numbers(link: Any) -> list[int]:
    """Return the numbers at the end of the node's interface names."""
    names = (found.get_attr("IFLA_IFNAME") for found in link.get_links())
    digits = (name[len(name.rstrip("0123456789")) :] for name in names)
    return [int(number) for number in digits if number]


def _index(link: Any, name: str) -> int:
    index: int = link.link_lookup(ifname=name)[0]
    return index


def _links_by_member(link: Any) -> dict[str, int]:
    """Return the node's interfaces to members: their aliases are the members' names."""
    return {found.get_attr("IFLA_IFALIAS"): found["index"] for found in link.get_links()}


def _add_veth(link: Any, name: str, peer_namespace: str) -> None:
    handle = os.open(netns.RUN_NETNS / peer_namespace, os.O_RDONLY)
    try:
        peer = {"ifname": "eth0", "net_ns_fd": handle}
        link.link("add", ifname=name, kind="veth", peer=peer)
    finally:
        os.close(handle)


def _add_address(link: Any, index: int, address: str) -> None:
    length = 128 if family_of(address) == IPV6 else 32
    link.addr("add", index=index, address=address, prefixlen=length, flags=IFA_F_NODAD)


def _add_gateways(link: Any, index: int, families: Sequence[Family]) -> None:
    """Give the node's end of a link the gateway addresses."""
    if IPV4 in families:
        link.addr("add", index=index, address=GATEWAY4, prefixlen=32, scope=SCOPE_LINK)
    if IPV6 in families:
        link.addr("add", index=index, address=GATEWAY6, prefixlen=64, flags=IFA_F_NODAD)


def _source(address: str, node: Member) -> dict[str, str]:
    """Return the preferred source for a route: the node's first address of the same family."""
    family = family_of(address)
    own = next((known for known in node.addresses if family_of(known) == family), None)
    return {"prefsrc": own} if own else {}


def _route_to(link: Any, member: Member, index: int, node: Member) -> None:
    for address in member.addresses:
        source = _source(address, node)
        if family_of(address) == IPV6:
            link.route("add", dst=f"{address}/128", oif=index, **source)
        else:
            link.route("add", dst=f"{address}/32", oif=index, scope=SCOPE_LINK, **source)


def _default_route(node: str, uplink: Member, own: Member) -> None:
    with netlink_in(node) as link:
        index = _links_by_member(link)[short(uplink.name)]
        for address in uplink.addresses:
            everything = "::/0" if family_of(address) == IPV6 else "0.0.0.0/0"
            route = {"dst": everything, "gateway": address, "oif": index}
            link.route("replace", **route, **_source(address, own))


def _build_member(lab: str, member: Member) -> None:
    """Set up a pod's or client's namespace: its addresses, and a default route to the node."""
    with netlink_in(netns_name(lab, member.name)) as link:
        set_sysctls(COMMON_SYSCTLS | MEMBER_SYSCTLS)
        link.link("set", index=1, state="up")
        index = _index(link, "eth0")
        for address in member.addresses:
            _add_address(link, index, address)
        link.link("set", index=index, state="up")
        families = {family_of(address) for address in member.addresses}
        if IPV6 in families:
            link.route("add", dst="::/0", gateway=GATEWAY6, oif=index)
        if families - {IPV6}:
            link.route("add", dst=f"{GATEWAY4}/32", oif=index, scope=SCOPE_LINK)
            link.route("add", dst="0.0.0.0/0", gateway=GATEWAY4, oif=index)
