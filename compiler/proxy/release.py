"""What changed in which Kubernetes release, as far as kube-proxy's iptables rules go.

Sources: kubernetes `pkg/features/kube_features.go` and CHANGELOG-1.30 to 1.38; the pull requests
named below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

Version = tuple[int, int]
"""Major and minor."""

OLDEST: Version = (1, 30)
NEWEST: Version = (1, 37)

# Minor or patch, with or without v, and what a vendor adds (`v1.34.2+k3s1`).
_VERSION = re.compile(
    r"v?([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]{1,4}(?:[-+][0-9A-Za-z.+-]{1,100})?)?"
)


class Stage(Enum):
    """What a feature gate is in a release."""

    ABSENT_OFF = "not there yet"
    ABSENT_ON = "not there"
    OFF = "off by default"
    ON = "on by default"
    LOCKED_ON = "locked on"

    @property
    def enabled(self) -> bool:
        """Whether the feature works where nothing is configured."""
        return self in {Stage.ABSENT_ON, Stage.ON, Stage.LOCKED_ON}

    @property
    def settable(self) -> bool:
        """Whether the configuration may turn it."""
        return self in {Stage.OFF, Stage.ON}


# Gate -> since which release it is what. What came before the first entry is the first entry's.
GATES: dict[str, dict[Version, Stage]] = {
    "ServiceTrafficDistribution": {
        (1, 30): Stage.OFF,
        (1, 31): Stage.ON,
        (1, 33): Stage.LOCKED_ON,
        (1, 36): Stage.ABSENT_ON,
    },
    "PreferSameTrafficDistribution": {
        (1, 30): Stage.ABSENT_OFF,
        (1, 33): Stage.OFF,
        (1, 34): Stage.ON,
        (1, 35): Stage.LOCKED_ON,
    },
    "TopologyAwareHints": {
        (1, 30): Stage.ON,
        (1, 33): Stage.LOCKED_ON,
        (1, 36): Stage.ABSENT_ON,
    },
    "LoadBalancerIPMode": {
        (1, 30): Stage.ON,
        (1, 32): Stage.LOCKED_ON,
        (1, 35): Stage.ABSENT_ON,
    },
    "AllowServiceExternalIPs": {
        (1, 30): Stage.ABSENT_ON,
        (1, 36): Stage.ON,
    },
}

# Kubernetes turns all alpha or all beta gates by these; what is on by default is beta, but for
# AllowServiceExternalIPs, which is a deprecated feature's and which they don't turn.
_ALL_GATES = {Stage.OFF: "AllAlpha", Stage.ON: "AllBeta"}
_NOT_AMONG_ALL = {"AllowServiceExternalIPs"}


class Change(Enum):
    """What a release changed in kube-proxy's rules, beside its feature gates."""

    NFACCT = "both nfacct counters"
    PRIMARY = "`nodePortAddresses: [primary]`"
    NOT_TERMINATING_COPY_WINS = (
        "of an endpoint's copies in several slices, a later one that isn't terminating replaces "
        "an earlier one; before, one on this node did"
    )
    NODE_PORT_KEYWORDS = "`primary`, `localhost` and `all` in `nodePortAddresses`, beside CIDRs"


# Change -> the release that brought it. A new release is a line here, or in GATES.
CHANGES: dict[Change, Version] = {
    Change.NFACCT: (1, 31),  # pull requests 122812 and 125015
    Change.PRIMARY: (1, 31),  # 123105
    Change.NOT_TERMINATING_COPY_WINS: (1, 36),  # 135593
    Change.NODE_PORT_KEYWORDS: (1, 37),  # 138427
}


@dataclass(frozen=True)
class Release:
    """A Kubernetes minor release, by what it means for the rules."""

    version: Version = NEWEST

    def __str__(self) -> str:
        return "{}.{}".format(*self.version)

    def has(self, change: Change) -> bool:
        """Tell whether this release has a change."""
        return self.version >= CHANGES[change]

    def stage(self, gate: str) -> Stage:
        """Tell what a gate of `GATES` is in this release."""
        newest = max(version for version in GATES[gate] if version <= self.version)
        return GATES[gate][newest]


def since(change: Change) -> Release:
    """Tell which release brought a change."""
    return Release(CHANGES[change])


@dataclass(frozen=True)
class Features:
    """Which of the gates are on, each under its own name in lower case."""

    service_traffic_distribution: bool
    prefer_same_traffic_distribution: bool
    topology_aware_hints: bool
    load_balancer_ip_mode: bool
    allow_service_external_ips: bool


def parse_version(text: str) -> Release:
    """Read `1.34`, `v1.34` or `v1.34.2`. Raises `ValueError` with a message and a hint."""
    from compiler.manifests.convert import shorten  # late: `--help` reads this table

    known = f"use {Release(OLDEST)} to {Release(NEWEST)}"
    match = _VERSION.fullmatch(text)
    if match is None:
        message = f"{shorten(text)} is not a Kubernetes version; {known}"
        raise ValueError(message)
    version = int(match[1]), int(match[2])
    if not OLDEST <= version <= NEWEST:
        message = f"Kubernetes {text.removeprefix('v')} is not supported; {known}"
        raise ValueError(message)
    return Release(version)


def resolve_features(
    release: Release, configured: Mapping[str, bool]
) -> tuple[Features, list[tuple[str, str]]]:
    """Decide which features are on: an explicit value counts where the gate may be set.

    Also returns warnings, (message, hint) for each gate that can't be set as configured.
    Gates that the rules don't depend on are passed over.
    """
    from compiler.manifests.convert import shorten

    enabled: dict[str, bool] = {}
    warnings = [
        (f"unknown feature gate {shorten(name)}", f"did you mean {near[0]}?")
        for name in configured
        if name not in GATES and (near := _nearest_gates(name))
    ]
    for gate in GATES:
        stage = release.stage(gate)
        everything = "" if gate in _NOT_AMONG_ALL else _ALL_GATES.get(stage, "")
        enabled[gate] = configured.get(everything, stage.enabled)
        wanted = configured.get(gate)
        if wanted is None:
            continue
        if stage.settable:
            enabled[gate] = wanted
        elif wanted != stage.enabled or not stage.enabled:
            value = str(wanted).lower()
            message = f"{gate} is {stage.value} in {release}, so {value} has no effect"
            warnings.append((message, "kube-proxy would not start with it"))
    return (
        Features(
            service_traffic_distribution=enabled["ServiceTrafficDistribution"],
            prefer_same_traffic_distribution=enabled["PreferSameTrafficDistribution"],
            topology_aware_hints=enabled["TopologyAwareHints"],
            load_balancer_ip_mode=enabled["LoadBalancerIPMode"],
            allow_service_external_ips=enabled["AllowServiceExternalIPs"],
        ),
        warnings,
    )


def _nearest_gates(name: str) -> list[str]:
    import difflib  # for unknown gates alone

    return difflib.get_close_matches(name, GATES, n=1, cutoff=0.85)
