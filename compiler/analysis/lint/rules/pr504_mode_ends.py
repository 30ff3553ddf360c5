"""PR504."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import DumpLine, LintFinding, LintRule, Setting
from compiler.kube_rules.chains import is_service_chain
from compiler.kube_rules.mode import IPVS_CHAIN, other_mode

_IPVS = "the ipvs mode is deprecated since Kubernetes 1.35, and will be removed"
_HINT = "move to the nftables mode (Linux 5.13 and later) or the iptables mode"


class ModeEnds(LintRule):
    """kube-proxy runs in a mode that Kubernetes gives up.

    ## What goes wrong

    kube-proxy logs "The ipvs proxier is now deprecated and may be removed in a future release", and
    one of the next upgrades is one after which kube-proxy does not start: as with mode userspace,
    which is gone since Kubernetes 1.26.

    ## Why

    The ipvs mode is deprecated since 1.35. Since 1.37 the feature gate KubeProxyIPVS guards it,
    which is planned to be off by default in 1.40. Changing the mode of a node takes a reboot, or
    `kube-proxy --cleanup` first, so it is better planned than done during an upgrade.

    The mode is taken from kube-proxy's configuration, and from dumps that have the ipvs mode's
    rules. `lint` looks at the rules of the iptables mode; for a configuration with another mode it
    is called with `--proxy-mode iptables`, and all other findings are about the cluster as it would
    be in that mode.

    ## Bad example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: ipvs
    clusterCIDR: 10.244.0.0/16
    ---
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
    ```

    ```arguments
    --proxy-mode iptables
    ```

    ## Good example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    clusterCIDR: 10.244.0.0/16
    ---
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
    ```

    ## References

    - KEP-5495, kubernetes/enhancements#5495
    - kubernetes/kubernetes#134539
    - kubernetes/kubernetes#112133
    """

    id = "PR504"
    name = "mode-ends"
    severity = "warning"
    needs = ("config", "dumps")

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the setting, and dumps of nodes in the mode."""
        mode = context.written_config.value("proxy_mode")
        at = Setting("proxy_mode", overridden=True)
        if mode == "ipvs":
            yield self.finding(_IPVS, _HINT, at=at)
        elif mode == "userspace":
            message = "the mode userspace was removed in Kubernetes 1.26: kube-proxy does not start"
            yield self.finding(message, _HINT, at=at, severity="error")
        for dump in context.dumps:
            chain = dump.ruleset.chain("nat", IPVS_CHAIN)
            # beside rules of the iptables mode it may be left over
            if other_mode(dump.ruleset) == "ipvs" and not any(
                map(is_service_chain, dump.ruleset.table("nat"))
            ):
                line = chain.line if chain else 0
                yield self.finding(
                    f"kube-proxy ran here in a mode that ends: {_IPVS}",
                    _HINT,
                    at=DumpLine(dump, line),
                )
