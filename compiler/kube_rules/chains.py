"""kube-proxy's chains by name, and the jumps that it maintains from the built-in ones.

Sources: kubernetes `pkg/proxy/iptables/proxier.go` (chain names, `iptablesJumpChains`,
`iptablesKubeletJumpChains`) and KEP-3178 for the chains that kubelet owns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from compiler.netfilter.ruleset import Ruleset

# In the order in which a reader wants to hear of them; nat's first names the service ports.
NAT_TOP_LEVEL = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
FILTER_TOP_LEVEL = (
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-FIREWALL",
    "KUBE-FORWARD",
    "KUBE-FIREWALL",
)
TOP_LEVEL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"filter": FILTER_TOP_LEVEL, "nat": NAT_TOP_LEVEL}
)
# kubelet has rules of its own in them (KEP-3178).
SHARED_CHAINS: Mapping[str, tuple[str, ...]] = MappingProxyType({"filter": ("KUBE-FIREWALL",)})
# They have rules of service ports, in the order in which kube-proxy visits these: an arbitrary one.
PORTAL_CHAINS = frozenset(FILTER_TOP_LEVEL[:4])
KUBE_PREFIX = "KUBE-"
ENDPOINT_PREFIX = "KUBE-SEP-"
# Chains of a service port, which share its hash; an endpoint's hashes the endpoint too.
PORT_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-")
SERVICE_PREFIXES = (*PORT_PREFIXES, ENDPOINT_PREFIX)
_NAT_ONLY = frozenset(("KUBE-POSTROUTING", "KUBE-MARK-MASQ"))

NEW_ONLY = "-m conntrack --ctstate NEW"


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump from a built-in chain that kube-proxy maintains outside its restore text."""

    table: str
    chain: str
    match: str
    target: str
    comment: str

    def __str__(self) -> str:
        """Write the rule as `iptables -S` prints it."""
        words = [f"-A {self.chain}"]
        if self.comment:
            words.append(f'-m comment --comment "{self.comment}"')
        if self.match:
            words.append(self.match)
        return " ".join([*words, f"-j {self.target}"])

    @property
    def text(self) -> str:
        """The canonical text of the rule, without its comment."""
        return f"{self.match} -j {self.target}" if self.match else f"-j {self.target}"


_PORTALS = "kubernetes service portals"
_EXTERNAL = "kubernetes externally-visible service portals"
_FIREWALL = "kubernetes load balancer firewall"
# In the order in which kube-proxy inserts them at the top: the last one ends up first.
JUMPS: tuple[Jump, ...] = (
    Jump("filter", "INPUT", NEW_ONLY, "KUBE-EXTERNAL-SERVICES", _EXTERNAL),
    Jump("filter", "FORWARD", NEW_ONLY, "KUBE-EXTERNAL-SERVICES", _EXTERNAL),
    Jump("filter", "INPUT", "", "KUBE-NODEPORTS", "kubernetes health check service ports"),
    Jump("filter", "FORWARD", NEW_ONLY, "KUBE-SERVICES", _PORTALS),
    Jump("filter", "OUTPUT", NEW_ONLY, "KUBE-SERVICES", _PORTALS),
    Jump("filter", "FORWARD", "", "KUBE-FORWARD", "kubernetes forwarding rules"),
    Jump("filter", "INPUT", NEW_ONLY, "KUBE-PROXY-FIREWALL", _FIREWALL),
    Jump("filter", "OUTPUT", NEW_ONLY, "KUBE-PROXY-FIREWALL", _FIREWALL),
    Jump("filter", "FORWARD", NEW_ONLY, "KUBE-PROXY-FIREWALL", _FIREWALL),
    Jump("nat", "OUTPUT", "", "KUBE-SERVICES", _PORTALS),
    Jump("nat", "PREROUTING", "", "KUBE-SERVICES", _PORTALS),
    Jump("nat", "POSTROUTING", "", "KUBE-POSTROUTING", "kubernetes postrouting rules"),
    Jump("filter", "INPUT", "", "KUBE-FIREWALL", ""),
    Jump("filter", "OUTPUT", "", "KUBE-FIREWALL", ""),
)


def port_hash(chain: str) -> str:
    """Return the hash that a service port's chain ends with."""
    return chain.rsplit("-", 1)[-1]


def is_service_chain(name: str) -> bool:
    """Say whether a chain is a service port's or an endpoint's own."""
    return name.startswith(SERVICE_PREFIXES)


def is_kube_proxy_chain(table: str, name: str) -> bool:
    """Say whether kube-proxy fills this chain by its restore text."""
    return name.startswith(SERVICE_PREFIXES) or name in TOP_LEVEL.get(table, ())


def holds_kube_proxy_rules(ruleset: Ruleset) -> bool:
    """Say whether any of kube-proxy's chains has a rule."""
    return any(
        len(chain) > 0 and is_kube_proxy_chain(table, name)
        for table, chains in ruleset.tables.items()
        for name, chain in chains.items()
    )


def table_hint(chains: Collection[str]) -> str | None:
    """Name the table of `iptables -S` output that shows no policies, for `parse_rules`."""
    if any(name in _NAT_ONLY or name.startswith(SERVICE_PREFIXES) for name in chains):
        return "nat"
    return None
