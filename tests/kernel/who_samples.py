"""Output of real tools about kube-proxy's rules, from a namespace with connections through them."""

from __future__ import annotations

from tests.cases import FIXTURES, Case, node_text
from tests.kernel.namespace import Namespace

CASE = Case(FIXTURES / "nodeport-cluster")
NODE, CLUSTER_IP, NODE_PORT = "172.18.0.2", "10.200.1.10", "30080"
ENDPOINTS = ("10.10.1.2", "10.10.2.2", "10.10.2.10")
COMMANDS = {
    "iptables-save": ("iptables-{backend}-save",),
    "iptables-S": ("iptables-{backend}", "-t", "nat", "-S"),
    "iptables-L": ("iptables-{backend}", "-t", "nat", "-L", "-n", "-v"),
}
_SERVE = """
import socket
with socket.create_server(("", 8080)) as server:
    print("ready", flush=True)
    for _ in range(2):
        server.accept()[0].close()
"""
_CONNECT = f"""
import socket
for place in (("{CLUSTER_IP}", 80), ("{NODE}", {NODE_PORT})):
    socket.create_connection(place, timeout=5).close()
"""


def load(namespace: Namespace, backend: str) -> None:
    """Load the case's rules, with the jumps from the built-in chains."""
    namespace.run([f"iptables-{backend}-restore"], text=node_text(CASE.expected))


def connect(namespace: Namespace, python: str) -> None:
    """Open a connection to the cluster IP and one to the node port, all on this one machine."""
    namespace.run(["ip", "link", "add", "one", "type", "veth", "peer", "name", "other"])
    namespace.run(["ip", "address", "add", f"{NODE}/24", "dev", "one"])
    for name in ("one", "other"):
        namespace.run(["ip", "link", "set", name, "up"])
    namespace.run(["ip", "route", "add", "default", "dev", "one"])
    for address in ENDPOINTS:
        namespace.run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
    serving = namespace.start([python, "-c", _SERVE])
    try:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "ready\n"
        namespace.run([python, "-c", _CONNECT])
    finally:
        serving.kill()
        serving.communicate()


def samples(namespace: Namespace, backend: str) -> dict[str, str]:
    """Return what each tool prints of the loaded rules."""
    found = {
        name: namespace.run([word.format(backend=backend) for word in command]).stdout
        for name, command in COMMANDS.items()
    }
    if backend == "nft":
        found["nft"] = namespace.run(["nft", "list", "ruleset"]).stdout
    return found
