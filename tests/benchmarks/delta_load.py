"""Measures how long a kernel takes for a delta, against the full text.

    sudo python -m tests.benchmarks.delta_load

1,000 Services with 10 endpoints each; one endpoint goes. Everything happens in a network
namespace. Fails where nft takes more than 2 % of the full load for the delta.
"""

from __future__ import annotations

import sys
import time

from compiler.analysis.delta import delta_rules
from compiler.api import compile_rules
from compiler.manifests.source import Source
from compiler.netfilter.parse import parse_rules
from tests.benchmarks.clusters import manifests
from tests.kernel.namespace import Namespace, fresh_namespace, missing_for_kernel_tests

SERVICES, ENDPOINTS = 1_000, 10
SHARE = 0.02
REPEATS = 3


def main() -> int:
    """Load, change and measure with both backends."""
    if missing := missing_for_kernel_tests():
        sys.stderr.write(f"delta_load needs a kernel to load into: {missing}\n")
        return 2
    before = manifests(SERVICES, ENDPOINTS)
    after = before.replace('{"addresses": ["10.128.0.5"], "nodeName": "node-1"}, ', "")
    texts = [compile_rules([Source("cluster", text.encode())]).text for text in (before, after)]
    old, new = (parse_rules(text) for text in texts)
    smallest = delta_rules(old, new, source=texts[1].split("\n")).text
    like = delta_rules(old, new, source=texts[1].split("\n"), like_kube_proxy=True).text
    sizes = [text.count("\n") for text in (texts[1], like, smallest)]
    sys.stdout.write(f"{SERVICES} Services with {ENDPOINTS} endpoints; one endpoint goes\n")
    sys.stdout.write(f"{'':8}{'full text':>16}{'like kube-proxy':>18}{'delta':>16}\n")
    sys.stdout.write(f"{'lines':8}{sizes[0]:>16,}{sizes[1]:>18,}{sizes[2]:>16,}\n")
    shares = {}
    for backend in ("nft", "legacy"):
        with fresh_namespace() as namespace:
            full = _best(namespace, backend, texts[0], texts[1])
            partial = _best(namespace, backend, texts[0], like)
            least = _best(namespace, backend, texts[0], smallest)
        shares[backend] = least / full
        shown = [f"{seconds:.3f} s ({seconds / full:.1%})" for seconds in (full, partial, least)]
        sys.stdout.write(f"{backend:8}{shown[0]:>16}{shown[1]:>18}{shown[2]:>16}\n")
    return 0 if shares["nft"] <= SHARE else 1


def _best(namespace: Namespace, backend: str, first: str, text: str) -> float:
    """Return the seconds of the quickest of a few loads of `text` onto `first`."""
    command = [f"iptables-{backend}-restore"]
    best = float("inf")
    for _ in range(REPEATS):
        namespace.run(command, first)
        began = time.monotonic()
        namespace.run([*command, "--noflush"], text)
        best = min(best, time.monotonic() - began)
    return best


if __name__ == "__main__":
    sys.exit(main())
