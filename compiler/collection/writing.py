"""The manifest and the scripts of a collection, with what is chosen filled in."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from compiler.errors import InputError, Problem
from compiler.manifests.convert import shorten

DEFAULT_IMAGE = "ghcr.io/flannel-io/flannel:v0.26.7"
"""A public image that has both backends' iptables-save, a shell and wget."""

DEFAULT_NAMESPACE = "kube-system"
DEFAULT_METRICS = "127.0.0.1:10249"
"""Where kube-proxy serves its metrics (`metricsBindAddress`)."""

BACKENDS = ("auto", "nft", "legacy")

# iptables-legacy-save opens a raw socket to read tables, iptables-nft-save a netlink socket.
_CAPABILITIES = {"auto": "NET_ADMIN, NET_RAW", "nft": "NET_ADMIN", "legacy": "NET_ADMIN, NET_RAW"}

# As the reference grammar has it, without what would need quoting anywhere.
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:-]{0,400}(?:@sha256:[a-f0-9]{64})?")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_ADDRESS = re.compile(rf"(?:[A-Za-z0-9.-]{{1,253}}|\[[0-9a-fA-F:.]{{2,45}}\]):{_PORT}")

_RULES = {
    "image": (_IMAGE, "an image", f"use one like {DEFAULT_IMAGE}"),
    "namespace": (_NAMESPACE, "a namespace", f"use one like {DEFAULT_NAMESPACE}"),
    "metrics_address": (_ADDRESS, "an address with a port", f"use one like {DEFAULT_METRICS}"),
}


@dataclass(frozen=True, kw_only=True)
class Collection:
    """How rules and metrics are collected. Raises `InputError` for values that are none.

    - `image`: needs `sh`, `iptables-nft-save` and `ip6tables-nft-save`, curl or wget, and where
      nodes have legacy tables `iptables-legacy-save` too. kube-proxy's own image has no shell.
    - `namespace`: where Pods are made; it has to admit the host network and NET_ADMIN.
    - `backend`: `auto` reads nft's tables, and the legacy ones that there are; `nft` never needs
      NET_RAW, `legacy` reads no nft tables.
    - `metrics_address`: where kube-proxy serves its metrics, as seen from the node.
    """

    image: str = DEFAULT_IMAGE
    namespace: str = DEFAULT_NAMESPACE
    backend: str = "auto"
    metrics_address: str = DEFAULT_METRICS

    def __post_init__(self) -> None:
        problems = [
            Problem.of_argument(name, f"{shorten(getattr(self, name))} is not {what}", hint)
            for name, (pattern, what, hint) in _RULES.items()
            if not pattern.fullmatch(getattr(self, name))
        ]
        if self.backend not in BACKENDS:
            message = f"{shorten(self.backend)} is not a backend"
            problems.append(Problem.of_argument("backend", message, f"use {', '.join(BACKENDS)}"))
        if problems:
            raise InputError(problems)

    @property
    def node_script(self) -> str:
        """What runs on each node, in a container: it prints rules or metrics."""
        values = {"BACKEND": self.backend, "METRICS": shlex.quote(self.metrics_address)}
        return _filled("node.sh", values)

    @property
    def manifest(self) -> str:
        """A DaemonSet with the least rights, and the ConfigMap with its script, as YAML."""
        lines = self.node_script.splitlines()
        indented = "\n".join(f"    {line}" if line else "" for line in lines)
        values = {
            "NAMESPACE": json.dumps(self.namespace),
            "IMAGE": json.dumps(self.image),
            "CAPABILITIES": _CAPABILITIES[self.backend],
            "NODE_SH": indented,
        }
        return _filled("daemonset.yaml", values)

    @property
    def script(self) -> str:
        """A shell script that applies the manifest, collects from all nodes and cleans up."""
        values = {"MANIFEST": self.manifest.rstrip("\n"), "COMMON": _text("common.sh")}
        return _filled("gather.sh", {**values, **self._in_shell})

    @property
    def debug_script(self) -> str:
        """A shell script that does the same by `kubectl debug`, one node after the other."""
        values = {"NODE_SH": self.node_script.rstrip("\n"), "COMMON": _text("common.sh")}
        return _filled("debug.sh", {**values, **self._in_shell})

    @property
    def _in_shell(self) -> dict[str, str]:
        return {
            field.name.upper(): shlex.quote(getattr(self, field.name)) for field in fields(self)
        }


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _filled(name: str, values: dict[str, str]) -> str:
    """Fill a file's `@NAME@` in one pass, so that values are not searched for more of them."""
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], _text(name))
