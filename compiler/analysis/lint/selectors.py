"""What Services select, and the workloads that they do, for the rules about endpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from compiler.analysis.lint.context import Context
from compiler.manifests.schema import Service, ServicePort
from compiler.manifests.workloads import Workload


class Selectors:
    """The selectors of Services, each looked up once, and the workloads by namespace."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._specs: dict[int, Mapping[str, object]] = {}
        self._workloads: defaultdict[str, list[Workload]] = defaultdict(list)
        for one in context.workloads:
            if not one.ended:  # the Pods of Jobs that are done are no endpoints
                self._workloads[one.namespace].append(one)

    def spec(self, service: Service) -> Mapping[str, object]:
        """Return a Service's spec with every field that was written."""
        if id(service) not in self._specs:
            spec = self._context.plain(service).get("spec")
            self._specs[id(service)] = spec if isinstance(spec, Mapping) else {}
        return self._specs[id(service)]

    def of(self, service: Service) -> Mapping[str, str]:
        """Return a Service's selector; empty where it has none."""
        selector = self.spec(service).get("selector")
        found = selector if isinstance(selector, Mapping) else {}
        return {str(key): str(value) for key, value in found.items()}

    def workloads(self, service: Service) -> Sequence[Workload]:
        """Return the workloads whose Pods a Service selects; none where it has no selector."""
        selector = self.of(service).items()
        namespace = (service.metadata and service.metadata.namespace) or "default"
        return [
            one for one in self._workloads[namespace] if selector and selector <= one.labels.items()
        ]

    def target_port(self, service: Service, index: int, port: ServicePort) -> str | int:
        """Return what a port of a Service leads to: a number, or the name of a container's port."""
        ports = self.spec(service).get("ports")
        written = ports[index] if isinstance(ports, list) and index < len(ports) else None
        target = written.get("targetPort") if isinstance(written, Mapping) else None
        return target if isinstance(target, str | int) and target else port.port or 0


def contradict(some: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether no Pod can have the labels of both selectors."""
    return any(others.get(key, value) != value for key, value in some.items())
