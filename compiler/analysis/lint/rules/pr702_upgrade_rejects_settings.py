"""PR702."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule, Setting
from compiler.proxy.release import GATES, Release, Stage

_GONE = (Stage.ABSENT_OFF, Stage.ABSENT_ON)


class UpgradeRejectsSettings(LintRule):
    """kube-proxy of a newer release does not start with its configuration of today.

    ## What goes wrong

    After the upgrade kube-proxy is in CrashLoopBackOff with "unrecognized feature gate" or "cannot
    set feature gate ... to false, feature is locked to true", and the rules of the nodes stay as
    they were when it stopped.

    ## Why

    A feature gate is locked when its feature is stable, and removed some releases later. A
    configuration that still sets it is rejected as a whole. With `--kube-version` (what the cluster
    has) and `--upgrade-to`, gates are reported that today's release accepts and the newer one does
    not; of all gates, those that kube-proxy's rules depend on are known.

    ## Bad example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    clusterCIDR: 10.244.0.0/16
    featureGates:
      ServiceTrafficDistribution: false
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      ports:
        - {name: http, port: 80}
    ```

    ```arguments
    --kube-version 1.32 --upgrade-to 1.33
    ```

    ## Good example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
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
    --kube-version 1.32 --upgrade-to 1.33
    ```

    ## References

    - kubernetes `pkg/features/kube_features.go`
    - kubernetes `staging/src/k8s.io/component-base/featuregate/feature_gate.go` (`SetFromMap`)
    """

    id = "PR702"
    name = "upgrade-rejects-settings"
    severity = "error"
    needs = ("upgrade",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the feature gates that the newer release rejects."""
        newer = context.newer
        if newer is None:
            return
        if not context.has_config:
            context.not_checked(self.id, "kube-proxy's configuration is not given")
        for gate, wanted in context.config.feature_gates.items():
            if gate not in GATES or _why_rejected(context.release, gate, wanted=wanted):
                continue
            if why := _why_rejected(newer, gate, wanted=wanted):
                yield self.finding(
                    f"kube-proxy {newer} does not start with {gate}: {str(wanted).lower()}: {why}",
                    "remove the gate before the upgrade, and look at what that changes",
                    at=Setting("feature_gates"),
                )


def _why_rejected(release: Release, gate: str, *, wanted: bool) -> str:
    """Say why a release rejects a gate's value; empty where it takes it."""
    stage = release.stage(gate)
    if stage in _GONE:
        return "there is no such gate any more"
    if not stage.settable and wanted is not stage.enabled:
        return f"it is locked to {str(stage.enabled).lower()}"
    return ""
