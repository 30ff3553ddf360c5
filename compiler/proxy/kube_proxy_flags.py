"""kube-proxy's flags, as its Pod or DaemonSet has them.

Sources: kubernetes `cmd/kube-proxy/app/options.go` (`AddFlags`), spf13/pflag (how values are
written), `staging/src/k8s.io/component-base/cli/flag` (`MapStringBool`, names with underscores).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from compiler.manifests.convert import shorten
from compiler.yaml.plain import Path

NAME = "kube-proxy"
_SHELLS = {"sh", "bash", "ash", "dash"}
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}
_VARIABLE = re.compile(r"\$\(([-._A-Za-z0-9]+)\)")
# What a variable may take from the Pod: the field, and where a Pod's manifest has it.
_POD_FIELDS = {"spec.nodeName": ("spec", "nodeName"), "status.hostIP": ("status", "hostIP")}

# Flags that take the node's own name and address from such a variable, which says nothing new.
_OF_THE_NODE = {"hostname_override", "bind_address"}


@dataclass(frozen=True)
class Flag:
    """A flag's value, its text, and the path to the argument that has it."""

    value: object
    text: str
    path: Path


@dataclass(frozen=True)
class FlagError:
    """A flag that kube-proxy would not start with."""

    path: Path
    message: str
    hint: str


@dataclass
class KubeProxy:
    """A container that runs kube-proxy: its flags that decide rules, and its `--config`."""

    flags: dict[str, Flag] = field(default_factory=dict)
    errors: list[FlagError] = field(default_factory=list)
    config: str = ""


def _switch(text: str) -> bool:
    if text in _TRUE | _FALSE:
        return text in _TRUE
    message = f"{shorten(text)} is neither true nor false"
    raise ValueError(message)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        message = f"{shorten(text)} is not a whole number"
        raise ValueError(message) from error


def _gates(text: str) -> dict[str, bool]:
    gates = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            message = f"{shorten(pair)} has no value"
            raise ValueError(message)
        gates[name.strip()] = _switch(value.strip())
    return gates


# The flags that decide rules, by their names in Python's spelling, and how their values are read.
FLAGS: dict[str, Callable[[str], object]] = {
    "proxy_mode": str,
    "hostname_override": str,
    "bind_address": str,
    "detect_local_mode": str,
    "pod_bridge_interface": str,
    "pod_interface_name_prefix": str,
    "cluster_cidr": str,
    "nodeport_addresses": lambda text: text.split(",") if text else [],
    "masquerade_all": _switch,
    "iptables_masquerade_bit": _number,
    "iptables_localhost_nodeports": _switch,
    "conntrack_tcp_be_liberal": _switch,
    "feature_gates": _gates,
}


def kube_proxies(value: Mapping[str, object]) -> Iterator[KubeProxy]:
    """Find the containers of a Pod, or of what makes Pods, that run kube-proxy."""
    kind = value.get("kind")
    path: Path = ("spec",) if kind == "Pod" else ("spec", "template", "spec")
    spec: object = value
    for step in path:
        spec = spec.get(str(step)) if isinstance(spec, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for index, container in enumerate(containers if isinstance(containers, list) else ()):
        if not isinstance(container, dict):
            continue
        arguments = list(_arguments(container, (*path, "containers", index)))
        if _runs_kube_proxy(container, arguments):
            yield _read(_after_the_command(arguments), _variables(container, value))


_Arguments = list[tuple[str, Path]]


def _arguments(container: Mapping[str, object], base: Path) -> Iterator[tuple[str, Path]]:
    """Return the words of a container's command line, each with its path."""
    words: _Arguments = []
    for name in ("command", "args"):
        listed = container.get(name)
        for index, word in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(word, str):
                words.append((word, (*base, name, index)))
    is_shell = bool(words) and PurePosixPath(words[0][0]).name in _SHELLS
    for word, path in words:
        if is_shell and NAME in word:
            yield from ((part, path) for part in _shell_words(word))
        else:
            yield word, path


def _shell_words(script: str) -> list[str]:
    try:
        return shlex.split(script)
    except ValueError:  # a quote that is not closed
        return script.split()


def _runs_kube_proxy(container: Mapping[str, object], arguments: _Arguments) -> bool:
    if any(PurePosixPath(word).name == NAME for word, _ in arguments):
        return True
    return container.get("name") == NAME and any(word.startswith("-") for word, _ in arguments)


def _after_the_command(arguments: _Arguments) -> _Arguments:
    for index, (word, _) in enumerate(arguments):
        if PurePosixPath(word).name == NAME:
            return arguments[index + 1 :]
    return arguments


def _variables(container: Mapping[str, object], pod: Mapping[str, object]) -> dict[str, str | None]:
    """Return the container's variables; None for one whose value is not in the manifest."""
    variables: dict[str, str | None] = {}
    listed = container.get("env")
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            continue
        value: object = entry.get("value")
        source = entry.get("valueFrom")
        reference = source.get("fieldRef") if isinstance(source, dict) else None
        if isinstance(reference, dict):
            value = pod if pod.get("kind") == "Pod" else None
            for step in _POD_FIELDS.get(str(reference.get("fieldPath")), ("?",)):
                value = value.get(step) if isinstance(value, dict) else None
        variables[entry["name"]] = value if isinstance(value, str) else None
    return variables


def _read(arguments: _Arguments, variables: Mapping[str, str | None]) -> KubeProxy:
    """Read flags as pflag does: `--name=value`, `--name value`, and `--name` for a true one."""
    proxy = KubeProxy()
    rest = iter(arguments)
    for word, path in rest:
        if not word.startswith("--"):
            continue
        name, equals, text = word[2:].partition("=")
        name = name.replace("-", "_")
        read = FLAGS.get(name)
        if read is None and name != "config":
            continue
        if not equals:
            text = "true" if read is _switch else next(rest, ("", path))[0]
        expanded = _expanded(text, variables)
        if expanded is None:
            if name not in _OF_THE_NODE:
                message = (
                    f"--{name.replace('_', '-')} is {text}, whose value is not in the manifest"
                )
                proxy.errors.append(FlagError(path, message, "replace it with the value"))
            continue
        if read is None:
            proxy.config = expanded
            continue
        try:
            value = read(expanded)
        except ValueError as error:
            message = f"--{name.replace('_', '-')}: {error}"
            proxy.errors.append(FlagError(path, message, "kube-proxy does not start with it"))
            continue
        if name == "nodeport_addresses" and name in proxy.flags:
            value = [*_entries(proxy.flags[name].value), *_entries(value)]
        proxy.flags[name] = Flag(value, expanded, path)
    return proxy


def _entries(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _expanded(text: str, variables: Mapping[str, str | None]) -> str | None:
    """Put variables in, as the kubelet does; None where one has no value before the Pod runs."""
    names = set(_VARIABLE.findall(text))
    if any(name in variables and variables[name] is None for name in names):
        return None
    return _VARIABLE.sub(lambda found: str(variables.get(found[1], found[0])), text)
