"""The annotator on what this machine's tools print, with connections through real rules."""

from __future__ import annotations

import sys

import pytest

from tests.kernel.box import BACKENDS
from tests.kernel.namespace import Namespace
from tests.kernel.who_samples import CASE, connect, load, samples
from tests.run import run_process
from tests.test_who_annotate import INPUT

WEB = "default/web:http"


@pytest.mark.kernel("nft", "conntrack")
@pytest.mark.parametrize("backend", BACKENDS)
def test_output_of_this_machine(backend: str, namespace: Namespace) -> None:
    load(namespace, backend)
    connect(namespace, sys.executable)
    found = samples(namespace, backend) | {"conntrack": namespace.run(["conntrack", "-L"]).stdout}
    out = {
        name: run_process(*INPUT, stdin=text.encode()).stdout.decode()
        for name, text in found.items()
    }
    for name in ("iptables-save", "iptables-S"):
        assert f"# translates the destination to endpoint 10.10.1.2:8080 of {WEB}\n" in out[name]
    assert f"  # KUBE-SEP-EYUPMQWYQVDBMV26: endpoint 10.10.1.2:8080 of {WEB}\n" in out["iptables-L"]
    entries = [line for line in out["conntrack"].splitlines() if "dport=8080" not in line]
    assert sum(f"to cluster IP of {WEB}, translated to endpoint 10.10." in e for e in entries) == 1
    assert sum(f"to node port 30080 of {WEB}, translated to" in e for e in entries) == 1
    # restore text with comments is still loaded, and gives the same rules
    namespace.run([f"iptables-{backend}-restore"], text=out["iptables-save"])
    again = samples(namespace, backend)["iptables-S"]
    assert again == found["iptables-S"]
    if backend == "nft":
        assert "chain KUBE-SVC-CDGGSHYLG3RE2FKL {  # KUBE-SVC-CDGGSHYLG3RE2FKL: " in out["nft"]
    assert CASE.name == "nodeport-cluster"
