"""PR407."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.exposure import Reach, reach
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.selectors import Selectors
from compiler.analysis.lint.words import listed
from compiler.manifests.address import family_of
from compiler.manifests.workloads import ContainerPort, Workload

_User = tuple[Workload, ContainerPort]


class NodePortIsHostPort(LintRule):
    """A node port of a Service is a host port of a Pod.

    ## What goes wrong

    A Pod with hostPort or hostNetwork listens on a node's port and gets no connections, or another
    application answers them: a Service has the same number as its nodePort.

    ## Why

    kube-proxy translates what is sent to a node port before the node looks for a process that
    listens there. Nothing prevents that: neither the scheduler nor the API server compares host
    ports with node ports, and kube-proxy no longer tries to listen on them itself. With hostPort
    the network plugin has rules of its own, and whose come first decides; kube-proxy puts its jump
    at the top. Where the Service selects the Pods in question nothing is reported, since the
    application is the same one.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      type: NodePort
      clusterIP: 10.96.0.10
      selector: {app: web}
      ports:
        - {name: http, port: 80, nodePort: 30080}
    ---
    apiVersion: apps/v1
    kind: DaemonSet
    metadata: {name: agent}
    spec:
      selector:
        matchLabels: {app: agent}
      template:
        metadata:
          labels: {app: agent}
        spec:
          hostNetwork: true
          containers:
            - name: agent
              image: agent:1
              ports:
                - {name: metrics, containerPort: 30080}
    ```

    ## Good example

    Host ports are outside of the range of node ports, 30000 to 32767 by default.

    ```yaml
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      type: NodePort
      clusterIP: 10.96.0.10
      selector: {app: web}
      ports:
        - {name: http, port: 80, nodePort: 30080}
    ---
    apiVersion: apps/v1
    kind: DaemonSet
    metadata: {name: agent}
    spec:
      selector:
        matchLabels: {app: agent}
      template:
        metadata:
          labels: {app: agent}
        spec:
          hostNetwork: true
          containers:
            - name: agent
              image: agent:1
              ports:
                - {name: metrics, containerPort: 9100}
    ```

    ## References

    - kubernetes/kubernetes#97360
    - kubernetes/kubernetes#100643, kubernetes/kubernetes#108496
    - kubernetes/kubernetes#76892
    """

    id = "PR407"
    name = "node-port-is-host-port"
    severity = "error"
    needs = ("workloads",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report node ports that workloads with host ports have too, on the same addresses."""
        users = _users(context)
        if not users:
            return
        selectors = Selectors(context)
        reaches = {family: reach(context, family) for family in context.families}
        for port in context.ports:
            key = (port.info.node_port, port.info.protocol)
            mine = {id(one) for one in selectors.workloads(port.service)} if key in users else set()
            some = [
                (workload, used)
                for workload, used in users.get(key, ())
                if id(workload) not in mine
                and _meets(context, reaches[port.cluster.family], port, workload, used)
            ]
            if some:
                subjects = dict.fromkeys(workload.subject for workload, _ in some)
                yield self.finding(
                    f"{listed([*subjects])} has {key[0]}/{key[1]} as a host port, and connections "
                    "to it go to this Service",
                    "use another host port, outside of 30000 to 32767, or another nodePort",
                    at=port.at("nodePort"),
                    subject=port.subject,
                )


def _users(context: Context) -> Mapping[tuple[int, str], list[_User]]:
    """Return the workloads that take a port of their node, by its number and protocol."""
    found: defaultdict[tuple[int, str], list[_User]] = defaultdict(list)
    for workload in context.workloads:
        for port in workload.ports:
            if port.host_port and not workload.ended:
                found[port.host_port, port.protocol].append((workload, port))
    return found


def _meets(
    context: Context, where: Reach, port: Port, workload: Workload, used: ContainerPort
) -> bool:
    """Whether the node port, open `where`, surely is so on an address on which the host port is."""
    family = port.cluster.family
    if workload.ips and all(family_of(ip) is not family for ip in workload.ips):
        return False
    address = _host_ip(context, workload, used)
    if address and family_of(address) is not family:
        return False
    if not address or ipaddress.ip_address(address).is_unspecified:
        return where in {Reach.EVERY, Reach.SOME}
    return where is Reach.EVERY and not ipaddress.ip_address(address).is_loopback


def _host_ip(context: Context, workload: Workload, used: ContainerPort) -> str:
    """Return the address that a host port is limited to; empty without one."""
    value: object = context.fields.plain_at(workload.place)
    for step in used.path:
        value = value[step]  # type: ignore[index]  # the path was read from there
    found = value.get("hostIP") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and family_of(found) else ""
