"""Settings of kube-proxy that are one node's own, where rules are for several nodes."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from compiler.errors import Problem
from compiler.family import Family
from compiler.manifests.address import family_of
from compiler.manifests.convert import shorten
from compiler.proxy.configuration import ProxyConfig


def for_each_node(
    config: ProxyConfig, family: Family, *, several: bool = True
) -> tuple[ProxyConfig, tuple[Problem, ...]]:
    """Return a configuration without what is one node's own, and a warning of each such setting.

    A `hostnameOverride` is one node's name. A `bindAddress` is one node's address, unless it is
    unspecified (`0.0.0.0`) or a loopback address, which every node has; it stays where there are
    not `several` nodes. Source of what it decides: kubernetes `cmd/kube-proxy/app/server.go`
    (`detectNodeIPs`).
    """
    warnings: list[Problem] = []
    if config.hostname_override:
        message = f"{shorten(config.hostname_override)} is ignored: each node has its own name"
        warnings.append(config.tell("hostname_override", message, ""))
    bound = config.bind_address
    if several and bound and family_of(bound) is family and _is_one_nodes(bound):
        message = f"{bound} is ignored: each node has its own address"
        warnings.append(config.tell("bind_address", message, ""))
        config = replace(config, bind_address=None)
    return replace(config, hostname_override=None), tuple(warnings)


def _is_one_nodes(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_unspecified or parsed.is_loopback)
