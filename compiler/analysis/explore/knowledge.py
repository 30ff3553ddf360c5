"""What is known of one side beside its rules: names, manifests, and where these have what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compiler.analysis.causes import Cause, Causes
from compiler.analysis.names import Names
from compiler.analysis.rule_facts import facts_of, said
from compiler.kube_rules.rule_kinds import kind_of
from compiler.kube_rules.rule_line import read_rule_line
from compiler.kube_rules.service_port import Key
from compiler.manifests.origins import Origin
from compiler.manifests.schema import EndpointSlice, Service

# Places of one rule that are named.
_PLACES = 3


@dataclass(frozen=True)
class Knowledge:
    """What is known of one side beside its rules.

    `names` are what hashes, addresses and ports mean. `causes` finds fields of manifests, None
    where there are none. `pods` are the names of endpoints (`web-1`) by Service (`default/web`) and
    address, as far as they are known. `slices` are the EndpointSlices by Service.
    """

    names: Names = field(default_factory=Names)
    causes: Causes | None = None
    pods: Mapping[tuple[str, str], str] = field(default_factory=dict)
    slices: Mapping[str, Sequence[EndpointSlice]] = field(default_factory=dict)

    def service(self, key: Key) -> Service | None:
        """Return the manifest of a service port's Service, None where there is none."""
        hashed = self.names.hashes.get((key.name, key.protocol))
        port = self.names.ports.get(hashed) if hashed else None
        return port.service if port else None

    def why(self, text: str) -> tuple[str, str]:
        """Say what a rule of kube-proxy's does, and where what it is due to is in the manifests.

        Both are empty where nothing is known: of a rule that kube-proxy does not write.
        """
        rule = read_rule_line(text)
        kind = kind_of(rule) if rule is not None else None
        if rule is None or kind is None:
            return "", ""
        facts, notes = facts_of(rule, self.names)
        if "{port}" in kind.does and facts.port is None:
            return "", ""
        words = "; ".join((said(kind.does, facts, rule), *notes))
        if self.causes is None:
            return words, ""
        causes = self.causes.find(kind.causes, facts.port, facts.endpoint, facts.address)
        return words, "; ".join(_places(causes))

    def forget(self) -> None:
        """Drop what was read of the manifests for places; it is read again when asked for."""
        if self.causes is not None:
            self.causes.forget()

    def objects(self, key: Key) -> list[tuple[str, str]]:
        """Return the objects that a service port comes from, each with its place."""
        service = self.service(key)
        if service is None or self.causes is None:
            return []
        namespace = (service.metadata and service.metadata.namespace) or "default"
        name = f"{namespace}/{service.metadata.name if service.metadata else ''}"
        found: list[Service | EndpointSlice] = [service, *self.slices.get(name, ())]
        origins = [self.causes.field(one, ()) for one in found]
        return [
            (one.subject, f"{one.file}:{one.line}" if one.line else one.file) for one in origins
        ]


def _places(causes: list[Cause]) -> list[str]:
    """Write the places of what a rule is due to, those with a line first."""
    origins = list(dict.fromkeys(cause.origin for cause in causes))
    placed = [origin for origin in origins if origin.line]
    return [place_of(origin) for origin in placed[:_PLACES]]


def place_of(origin: Origin) -> str:
    """Write where a field is: `cluster.yaml:17: Service default/web: spec.ports[0].port`."""
    return f"{origin.file}:{origin.line}: {origin.subject}: {origin.field}"
