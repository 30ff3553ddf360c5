"""The metrics of kube-proxy that are read, and what they say.

Source: kubernetes `pkg/proxy/metrics/metrics.go` and `pkg/proxy/iptables/proxier.go`. The label
`ip_family` (`IPv4` or `IPv6`) is there since 1.33 (pull request 129173). Before, the proxiers of
both families set the same series, which then has the numbers of the one that synced last.
"""

from __future__ import annotations

RULES = "kubeproxy_sync_proxy_rules_iptables_total"
"""Rules by `table` that the last sync wrote or left out as unchanged: what kube-proxy wants to
have, set before `iptables-restore` is run, whether that fails or not."""

LAST_SYNC = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"
"""When rules were last synced without a failure, in seconds since 1970; 0 before the first time."""

LAST_QUEUED = "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds"
"""When a sync was last asked for."""

NO_LOCAL_ENDPOINTS = "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
"""Service ports without a local endpoint, by `traffic_policy` (`internal`, `external`); set after a
sync that did not fail."""

RESTORE_FAILURES = "kubeproxy_sync_proxy_rules_iptables_restore_failures_total"
PARTIAL_FAILURES = "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total"
"""Failed runs of `iptables-restore`, and failed partial syncs, since kube-proxy started."""

ENDPOINTS_PENDING = "kubeproxy_sync_proxy_rules_endpoint_changes_pending"
SERVICES_PENDING = "kubeproxy_sync_proxy_rules_service_changes_pending"
"""Changes that were seen and not synced yet."""

LOCALHOST_PACKETS = "kubeproxy_iptables_localhost_nodeports_accepted_packets_total"
"""Read from an nfacct counter: it is there where the node has them."""

BUILD = "kubernetes_build_info"
"""`git_version` is kube-proxy's own release."""

OTHER_MODES = {
    "kubeproxy_sync_proxy_rules_nftables_sync_failures_total": "nftables",
    "kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total": "nftables",
}
"""Metrics that only kube-proxy in another mode has."""

NUMBERS = frozenset(
    {
        RULES,
        LAST_SYNC,
        LAST_QUEUED,
        NO_LOCAL_ENDPOINTS,
        RESTORE_FAILURES,
        PARTIAL_FAILURES,
        ENDPOINTS_PENDING,
        SERVICES_PENDING,
    }
)
"""Metrics whose value is compared."""

WANTED = NUMBERS | {LOCALHOST_PACKETS, BUILD} | OTHER_MODES.keys()
"""All that are read; the others of the text are passed over."""

OVERDUE_SECONDS = 60
"""How long a sync may be waiting: `2 * iptables.syncPeriod` by default. kube-proxy reports itself
unhealthy beyond that (`cmd/kube-proxy/app/server.go`, `NewProxyHealthServer`)."""

LOOKBACK_SECONDS = 300
"""How much older than its time a sample of Prometheus' API may be (`query.lookback-delta`)."""

LONGEST_PAUSE_SECONDS = 3600
"""kube-proxy syncs this often without any change (`NewProxier`: `time.Hour`, now
`FullSyncPeriod`)."""
