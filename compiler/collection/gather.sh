#!/bin/sh
# Collects from every node: DIR/NODE.save (iptables-save) and DIR/NODE.metrics (kube-proxy's own).
# Usage: sh FILE DIR. Needs kubectl, and rights to create a DaemonSet and a ConfigMap in the
# namespace @NAMESPACE@ and to exec in its Pods. They are deleted at the end.
# Then: proxyrules verify cluster.yaml --fleet DIR, and the same with --metrics DIR
set -eu
dir=${1-}
namespace=@NAMESPACE@
jobs=8

in_pod() {
    kubectl -n "$namespace" exec "$1" -c collect -- sh /proxyrules/node.sh "$2" </dev/null
}

@COMMON@
clean_up() {
    rm -rf "$work"
    kubectl -n "$namespace" delete daemonset,configmap proxyrules-collect --ignore-not-found --wait=false >&2
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cat >"$work/manifest.yaml" <<'END_OF_MANIFEST'
@MANIFEST@
END_OF_MANIFEST
kubectl apply -f "$work/manifest.yaml" >&2
kubectl -n "$namespace" rollout status daemonset/proxyrules-collect --timeout=5m >&2 ||
    echo "not all Pods are ready; going on with those that are" >&2
kubectl get nodes -l kubernetes.io/os=linux -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' >"$work/nodes"
kubectl -n "$namespace" get pods -l app.kubernetes.io/name=proxyrules-collect --field-selector=status.phase=Running \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}' >"$work/pods"
running=0
while read -r pod node; do
    fetch_all "$pod" "$node" &
    running=$((running + 1))
    [ "$running" -lt "$jobs" ] || { wait; running=0; }
done <"$work/pods"
wait
report
