"""PR701."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from compiler.analysis.diff import RulesDiff, diff_rules
from compiler.analysis.diff_words import Change
from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.proxy.cluster_plan import NodeName
from compiler.proxy.service_port import ServicePortInfo

# How many changes and nodes a message lists.
_LISTED = 3
_COMPARED = 20


class UpgradeChangesTraffic(LintRule):
    """After an upgrade of Kubernetes, traffic to a Service goes another way.

    ## What goes wrong

    After the upgrade all traffic of a zone goes to the few Pods in that zone, a node's clients use
    its own Pods only, or an address stops answering: no manifest changed, but kube-proxy's rules
    did, since a feature gate is on by default now or an endpoint is chosen in another way.

    ## Why

    Releases change what kube-proxy makes of the same objects: zone hints without the annotation
    count since 1.31 (ServiceTrafficDistribution), node hints since 1.34
    (PreferSameTrafficDistribution), `externalIPs` may be turned off since 1.36
    (AllowServiceExternalIPs), and since 1.36 another copy of an endpoint in several slices counts.

    With `--kube-version` (what the cluster has) and `--upgrade-to`, each Service is compiled for
    both releases and every node, and the rules are compared as `proxyrules diff` does. Only what
    packets notice is reported.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1, hints: {forNodes: [{name: worker-1}]}}
      - {addresses: [10.244.2.2], nodeName: worker-2, hints: {forNodes: [{name: worker-2}]}}
    ```

    ```arguments
    --kube-version 1.33 --upgrade-to 1.34
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ```arguments
    --kube-version 1.33 --upgrade-to 1.34
    ```

    ## References

    - KEP-3015, kubernetes/enhancements#3015
    - KEP-4444, kubernetes/enhancements#4444
    - KEP-5707, kubernetes/enhancements#5707
    - kubernetes/kubernetes#135593
    """

    id = "PR701"
    name = "upgrade-changes-traffic"
    severity = "warning"
    needs = ("upgrade",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report each service port whose rules the newer release writes otherwise."""
        if context.newer is None:
            return
        # Features decide about fields of service ports, and never about which there are.
        infos = {
            id(now): then
            for family in context.families
            for now, then in zip(
                context.cluster(family).infos, context.newer_cluster(family).infos, strict=True
            )
        }
        for port in context.ports:
            differences = _differences(context, port, infos[id(port.info)])
            if differences:
                yield self.finding(
                    f"Kubernetes {context.newer} changes its traffic{_in_words(differences)}",
                    f"see all of it with diff, once for {context.release} and once for "
                    f"{context.newer}",
                    at=port.at(),
                    subject=port.subject,
                )


def _differences(
    context: Context, port: Port, info: ServicePortInfo
) -> list[tuple[RulesDiff, list[NodeName]]]:
    """Return what differs for packets, each with nodes where it does (of some, where many)."""
    there = context.newer_cluster(port.cluster.family)
    nodes: defaultdict[tuple[int, int], list[NodeName]] = defaultdict(list)
    for node in port.cluster.nodes:
        now, then = port.on(node), there.on(info, node)
        if now != then:
            nodes[id(now), id(then)].append(node)
    differences = []
    # Each node that hints name has a plan of its own: some show what happens.
    for some in list(nodes.values())[:_COMPARED]:
        old = port.cluster.plan(some[0], [port.info])
        new = there.plan(some[0], [info])
        found = diff_rules(context.rules(old), context.rules(new))
        if not found.same:
            differences.append((found, some))
    return differences


def _in_words(differences: Sequence[tuple[RulesDiff, list[NodeName]]]) -> str:
    """Describe the first difference, and count the nodes that have others."""
    found, nodes = differences[0]
    where = f" on {nodes[0]}" if nodes[0] else ""
    same = _more_nodes(len(nodes) - 1)
    more = sum(len(some) for _, some in differences[1:])
    others = "many nodes" if len(differences) >= _COMPARED else _more_nodes(more)
    return (
        f"{where}{same and f' and {same}'}: {_words(found)}"
        f"{others and f'; in another way on {others}'}"
    )


def _more_nodes(count: int) -> str:
    return f"{count} more node{'s'[: count > 1]}" if count else ""


def _words(found: RulesDiff) -> str:
    changes = [change for port in found.ports for change in port.changes]
    changes += [*found.node, *found.outside]
    words = [_change(one) for one in changes] or [f"it may: {one}" for one in found.may_differ]
    more = f", and {len(words) - _LISTED} more changes" if len(words) > _LISTED else ""
    return ", ".join(words[:_LISTED]) + more


def _change(change: Change) -> str:
    what = f"{change.what} {change.item}" if change.item else change.what
    if change.after is None:
        return f"{what} is gone ({change.before})"
    return f"{what} {change.after}" + (f" (now {change.before})" if change.before else " is new")
