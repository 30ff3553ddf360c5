"""kube-proxy's configuration: the file, the flags that override it, and what is valid.

Sources: kubernetes `pkg/proxy/apis/config/types.go` and `validation`; `cmd/kube-proxy/app`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from msgspec import Struct
from msgspec import field as renamed
from msgspec.structs import fields

from compiler.errors import ARGUMENT, InputError, Problem
from compiler.family import Family
from compiler.manifests.address import family_of, network_family, parse_network
from compiler.manifests.convert import convert, shorten
from compiler.manifests.source import Source
from compiler.proxy.configuration_source import API_VERSION, KIND, Found, find
from compiler.proxy.release import GATES
from compiler.yaml.plain import Path, duplicate_keys

DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
NODE_PORT_KEYWORDS = ("primary", "localhost", "all")
DEFAULT_MASQUERADE_BIT = 14
# Names that stand for all gates of a stage.
GATE_GROUPS = ("AllAlpha", "AllBeta")

# Linux rejects `/`, `:` and white space in interface names, and more than 15 bytes; what would
# mean something else to iptables (quotes, `!`, a leading `-`, a trailing `+`) is rejected as well.
_INTERFACE = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.@=~][A-Za-z0-9_.@=~-]{0,14}")


class _Base(Struct, frozen=True, rename="camel"):
    pass


class _IPTables(_Base, frozen=True):
    masquerade_all: bool | None = None
    masquerade_bit: int | None = None
    localhost_node_ports: bool | None = None


class _DetectLocal(_Base, frozen=True):
    bridge_interface: str | None = None
    interface_name_prefix: str | None = None


class _Conntrack(_Base, frozen=True):
    tcp_be_liberal: bool | None = None


class _File(_Base, frozen=True, tag_field="kind", tag=KIND):
    api_version: str | None = None
    mode: str | None = None
    hostname_override: str | None = None
    bind_address: str | None = None
    detect_local_mode: str | None = None
    detect_local: _DetectLocal | None = None
    cluster_cidr: str | None = renamed(default=None, name="clusterCIDR")
    node_port_addresses: list[str] | None = None
    iptables: _IPTables | None = None
    conntrack: _Conntrack | None = None
    feature_gates: dict[str, bool] | None = None


# kube-proxy's flag, in Python's spelling -> the path of the same value in the file.
PATHS: dict[str, Path] = {
    "proxy_mode": ("mode",),
    "hostname_override": ("hostnameOverride",),
    "bind_address": ("bindAddress",),
    "detect_local_mode": ("detectLocalMode",),
    "pod_bridge_interface": ("detectLocal", "bridgeInterface"),
    "pod_interface_name_prefix": ("detectLocal", "interfaceNamePrefix"),
    "cluster_cidr": ("clusterCIDR",),
    "nodeport_addresses": ("nodePortAddresses",),
    "masquerade_all": ("iptables", "masqueradeAll"),
    "iptables_masquerade_bit": ("iptables", "masqueradeBit"),
    "iptables_localhost_nodeports": ("iptables", "localhostNodePorts"),
    "conntrack_tcp_be_liberal": ("conntrack", "tcpBeLiberal"),
    "feature_gates": ("featureGates",),
}

_FLAG_TYPES: dict[str, tuple[type, ...]] = {
    "nodeport_addresses": (list, tuple),
    "masquerade_all": (bool,),
    "iptables_masquerade_bit": (int,),
    "iptables_localhost_nodeports": (bool,),
    "conntrack_tcp_be_liberal": (bool,),
    "feature_gates": (dict,),
}

Tell = Callable[[str, str, str], Problem]
"""Makes a problem of a value, by its name in `PATHS`: what is wrong and what would be right."""


@dataclass(frozen=True)
class ProxyConfig:
    """What of kube-proxy's configuration decides the rules, valid and with defaults.

    `cluster_cidrs` has at most one CIDR per family, as written. `pod_interface` is the bridge or
    the prefix, by `detect_local_mode`. `node_port_addresses` has CIDRs and `NODE_PORT_KEYWORDS`.
    `tell` makes a problem that names the line of the file, or the flag, that a value came from.
    """

    tell: Tell
    hostname_override: str | None = None
    bind_address: str | None = None
    detect_local_mode: str = "ClusterCIDR"
    pod_interface: str | None = None
    cluster_cidrs: Mapping[Family, str] = field(default_factory=dict)
    node_port_addresses: tuple[str, ...] = ()
    masquerade_all: bool = False
    masquerade_bit: int = DEFAULT_MASQUERADE_BIT
    localhost_node_ports: bool = True
    tcp_be_liberal: bool = False
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()


def read_config(source: Source | None, flags: Mapping[str, object]) -> ProxyConfig:
    """Read the configuration: `flags` (by the names in `PATHS`) override the file.

    The file is a KubeProxyConfiguration, alone or among other documents, a ConfigMap with one, or
    the Pod or DaemonSet of kube-proxy, whose flags are read. Raises `InputError` with every
    problem, `TypeError` for a flag that there isn't or that has another type.
    """
    _check_flags(flags)
    reading = _Reading(source, {name: value for name, value in flags.items() if value is not None})
    config = reading.config()
    if reading.problems:
        in_order = sorted(reading.problems, key=lambda p: (p.line or 0, p.column or 0))
        raise InputError(in_order, config.warnings)
    return config


def _check_flags(flags: Mapping[str, object]) -> None:
    for name, value in flags.items():
        if name not in PATHS:
            message = f"no flag {name!r}; one of {', '.join(PATHS)}"
            raise TypeError(message)
        wanted = _FLAG_TYPES.get(name, (str,))
        if value is not None and type(value) not in wanted:
            message = f"{name} takes {' or '.join(t.__name__ for t in wanted)}, not {value!r}"
            raise TypeError(message)


class _Reading:
    def __init__(self, source: Source | None, flags: Mapping[str, object]) -> None:
        self._warnings: list[Problem] = []
        self._flags = flags
        self._file = _File()
        self._reported: set[Path] = set()
        self._found = find(source) if source is not None else Found()
        self.problems: list[Problem] = self._found.problems
        if self._found.origin is not None:
            self._take(self._found.value)

    def _take(self, value: object) -> None:
        for path in duplicate_keys(value):
            self._add(path, "duplicate key", "a key can appear only once", at_key=True)
        self._file = convert(
            value,
            _File,
            self._add,
            lambda path, message, hint: self._warnings.append(
                self._at(path, message, hint, key=True)
            ),
            scalars=self._found.origin,
        )
        if self._file.api_version != API_VERSION:
            version = self._file.api_version
            message = "missing" if version is None else f"{shorten(version)} is not supported"
            self._add(("apiVersion",), message, f"must be {API_VERSION}")

    def _at(self, path: Path, message: str, hint: str, *, key: bool = False) -> Problem:
        assert self._found.origin is not None  # noqa: S101  # the value came from there
        return self._found.origin.problem(path, message, hint, key=key)

    def _add(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        if path not in self._reported:
            self._reported.add(path)
            self.problems.append(self._at(path, message, hint, key=at_key))

    def tell(self, name: str, message: str, hint: str) -> Problem:
        """Make a problem of a value, at the flag or the line of the file that gave it."""
        if name not in self._flags and name in self._found.flags:
            flag, origin = self._found.flags[name]
            return origin.problem(flag.path, message, hint)
        if name in self._flags or self._found.origin is None:
            return Problem.of_argument(name, message, hint)
        return self._at(PATHS[name], message, hint)

    def _reject(self, name: str, message: str, hint: str) -> None:
        known = any(path[: len(PATHS[name])] == PATHS[name] for path in self._reported)
        if name in self._flags or name in self._found.flags or not known:
            self.problems.append(self.tell(name, message, hint))

    def _value(self, name: str) -> object:
        """Return the flag's value, else that of kube-proxy's Pod or of the file, else None."""
        if name in self._flags:
            return self._flags[name]
        if name in self._found.flags:
            return self._found.flags[name][0].value
        value: object = self._file
        for attribute in _ATTRIBUTES[name]:
            value = getattr(value, attribute) if value is not None else None
        return value

    def _text(self, name: str) -> str:
        return str(self._value(name) or "")

    def config(self) -> ProxyConfig:
        self._check_mode()
        bit = self._masquerade_bit()
        detect_mode, interface = self._detect_local()
        bind_address = self._text("bind_address")
        if bind_address and family_of(bind_address) is None:
            message = f"{shorten(bind_address)} is not an IP address"
            self._reject("bind_address", message, "must be 0.0.0.0, :: or an address of the node")
        return ProxyConfig(
            tell=self.tell,
            hostname_override=self._text("hostname_override").strip().lower() or None,
            bind_address=bind_address or None,
            detect_local_mode=detect_mode,
            pod_interface=interface,
            cluster_cidrs=self._cluster_cidrs(),
            node_port_addresses=self._node_port_addresses(),
            masquerade_all=bool(self._value("masquerade_all")),
            masquerade_bit=bit,
            localhost_node_ports=self._value("iptables_localhost_nodeports") is not False,
            tcp_be_liberal=bool(self._value("conntrack_tcp_be_liberal")),
            feature_gates=self._feature_gates(),
            warnings=tuple(self._warnings),
        )

    def _check_mode(self) -> None:
        mode = self._text("proxy_mode")
        if mode in {"", "iptables"}:
            return
        message = f"mode {shorten(mode)} is not supported"
        if "proxy_mode" in self._flags:
            self._reject("proxy_mode", message, "must be iptables")
            return
        problem = self.tell(
            "proxy_mode", message, f"use {ARGUMENT} iptables to see its iptables rules"
        )
        self.problems.append(replace(problem, argument="proxy_mode"))

    def _masquerade_bit(self) -> int:
        bit = self._value("iptables_masquerade_bit")
        if not isinstance(bit, int):
            return DEFAULT_MASQUERADE_BIT
        if not 0 <= bit <= 31:
            message = f"masqueradeBit {bit} is out of range"
            self._reject("iptables_masquerade_bit", message, "must be between 0 and 31")
        return bit

    def _feature_gates(self) -> Mapping[str, bool]:
        """Return the gates; one of another name may be any of Kubernetes' two hundred, or none."""
        gates = self._value("feature_gates")
        if not isinstance(gates, dict):
            return {}
        for name in gates:
            if name in GATES or name in GATE_GROUPS or get_close_matches(name, GATES, 1, 0.85):
                continue
            self._warnings.append(
                self.tell(
                    "feature_gates",
                    f"unknown feature gate {shorten(name)}, so it changes no rules",
                    "kube-proxy does not start with a gate that its release does not have",
                )
            )
        return gates

    def _detect_local(self) -> tuple[str, str | None]:
        mode = self._text("detect_local_mode") or "ClusterCIDR"
        if mode not in DETECT_LOCAL_MODES:
            supported = f"supported values: {', '.join(DETECT_LOCAL_MODES)}"
            self._reject("detect_local_mode", f"unsupported value {shorten(mode)}", supported)
        names = {
            "BridgeInterface": ("pod_bridge_interface", 15, "the pods' bridge"),
            "InterfaceNamePrefix": ("pod_interface_name_prefix", 14, "the pods' interfaces"),
        }
        if mode not in names:
            return mode, None
        name, limit, what = names[mode]
        interface = self._text(name)
        if not interface:
            name_or_prefix = "name" if mode == "BridgeInterface" else "name prefix"
            hint = f"detectLocalMode {mode} needs the {name_or_prefix} of {what}"
            self._reject(name, "missing", hint)
        elif not _INTERFACE.fullmatch(interface) or len(interface) > limit:
            message = f"invalid interface name {shorten(interface)}"
            self._reject(
                name, message, f"must be at most {limit} of letters, digits, -, _, . and @"
            )
        return mode, interface

    def _cluster_cidrs(self) -> dict[Family, str]:
        """Return the clusterCIDR of each family.

        Like kube-proxy (its `IsDualStackCIDRStrings`), this takes neither blanks nor empty entries.
        """
        cidrs: dict[Family, str] = {}
        whole = self._text("cluster_cidr")
        for entry in whole.split(",") if whole else ():
            network = parse_network(entry)
            if network is None:
                hint = "use one per family, like 10.244.0.0/16,fd00:10:244::/56"
                self._reject("cluster_cidr", *_no_cidr(entry, hint))
            elif network_family(network) in cidrs:
                message = f"more than one {network_family(network).api_name} CIDR"
                self._reject("cluster_cidr", message, "there can be one per family")
            else:
                cidrs[network_family(network)] = entry
        return cidrs

    def _node_port_addresses(self) -> tuple[str, ...]:
        value = self._value("nodeport_addresses")
        entries = [str(entry) for entry in value] if isinstance(value, list | tuple) else []
        for entry in entries:
            if entry not in NODE_PORT_KEYWORDS and parse_network(entry) is None:
                hint = "use one like 192.168.0.0/16, or primary"
                self._reject("nodeport_addresses", *_no_cidr(entry, hint))
        return tuple(entries)


def _no_cidr(entry: str, hint: str) -> tuple[str, str]:
    """Return what is wrong with an entry that is no CIDR, and what would be right."""
    if not entry.strip():
        return "an entry is empty", hint
    if entry != entry.strip():
        return f"{shorten(entry)} is not a CIDR", "kube-proxy rejects spaces"
    return f"{shorten(entry)} is not a CIDR", hint


_ATTRIBUTE_NAMES = {
    field_.encode_name: field_.name
    for section in (_File, _IPTables, _DetectLocal, _Conntrack)
    for field_ in fields(section)
}
_ATTRIBUTES = {
    name: tuple(_ATTRIBUTE_NAMES[str(step)] for step in path) for name, path in PATHS.items()
}
