#!/bin/sh
# Runs on a node, on its host network: `node.sh rules` prints its iptables rules, as iptables-save
# does, of both IP families and both backends; `node.sh metrics` what kube-proxy serves at /metrics.
# It reads only, and fails unless all was read. Needs NET_ADMIN, for legacy tables NET_RAW too.
set -u
backend=@BACKEND@
address=@METRICS@

fail() {
    echo "proxyrules: $1" >&2
    exit 1
}

# The tables of the legacy backend that the kernel has, for iptables or ip6tables.
legacy_tables() {
    case $1 in
    iptables) cat /proc/net/ip_tables_names 2>/dev/null ;;
    ip6tables) cat /proc/net/ip6_tables_names 2>/dev/null ;;
    esac
}

# The program that prints a backend's rules. Where an image has one backend only, its program may
# have the plain name.
program() {
    if command -v "$1-$2-save" >/dev/null; then
        echo "$1-$2-save"
        return
    fi
    case $2:$("$1-save" --version 2>/dev/null) in
    nft:*nf_tables* | legacy:*legacy*) echo "$1-save" ;;
    esac
}

rules() {
    if [ "$backend" != legacy ]; then
        nft=$(program "$1" nft)
        [ -n "$nft" ] || fail "this image has no $1-nft-save"
        "$nft" || fail "$nft failed"
    fi
    # No table is named to iptables-legacy-save: the kernel would make one that it does not have.
    if [ "$backend" = nft ]; then
        # What iptables-nft-save warns of on standard error belongs to the dump.
        [ -z "$(legacy_tables "$1")" ] || echo "# Warning: $1-legacy tables present, use $1-legacy-save to see them"
    elif [ -n "$(legacy_tables "$1")" ]; then
        legacy=$(program "$1" legacy)
        [ -n "$legacy" ] || fail "this node has legacy tables, and this image no $1-legacy-save"
        "$legacy" || fail "$legacy failed"
    elif [ "$backend" = legacy ] && [ "$1" = iptables ]; then
        fail "this node has no legacy tables"
    fi
}

metrics() {
    echo "# proxyrules: collected at $(date +%s)"
    if command -v curl >/dev/null; then
        curl -fsS --max-time 30 "http://$address/metrics"
    elif command -v wget >/dev/null; then
        wget -q -T 30 -O - "http://$address/metrics"
    else
        fail "this image has neither curl nor wget"
    fi || fail "kube-proxy does not answer at $address"
}

case ${1-} in
rules)
    rules iptables
    # A node may have IPv6 turned off.
    [ ! -e /proc/net/if_inet6 ] || rules ip6tables
    ;;
metrics) metrics ;;
*) fail "usage: node.sh rules|metrics" ;;
esac
