"""The options that describe a packet."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compiler.cli.help import option

if TYPE_CHECKING:
    from compiler.analysis.packet_request import PacketRequest
    from compiler.kube_rules.destinations import Via

F = TypeVar("F", bound=Callable[..., Any])

# `destinations.VIAS`, `packet_request.PROTOCOLS` and `STATES`, which a test compares them with.
VIAS = ("cluster-ip", "node-port", "external-ip", "load-balancer", "localhost")
PROTOCOLS = ("tcp", "udp", "sctp", "icmp")
STATES = ("new", "established", "related", "invalid", "untracked")


@dataclass(frozen=True)
class PacketOptions:
    """What the command line says of a packet; empty where it says nothing."""

    sender: str = ""
    to: str = ""
    via: Via | None = None
    protocol: str = ""
    state: str = "new"
    in_interface: str = ""
    recent: tuple[str, ...] = ()
    clock: str = ""

    @property
    def request(self) -> PacketRequest:
        """The packet that is asked for."""
        from compiler.analysis.packet_request import PacketRequest

        return PacketRequest(
            self.sender, self.to, self.via, self.protocol, self.state.upper(), self.in_interface
        )


@dataclass(frozen=True)
class WantedOptions:
    """What the command line expects of packets: of those of a file, or of the one that it names."""

    flow_file: str | None = None
    expect: tuple[str, ...] = ()
    expect_masquerade: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything is expected."""
        return bool(self.flow_file or self.of_packet)

    @property
    def of_packet(self) -> bool:
        """Whether anything is expected of the packet that the command line names."""
        return bool(self.expect or self.expect_masquerade)

    @property
    def masqueraded(self) -> bool | None:
        """Whether the source must be rewritten, None where that does not matter."""
        return None if self.expect_masquerade is None else self.expect_masquerade == "yes"


def packet_options(command: F) -> F:
    """Give a command these options: `packet` (`PacketOptions`), `wanted` (`WantedOptions`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        packet = PacketOptions(**_given(PacketOptions(), kwargs))
        wanted = WantedOptions(**_given(WantedOptions(), kwargs))
        return command(*args, packet=packet, wanted=wanted, **kwargs)

    decorated: Any = with_options
    for declared in reversed((*_OPTIONS, *_EXPECTATIONS)):
        decorated = declared(decorated)
    result: F = decorated
    return result


def _given(defaults: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Take the values of a dataclass's fields out of a command's arguments."""
    values = {name: kwargs.pop(name) for name in type(defaults).__dataclass_fields__}
    return {
        name: getattr(defaults, name) if value is None else value for name, value in values.items()
    }


_OPTIONS = (
    option(
        "--from",
        "sender",
        metavar="SENDER",
        help="pod, node, outside, localhost, an address, or a Pod's name; a pod by default.",
    ),
    option(
        "--to",
        metavar="DESTINATION",
        help="ADDRESS:PORT or [NAMESPACE/]SERVICE[:PORT], with /udp or /sctp if it is not TCP.",
    ),
    option(
        "--via",
        type=click.Choice(VIAS),
        metavar="ENTRY-POINT",
        help=f"{', '.join(VIAS)}; the Service's first one by default.",
    ),
    option("--protocol", type=click.Choice(PROTOCOLS), help="TCP by default."),
    option(
        "--state",
        type=click.Choice(STATES),
        help="The connection's state in conntrack; new by default.",
    ),
    option("--in-interface", metavar="NAME", help="The interface that the packet comes in by."),
    option(
        "--recent",
        metavar="PIN|FOLDER",
        multiple=True,
        help="A client in an affinity list, as CLIENT=ENDPOINT,SECONDS-AGO; or a folder with "
        "copies of /proc/net/xt_recent/*. May be repeated.",
    ),
    option(
        "--clock",
        metavar="JIFFIES:HZ",
        help="When the copies were made: jiffies of /proc/timer_list, and CONFIG_HZ.",
    ),
)
_EXPECTATIONS = (
    option(
        "--file",
        "flow_file",
        metavar="FLOWS",
        type=click.Path(),
        help="Check the packets of a YAML file; exit code 1 if an outcome is not the expected one.",
    ),
    option(
        "--expect",
        metavar="OUTCOME",
        multiple=True,
        help="ADDRESS:PORT[=SHARE], ACCEPT, REJECT or DROP; may be repeated. Exit code 1 if others "
        "occur, or one of these does not.",
    ),
    option(
        "--expect-masquerade",
        type=click.Choice(["yes", "no"]),
        help="Whether the source address must be rewritten.",
    ),
)
