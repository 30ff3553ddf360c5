"""PR002."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.registry import all_rules
from compiler.analysis.lint.rule import Edit, LintFinding, LintRule
from compiler.analysis.lint.suppression import PATH, Entry
from compiler.analysis.lint.unseen import without_cluster_ip, without_slices


class UnusedIgnore(LintRule):
    """An annotation ignores a rule that reports nothing.

    ## What goes wrong

    A Service has the annotation proxyrules.dev/ignore for a problem that it no longer has, or the
    id of the rule is misspelt. If the problem comes back, or a new one comes, it is not reported.

    ## Why

    `lint` leaves out the findings of the rules that the annotation names. An entry that leaves out
    nothing is a leftover, and `--fix` removes it. Rules that did not run, or could not look at all
    that they need, such as Pods or the EndpointSlices of the Service, are left out.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      annotations:
        proxyrules.dev/ignore: "PR101: http only redirects to https"
    spec:
      clusterIP: 10.96.0.10
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
    spec:
      clusterIP: 10.96.0.10
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

    id = "PR002"
    name = "unused-ignore"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ids that are no rule's, and those of rules that ran and reported nothing."""
        known = all_rules()
        unseen = {*without_cluster_ip(context), *without_slices(context)}
        for name, service in context.suppressions.services.items():
            entries = context.suppressions.entries_of(name)
            idle = {
                rule_id: known.get(rule_id)
                for entry in entries
                for rule_id in entry.ids
                if not context.suppressions.is_used(name, rule_id)
                and (rule_id not in known or (name not in unseen and context.is_checked(rule_id)))
            }
            if not idle:
                continue
            told = [
                f"{rule_id} reports nothing" if rule else f"there is no rule {rule_id}"
                for rule_id, rule in idle.items()
            ]
            rest = "; ".join(filter(None, (_without(entry, set(idle)) for entry in entries)))
            at = context.at(service, *PATH)
            # A misspelt id is the user's to correct.
            fix = (Edit(at, rest or None),) if all(idle.values()) else ()
            yield self.finding(
                f"ignored without effect: {', '.join(told)}",
                "remove it" if fix else "write the id of the rule, such as PR101",
                at=at,
                fix=fix,
            )


def _without(entry: Entry, idle: set[str]) -> str:
    """Return an entry without some ids; empty where none is left."""
    ids = [one for one in entry.ids if one not in idle]
    if len(ids) == len(entry.ids):
        return entry.text
    return f"{' '.join(ids)}: {entry.reason}" if ids else ""
