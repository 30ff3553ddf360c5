"""A node's rules in a namespace: loaded as kube-proxy does it, and read back in every form."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.family import Family
from compiler.kube_rules.chains import table_hint
from compiler.netfilter.backend import Backend
from compiler.netfilter.dumps import split_dumps
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import node_text
from tests.kernel.namespace import Namespace

BACKENDS = tuple(Backend)
ACCOUNTS = ("localhost_nps_accepted_pkts", "ct_state_invalid_dropped_pkts")
_TABLES = ("filter", "nat")


@dataclass(frozen=True)
class Node:
    """One backend and family of a namespace."""

    namespace: Namespace
    backend: str
    family: Family

    @property
    def program(self) -> str:
        return f"{'ip6tables' if self.family == 'ipv6' else 'iptables'}-{self.backend}"

    def shell(self, script: str, text: str = "") -> str:
        return self.namespace.run(["sh", "-ec", script], text).stdout

    def load(self, text: str, *, jumps: bool = True) -> None:
        """Replace what was there by the text, as on a node: with the jumps to it."""
        self.shell(f"{self.program}-restore --counters", node_text(text) if jumps else text)

    def restore_noflush(self, text: str) -> None:
        self.shell(f"{self.program}-restore --noflush", text)

    def iptables(self, arguments: str) -> None:
        self.shell(f"{self.program} {arguments}")

    def save(self) -> Ruleset:
        return self._parse(self.shell(f"{self.program}-save -c"))

    def forms(self, *, all_of_them: bool = False) -> dict[str, Ruleset]:
        """Read the rules back with iptables-save and with -S; also with and without counters."""
        p = self.program
        script = f"{p}-save -c; echo ----; {p} -S; {p} -t nat -S"
        names = ["save -c", "-S"]
        if all_of_them:
            script += f"; echo ----; {p}-save; echo ----; {p} -v -S; {p} -t nat -v -S"
            names += ["save", "-v -S"]
        printed = self.shell(script)
        return {
            name: self._parse(text)
            for name, text in zip(names, printed.split("----\n"), strict=True)
        }

    def _parse(self, text: str) -> Ruleset:
        (dump,) = split_dumps(text)
        return parse_rules(dump.text, family=self.family, table_hint=table_hint)
