"""kube-proxy's configuration: the file, the flags that win over it, and what is valid.

Sources: kubernetes `pkg/proxy/apis/config/types.go` and `validation`; `cmd/kube-proxy/app`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec import field as renamed
from msgspec.structs import fields

from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.address import family_of, network_family, parse_network
from compiler.manifests.convert import convert, describe, shorten
from compiler.manifests.source import Source
from compiler.manifests.text import decode
from compiler.yaml.plain import (
    Path,
    PlainDocument,
    SyntaxProblem,
    duplicate_keys,
    field_path,
)

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"
CONFIG_MAP_KEY = "config.conf"

DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
NODE_PORT_KEYWORDS = ("primary", "localhost", "all")
DEFAULT_MASQUERADE_BIT = 14

# Linux refuses `/`, `:` and white space in interface names, and more than 15 bytes; what would
# mean something else to iptables (quotes, `!`, a leading `-`, a trailing `+`) is refused as well.
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


# A value's name here -> its path in the file. Flags have kube-proxy's own names for them.
PATHS: dict[str, Path] = {
    "mode": ("mode",),
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
"""Makes a problem of a value by name: what is wrong, what would be right."""


@dataclass(frozen=True)
class ProxyConfig:
    """What of kube-proxy's configuration decides the rules, valid and with defaults.

    `cluster_cidrs` has at most one CIDR a family, as written. `pod_interface` is the bridge or the
    prefix, by `detect_local_mode`. `node_port_addresses` has CIDRs and `NODE_PORT_KEYWORDS`.
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
    """Read the configuration: `flags` (by the names in `PATHS`) win over the file.

    The file is a KubeProxyConfiguration, alone or among other documents, or kubeadm's ConfigMap
    `kube-proxy` with one under `config.conf`. Raises `InputError` with every problem, `TypeError`
    for a flag that there isn't or that has another type.
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


def _kind(document: PlainDocument) -> str:
    kind = document.value.get("kind") if isinstance(document.value, dict) else None
    if not isinstance(kind, str):
        return describe(document.value)
    return kind if kind.isprintable() else shorten(kind)


class _Reading:
    def __init__(self, source: Source | None, flags: Mapping[str, object]) -> None:
        self.problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._flags = flags
        self._name = source.name if source else ""
        self._document: PlainDocument | None = None
        self._file = _File()
        self._told: set[Path] = set()
        if source is not None:
            try:
                self._read(decode(source.text))
            except SyntaxProblem as problem:
                self._tell_syntax(problem)

    def _tell_syntax(self, problem: SyntaxProblem) -> None:
        self.problems.append(
            Problem(self._name, problem.message, problem.hint, problem.line, problem.column)
        )

    def _read(self, text: str) -> None:
        from compiler.yaml.composed import compose

        documents = compose(text)
        ours = [document for document in documents if _kind(document) == KIND]
        if ours:
            self._document = ours[0]
            self._take(ours[0].value)
            for other in ours[1:]:
                line, column = other.locate(())
                message = f"a second {KIND}"
                self.problems.append(Problem(self._name, message, "one of them", line, column))
            return
        for document in documents:
            data = document.value.get("data") if isinstance(document.value, dict) else None
            inner = data.get(CONFIG_MAP_KEY) if isinstance(data, dict) else None
            if isinstance(inner, str):
                self._name += f" ({CONFIG_MAP_KEY})"
                self._read(inner)
                return
        found = ", ".join(map(_kind, documents)) or "nothing"
        self.problems.append(
            Problem(self._name, f"no {KIND} here, but {found}", f"apiVersion {API_VERSION}")
        )

    def _take(self, value: object) -> None:
        for path in duplicate_keys(value):
            self._add(path, "the key stands here twice", "each key once", at_key=True)
        self._file = convert(
            value,
            _File,
            self._add,
            lambda path, message, hint: self._warnings.append(
                self._at(path, message, hint, key=True)
            ),
            scalars=self._document,
        )
        if self._file.api_version != API_VERSION:
            version = self._file.api_version
            message = "missing" if version is None else f"{shorten(version)} is not supported"
            self._add(("apiVersion",), message, API_VERSION)

    def _at(self, path: Path, message: str, hint: str, *, key: bool = False) -> Problem:
        line, column = self._document.locate(path, key=key) if self._document else (None, None)
        return Problem(self._name, message, hint, line, column, KIND, field_path(path))

    def _add(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        if path not in self._told:
            self._told.add(path)
            self.problems.append(self._at(path, message, hint, key=at_key))

    def tell(self, name: str, message: str, hint: str) -> Problem:
        """Make a problem of a value, at the flag or the line of the file that gave it."""
        if name in self._flags or self._document is None:
            return Problem(f"--{name.replace('_', '-')}", message, hint)
        return self._at(PATHS[name], message, hint)

    def _refuse(self, name: str, message: str, hint: str) -> None:
        told = any(path[: len(PATHS[name])] == PATHS[name] for path in self._told)
        if name in self._flags or not told:
            self.problems.append(self.tell(name, message, hint))

    def _value(self, name: str) -> object:
        """Give the flag's value, else the file's, else None."""
        if name in self._flags:
            return self._flags[name]
        value: object = self._file
        for attribute in _ATTRIBUTES[name]:
            value = getattr(value, attribute) if value is not None else None
        return value

    def _text(self, name: str) -> str:
        return str(self._value(name) or "")

    def config(self) -> ProxyConfig:
        mode = self._text("mode")
        if mode not in {"", "iptables"}:
            self._refuse("mode", f"the mode {shorten(mode)}", "iptables: only its rules are known")
        bit = self._value("iptables_masquerade_bit")
        if isinstance(bit, int) and not 0 <= bit <= 31:
            self._refuse("iptables_masquerade_bit", f"no bit of a mark: {bit}", "from 0 to 31")
        bind_address = self._text("bind_address")
        if bind_address and family_of(bind_address) is None:
            message = f"not an IP address: {shorten(bind_address)}"
            self._refuse("bind_address", message, "0.0.0.0, :: or the node's own")
        gates = self._value("feature_gates")
        detect_mode, interface = self._detect_local()
        localhost = self._value("iptables_localhost_nodeports")
        return ProxyConfig(
            tell=self.tell,
            hostname_override=self._text("hostname_override").strip().lower() or None,
            bind_address=bind_address or None,
            detect_local_mode=detect_mode,
            pod_interface=interface,
            cluster_cidrs=self._cluster_cidrs(),
            node_port_addresses=self._node_port_addresses(),
            masquerade_all=bool(self._value("masquerade_all")),
            masquerade_bit=bit if isinstance(bit, int) else DEFAULT_MASQUERADE_BIT,
            localhost_node_ports=localhost is not False,
            tcp_be_liberal=bool(self._value("conntrack_tcp_be_liberal")),
            feature_gates=gates if isinstance(gates, dict) else {},
            warnings=tuple(self._warnings),
        )

    def _detect_local(self) -> tuple[str, str | None]:
        mode = self._text("detect_local_mode") or "ClusterCIDR"
        if mode not in DETECT_LOCAL_MODES:
            message = f"unknown: {shorten(mode)}"
            self._refuse("detect_local_mode", message, f"one of {', '.join(DETECT_LOCAL_MODES)}")
        names = {
            "BridgeInterface": ("pod_bridge_interface", 15),
            "InterfaceNamePrefix": ("pod_interface_name_prefix", 14),
        }
        if mode not in names:
            return mode, None
        name, limit = names[mode]
        interface = self._text(name)
        if not interface:
            self._refuse(name, f"missing, and the mode is {mode}", "the name")
        elif not _INTERFACE.fullmatch(interface) or len(interface) > limit:
            message = f"Linux or iptables refuses the interface name {shorten(interface)}"
            self._refuse(name, message, f"at most {limit} of letters, digits, -, _, . and @")
        return mode, interface

    def _cluster_cidrs(self) -> dict[Family, str]:
        cidrs: dict[Family, str] = {}
        for entry in filter(None, self._text("cluster_cidr").split(",")):
            network = parse_network(entry.strip())
            if network is None:
                message = f"not a CIDR: {shorten(entry)}"
                self._refuse("cluster_cidr", message, "such as 10.244.0.0/16,fd00:10:244::/56")
            elif network_family(network) in cidrs:
                message = f"more than one {network_family(network).api_name} CIDR"
                self._refuse("cluster_cidr", message, "at most one a family")
            else:
                cidrs[network_family(network)] = entry.strip()
        return cidrs

    def _node_port_addresses(self) -> tuple[str, ...]:
        value = self._value("nodeport_addresses")
        entries = [str(entry).strip() for entry in value] if isinstance(value, list | tuple) else []
        for entry in entries:
            if entry not in NODE_PORT_KEYWORDS and parse_network(entry) is None:
                message = f"not a CIDR: {shorten(entry)}"
                self._refuse("nodeport_addresses", message, "such as 192.168.0.0/16, or primary")
        return tuple(entries)


_ATTRIBUTE_NAMES = {
    field_.encode_name: field_.name
    for section in (_File, _IPTables, _DetectLocal, _Conntrack)
    for field_ in fields(section)
}
_ATTRIBUTES = {
    name: tuple(_ATTRIBUTE_NAMES[str(step)] for step in path) for name, path in PATHS.items()
}
