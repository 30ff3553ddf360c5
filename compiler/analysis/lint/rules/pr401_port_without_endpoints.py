"""PR401."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.selectors import Selectors
from compiler.analysis.lint.words import listed
from compiler.manifests.workloads import Workload


class PortWithoutEndpoints(LintRule):
    """A port of a Service has no endpoints, although the Service has some.

    ## What goes wrong

    Connection refused on a port of a Service whose Pods are running and ready: the targetPort is a
    name that no container has, or the protocol differs, so that no EndpointSlice has this port.

    ## Why

    kube-proxy takes the endpoints of a service port from those slices that have a port of the same
    name and protocol. The EndpointSlice controller leaves out a port whose `targetPort` is a name
    that it finds in no container of a Pod (with the protocol of the service port, TCP unless
    written), and reports nothing. In slices that are written by hand a misspelt name does the same.
    Without endpoints kube-proxy rejects connections. Where there are no slices but workloads, this
    rule says what the controller will do.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      selector: {app: web}
      ports:
        - {name: http, port: 80, targetPort: http}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
    spec:
      selector:
        matchLabels: {app: web}
      template:
        metadata:
          labels: {app: web}
        spec:
          containers:
            - name: web
              image: web:1
              ports:
                - {name: web, containerPort: 8080}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      selector: {app: web}
      ports:
        - {name: http, port: 80, targetPort: web}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
    spec:
      selector:
        matchLabels: {app: web}
      template:
        metadata:
          labels: {app: web}
        spec:
          containers:
            - name: web
              image: web:1
              ports:
                - {name: web, containerPort: 8080}
    ```

    ## References

    - kubernetes `staging/src/k8s.io/endpointslice/utils.go` (`getEndpointPorts`, `FindPort`)
    - kubernetes `pkg/proxy/endpointslicecache.go` (`endpointInfoByServicePort`)
    """

    id = "PR401"
    name = "port-without-endpoints"
    severity = "error"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports that no slice with endpoints has, or that no Pod will have."""
        selectors = Selectors(context)
        sliced = {
            (one.metadata.namespace or "default", one.metadata.labels.service_name)
            for one in context.slices
            if one.metadata and one.metadata.labels
        }
        for port in context.ports:
            if (port.info.namespace, port.info.service) in sliced:
                if not port.endpoints and any(one.endpoints for one in port.slices):
                    yield self._in_no_slice(port, selectors)
            elif context.workloads and (cause := _cause(port, selectors)):
                yield self._finding(port, f"no Pod will have this port: {cause}", selectors)

    def _in_no_slice(self, port: Port, selectors: Selectors) -> LintFinding:
        cause = _cause(port, selectors)
        wanted = _words(port.info.port_name, port.info.protocol)
        message = f"no EndpointSlice has {wanted}, so connections are refused: {_seen(port)}"
        return self._finding(port, f"{message}; {cause}" if cause else message, selectors)

    def _finding(self, port: Port, message: str, selectors: Selectors) -> LintFinding:
        target = selectors.target_port(port.service, port.index, port.spec)
        # A name that the containers have can't be what is wrong.
        is_suspect = isinstance(target, str) and (
            bool(_cause(port, selectors)) or not selectors.workloads(port.service)
        )
        hint = (
            "targetPort must be the name of a container's port of the same protocol, or its number"
            if is_suspect
            else "name and protocol of the port must be those of the slices"
        )
        at = port.at("targetPort" if is_suspect else "name")
        return self.finding(message, hint, at=at, subject=port.subject)


def _seen(port: Port) -> str:
    """Say which ports the slices of a service port's Service have."""
    family = port.cluster.family.api_name
    seen = dict.fromkeys(
        _words(one.name or "", one.protocol or "TCP")
        for some in port.slices
        for one in some.ports or ()
        if some.endpoints and one.port
    )
    return f"the {family} slices have {listed([*seen]) or 'no ports'}"


def _words(name: str, protocol: str) -> str:
    return f"{name}/{protocol}" if name else f"an unnamed {protocol} port"


def _cause(port: Port, selectors: Selectors) -> str:
    """Say that no container has the port that is named; empty where that is not so, or not known.

    Source: kubernetes `pkg/api/v1/pod/util.go` (`FindPort`).
    """
    target = selectors.target_port(port.service, port.index, port.spec)
    workloads = selectors.workloads(port.service) if isinstance(target, str) else ()
    if not workloads or any(_has(one, str(target), port.info.protocol) for one in workloads):
        return ""
    names = listed([one.subject for one in workloads])
    have = dict.fromkeys(
        f"{one.name}/{one.protocol}" for some in workloads for one in some.ports if one.name
    )
    seen = f"they have {listed([*have])}" if have else "none has a port with a name"
    return f"no container of {names} has a port {target}/{port.info.protocol} ({seen})"


def _has(workload: Workload, name: str, protocol: str) -> bool:
    return any((one.name, one.protocol) == (name, protocol) for one in workload.ports)
