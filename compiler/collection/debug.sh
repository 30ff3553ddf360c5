#!/bin/sh
# Collects without a DaemonSet, by `kubectl debug`, one node after the other: DIR/NODE.save
# (iptables-save) and DIR/NODE.metrics (kube-proxy's own). Usage: sh FILE DIR [NODE...], by default
# all nodes. The profile netadmin adds NET_ADMIN and NET_RAW, on the host's network and processes.
# The Pods are deleted again.
# Then: proxyrules verify cluster.yaml --fleet DIR, and the same with --metrics DIR
set -eu
dir=${1-}
[ $# -eq 0 ] || shift
namespace=@NAMESPACE@
image=@IMAGE@
pod=

in_pod() {
    kubectl -n "$namespace" exec -i "$1" -- sh -s "$2" <"$work/node.sh"
}

@COMMON@
delete_pod() {
    [ -z "$pod" ] || kubectl -n "$namespace" delete pod "$pod" --ignore-not-found --wait=false >&2
    pod=
}
clean_up() {
    delete_pod
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cat >"$work/node.sh" <<'END_OF_NODE_SH'
@NODE_SH@
END_OF_NODE_SH
if [ $# -gt 0 ]; then
    printf '%s\n' "$@" >"$work/nodes"
else
    kubectl get nodes -l kubernetes.io/os=linux -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' >"$work/nodes"
fi
while read -r name; do
    # It prints: Creating debugging pod NAME with container debugger on node NODE.
    made=$(kubectl -n "$namespace" debug "node/$name" --profile=netadmin "--image=$image" --attach=false -- \
        sleep 600 </dev/null 2>&1) || { echo "$name: no Pod: $made" >&2; continue; }
    pod=$(echo "$made" | sed -n 's/.*debugging pod \([^ ]*\) .*/\1/p')
    if kubectl -n "$namespace" wait --for=condition=Ready "pod/$pod" --timeout=2m </dev/null >&2; then
        fetch_all "$pod" "$name"
    fi
    delete_pod
done <"$work/nodes"
report
