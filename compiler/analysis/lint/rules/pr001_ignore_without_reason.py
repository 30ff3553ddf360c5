"""PR001."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.suppression import PATH


class IgnoreWithoutReason(LintRule):
    """An annotation ignores a rule and gives no reason.

    ## What goes wrong

    A Service has the annotation proxyrules.dev/ignore, and no one can say later whether what it
    hides is still meant: the finding is gone, the problem may not be.

    ## Why

    `lint` leaves out what the annotation names, for as long as it is there. The reason is what a
    reviewer needs to decide whether the annotation can go.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      annotations:
        proxyrules.dev/ignore: PR101
    spec:
      clusterIP: 10.96.0.10
      sessionAffinity: ClientIP
      ports:
        - {name: http, port: 80}
        - {name: https, port: 443}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
      - {name: https, port: 8443}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      annotations:
        proxyrules.dev/ignore: "PR101: http only redirects to https, and needs no session"
    spec:
      clusterIP: 10.96.0.10
      sessionAffinity: ClientIP
      ports:
        - {name: http, port: 80}
        - {name: https, port: 443}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
      - {name: https, port: 8443}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ## References

    - `docs/lint.md`, "Ignoring findings"
    """

    id = "PR001"
    name = "ignore-without-reason"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report each annotation with an entry that has no reason."""
        for name, service in context.suppressions.services.items():
            without = [one for one in context.suppressions.entries_of(name) if not one.reason]
            if without:
                ids = " ".join(without[0].ids)
                yield self.finding(
                    f"no reason is given for ignoring {', '.join(one.text for one in without)}",
                    f'write one after a colon: "{ids}: reason"',
                    at=context.at(service, *PATH),
                )
