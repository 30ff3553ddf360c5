"""PR403."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.manifests.schema import EndpointSlice

_MULTICLUSTER = "multicluster.kubernetes.io/service-name"


class SliceWithoutService(LintRule):
    """An EndpointSlice does not say which Service it belongs to.

    ## What goes wrong

    An EndpointSlice that was written by hand, for a database outside of the cluster, say, is
    ignored: the Service has no endpoints and refuses connections.

    ## Why

    A slice belongs to the Service that its label `kubernetes.io/service-name` names. kube-proxy
    does not look at slices without it, whatever their name or owner is. Slices of multi-cluster
    Services have `multicluster.kubernetes.io/service-name` instead and are not reported.

    ## Bad example

    ```yaml
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: database
    addressType: IPv4
    ports:
      - {name: postgres, port: 5432}
    endpoints:
      - {addresses: [192.0.2.20]}
    ```

    ## Good example

    ```yaml
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: database-1
      labels: {kubernetes.io/service-name: database}
    addressType: IPv4
    ports:
      - {name: postgres, port: 5432}
    endpoints:
      - {addresses: [192.0.2.20]}
    ```

    ## References

    - https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors
    - KEP-1645, kubernetes/enhancements#1645 (multi-cluster Services)
    - kubernetes `pkg/proxy/endpointslicecache.go` (`endpointSliceCacheKeys`)
    """

    id = "PR403"
    name = "slice-without-service"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report slices with endpoints whose label is missing or empty."""
        names = {family.api_name for family in context.families}
        for one in context.slices:
            labels = one.metadata.labels if one.metadata else None
            if (
                one.address_type not in names
                or not one.endpoints
                or (labels and (labels.service_name or labels.service_proxy_name is not None))
                or _is_multicluster(context, one)
            ):
                continue
            yield self.finding(
                "without the label kubernetes.io/service-name kube-proxy ignores this slice and "
                f"its endpoints ({len(one.endpoints):,})",
                "set the label to the name of the Service",
                at=context.at(one, "metadata", "labels", "kubernetes.io/service-name"),
            )


def _is_multicluster(context: Context, one: EndpointSlice) -> bool:
    metadata = context.plain(one).get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    return isinstance(labels, Mapping) and _MULTICLUSTER in labels
