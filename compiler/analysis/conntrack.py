"""Which connection tracking entries kube-proxy deletes when UDP Services change.

A UDP flow is translated by its first packet, and conntrack goes on with that for as long as the
client keeps sending: to an endpoint that is gone, or to nowhere if there was no rule yet. New rules
change nothing about it, so kube-proxy deletes such entries after it has written them. TCP needs
none of that: its clients connect again.

Source: kubernetes `pkg/proxy/conntrack/cleanup.go` (`CleanStaleEntries`). That function compares
the kernel's entries with what there should be: an entry for an address and port of a UDP Service
(or for a node port) is deleted unless its reply comes from a serving endpoint. Readiness, traffic
policies and topology don't count there, only `serving`. Here the same is worked out from two
states, without looking at a kernel: the commands delete what became stale between them.

Releases differ in two details. Up to 1.31 entries are compared by address alone. From 1.32 on,
until the fixes of pull requests 139629 and 141371, entries of a Service that has lost its last
serving endpoint, or that was deleted, stay; with these fixes, and here, they are deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compiler.family import Family

Command = tuple[str, ...]
"""A command's name and arguments; `shlex.join` writes it for a shell."""

Endpoint = tuple[str, int]
"""An endpoint's address and port."""

_EntryPoint = tuple[str, int]
"""A Service's address and port; the address is empty for a node port."""


@dataclass(frozen=True, slots=True)
class UdpServicePort:
    """A UDP service port of one family, as far as conntrack entries depend on it.

    `addresses` are the cluster IP, the external IPs and the load-balancer IPs; `node_port` is 0
    where there is none. `endpoints` are all serving endpoints, whether or not the node's rules use
    them. Where only rules are known, those that they use are the nearest to that: too few while an
    endpoint serves until it ends, or under a policy or topology that leaves some out.
    """

    addresses: tuple[str, ...]
    port: int
    node_port: int
    endpoints: frozenset[Endpoint]


def stale_entry_commands(
    old: Iterable[UdpServicePort], new: Iterable[UdpServicePort], family: Family
) -> list[Command]:
    """Return the `conntrack -D` commands that delete what becomes stale from `old` to `new`.

    They are for the moment after the new rules were loaded. Empty where no UDP Service changed.
    """
    before, after = _by_entry_point(old), _by_entry_point(new)
    commands = []
    for entry_point in dict.fromkeys((*after, *before)):
        was, now = before.get(entry_point, frozenset()), after.get(entry_point, frozenset())
        commands += _commands(entry_point, was, now, family)
    return commands


def _by_entry_point(ports: Iterable[UdpServicePort]) -> Mapping[_EntryPoint, frozenset[Endpoint]]:
    found: dict[_EntryPoint, frozenset[Endpoint]] = {}
    for port in ports:
        for address in port.addresses:
            found[address, port.port] = port.endpoints
        if port.node_port:
            found["", port.node_port] = port.endpoints
    return found


def _commands(
    entry_point: _EntryPoint, was: frozenset[Endpoint], now: frozenset[Endpoint], family: Family
) -> list[Command]:
    address, port = entry_point
    base: Command = ("conntrack", "-D", "-f", family, "-p", "udp")
    base += ("--orig-dst", address) if address else ()
    base += ("--orig-port-dst", str(port))
    gone = sorted(was - now)
    # No entry can lead to a serving endpoint, since there was none before or there is none now.
    # A node port's number alone could also be a port of somebody else, so its entries are deleted
    # without naming endpoints only where kube-proxy does that, too: when endpoints come.
    if (now and not was) or (gone and not now and address):
        return [base]
    return [(*base, "--reply-src", ip, "--reply-port-src", str(number)) for ip, number in gone]
