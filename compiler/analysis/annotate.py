"""Lines of other programs' output, each with what the names in it mean.

It knows no format as such: chains, addresses and ports are found wherever they occur. A rule
(`-A …`) is explained as a whole, and the tuples of a conntrack entry as the connection that it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from compiler.analysis.causes import Causes
from compiler.analysis.names import Endpoint, Entry, Names
from compiler.analysis.rule_facts import Facts, facts_of, said
from compiler.kube_rules.chain_kinds import CHAINS
from compiler.kube_rules.rule_kinds import kind_of
from compiler.kube_rules.rule_line import GROUPS, RuleLine, chain_group, read_rule_line
from compiler.manifests.address import canonical, family_of
from compiler.manifests.schema import Node

# How many things of one line are explained.
MOST = 3

_NAME = re.compile(
    r"(?P<chain>(?<![\w-])KUBE-[A-Z0-9][A-Z0-9-]*(?![\w-]))"
    r"|\[(?P<v6>[0-9a-fA-F:]*:[0-9a-fA-F:.]*)\](?::(?P<v6_port>\d{1,5}))?"
    r"|(?<![\w.])(?P<v4>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?!\.?\w)"
    r"(?::(?P<v4_port>\d{1,5})(?![\w:]))?(?P<prefix>/\d+)?"
    r"|(?<![\w:.\[])(?P<bare>(?:[0-9a-fA-F]{1,4}:|:)[0-9a-fA-F:]*:[0-9a-fA-F:]*)(?P<bare_prefix>/\d+)?"
)
_DPORT = re.compile(r"\b(?:dpt:|dport[ =])(\d{1,5})\b")
_TUPLE = re.compile(r"src=(\S+) dst=(\S+) (?:sport=(\d+) dport=(\d+))?")
_CONNECTION = re.compile(r"\b(tcp|udp|sctp)\s.*?src=")
# What a line has that asks for no address: none, or how `iptables -L` writes all of them.
_ANY = {"", "0.0.0.0", "::"}  # noqa: S104
# Lines that take a comment of their own: restore text must stay loadable, JSON one value per line.
_OWN_LINE = re.compile(r"\s*(?:(?:\[\d+:\d+\] )?-[A-Z] \S|:[\w-]+ |\{)")


def _does(words: str, target: str) -> str:
    kind = kind_of(RuleLine("KUBE-SEP-AAAAAAAAAAAAAAAA", words, target, target))
    return kind.does if kind is not None else ""


_TRANSLATES, _REMEMBERS = _does("", "DNAT"), _does(" -m recent --set ", "DNAT")
_HAIRPIN = _does("", "KUBE-MARK-MASQ")


def names_on(line: str) -> Iterator[str]:
    """Give the chains and addresses that occur on a line, in the form in which `who` is asked."""
    for found in _NAME.finditer(line):
        text = found[0].partition("/")[0]
        if found["chain"] or family_of(_address(found)):
            yield text


def _address(found: re.Match[str]) -> str:
    return found["v4"] or found["v6"] or found["bare"] or ""


class Annotator:
    """Comments on lines, by the names of one side.

    With `causes` comments also have the file and line of what a rule is due to first.
    """

    def __init__(self, names: Names, causes: Causes | None = None) -> None:
        self._names = names
        self._causes = causes

    def annotate(self, lines: Iterable[str]) -> Iterator[str]:
        """Give each line as it is, with its comment: on a line above it, or at its end.

        Lines end with a line feed, which the last one may lack.
        """
        comment_on = self.comment
        for line in lines:
            comment = comment_on(line)
            if not comment:
                yield line
            elif line[0] in "-:":
                yield f"# {comment}\n{line}"
            elif _OWN_LINE.match(line):
                indent = line[: len(line) - len(line.lstrip(" \t"))]
                yield f"{indent}# {comment}\n{line}"
            else:
                text = line.rstrip("\r\n")
                yield f"{text}  # {comment}{line[len(text) :]}"

    def comment(self, line: str) -> str:
        """Return what a line means, in one line; empty where nothing of it is known."""
        if line.startswith(":KUBE-"):
            return self._of_chain(line[1:].partition(" ")[0])[0]
        if line.startswith("-A KUBE-SEP-") and (said_of := self._of_endpoint_rule(line)):
            return said_of
        if "-A " in line and (rule := read_rule_line(line)) is not None:
            kind = kind_of(rule)
            if kind is not None:
                facts, notes = facts_of(rule, self._names)
                if facts.port is not None or "{port}" not in kind.does:
                    text = said(kind.does, facts, rule)
                    if notes or self._causes is not None:
                        text = "; ".join([text, *notes]) + self._place(kind.causes, facts)
                    return text
        if "src=" in line and (found := _CONNECTION.search(line)):
            return self._connection(line, found[1])
        return "; ".join(self._statements(line))

    def _of_endpoint_rule(self, line: str) -> str:
        """Explain a rule without comment of an endpoint's chain; empty for one that is unusual.

        A large cluster's dump has 200,000 of these, whose reading would take most of the time.
        """
        endpoint = self._names.endpoints.get(line[3:28])
        if endpoint is None or self._causes is not None or "--comment" in line:
            return ""
        address = endpoint.address
        if line.endswith(f" -j DNAT --to-destination {address}\n"):
            does = _REMEMBERS if " --set " in line else _TRANSLATES
        elif line.endswith(f" -s {address.rpartition(':')[0]}/32 -j KUBE-MARK-MASQ\n"):
            does = _HAIRPIN
        else:
            return ""
        return does.replace("{endpoint}", address).replace("{port}", endpoint.port.text)

    def _place(self, causes: tuple[str, ...], facts: Facts) -> str:
        """Return the place of the first cause that has one, in brackets."""
        if self._causes is None:
            return ""
        found = self._causes.find(causes, facts.port, facts.endpoint, facts.address)
        origin = next((one.origin for one in found if one.origin.line), None)
        return f" ({origin.file}:{origin.line})" if origin else ""

    def _statements(self, line: str) -> list[str]:
        """Say what each name on a line is; what the same Service was named for is not repeated."""
        statements: list[str] = []
        services: set[str] = set()
        dport = _DPORT.search(line)
        for found in _NAME.finditer(line):
            if chain := found["chain"]:
                said_of, service = self._of_chain(chain)
            else:
                said_of, service = self._of_address(found, dport)
            if not said_of or said_of in statements or (not found["chain"] and service in services):
                continue
            statements.append(said_of)
            services.add(service)
        if not statements and dport and not _asks_for_address(line):
            entries = self._names.numbers.get(int(dport[1]), ())
            statements = [_named(entry) for entry in entries if _protocol(entry) in line]
        if len(statements) > MOST:
            statements[MOST:] = [f"and {len(statements) - MOST} more"]
        return statements

    def _of_chain(self, chain: str) -> tuple[str, str]:
        group = chain_group(chain)
        if group not in GROUPS:
            kind = CHAINS.get(chain)
            return (f"{chain}: {kind.does}", chain) if kind else ("", "")
        endpoint = self._names.endpoints.get(chain)
        if endpoint is not None:
            facts = Facts(endpoint.port, endpoint)
        else:
            facts = Facts(self._names.ports.get(chain[-16:]))
        if facts.port is None:
            return "", ""
        kind = CHAINS[group]
        place = self._place(kind.causes, facts)
        return f"{chain}: {said(kind.does, facts)}{place}", facts.port.name

    def _of_address(self, found: re.Match[str], dport: re.Match[str] | None) -> tuple[str, str]:
        address = _address(found)
        prefix = found["prefix"] or found["bare_prefix"]
        if prefix and prefix not in {"/32", "/128"}:
            return "", ""
        if ":" in address:
            if not family_of(address):
                return "", ""
            address = canonical(address)
        entries = self._names.addresses.get(address, ())
        port = found["v4_port"] or found["v6_port"] or (dport[1] if dport else "")
        with_port = [entry for entry in entries if port and entry.number == int(port)]
        chosen = with_port or list(entries)
        if not chosen:
            return "", ""
        of = chosen[0].of
        if isinstance(of, Node):
            numbers = self._names.numbers.get(int(port), ()) if port else ()
            name = of.metadata.name if of.metadata else ""
            words = [f"{address}: Node {name}", *map(_named, numbers)]
            return ", ".join(words), address
        name = of.port.name if isinstance(of, Endpoint) else of.name
        return f"{address}: {_several(chosen)}", name

    def _connection(self, line: str, protocol: str) -> str:
        """Say what a conntrack entry connects: who, to what, translated to which endpoint."""
        tuples = _TUPLE.findall(line)
        if not tuples:
            return ""
        source, destination, _, dport = tuples[0]
        answered = seen = ""
        if len(tuples) > 1:
            server, seen, sport, _ = tuples[1]
            if (server, sport) != (destination, dport):
                answered = self._who_is(server, sport, protocol)
        wanted = self._who_is(destination, dport, protocol)
        for entry in self._names.numbers.get(int(dport or 0), ()):
            # on an address that is not known to be a Node's, only where it was translated
            known = answered.endswith(f" of {entry.of}") if not wanted else wanted[:5] == "Node "
            if known and _protocol(entry) == protocol:
                wanted = _named(entry)
        client = self._who_is(source, "", protocol)
        words = [f"{word} {who}" for word, who in (("from", client), ("to", wanted)) if who]
        if answered:
            words.append(f"translated to {answered}")
        if words and seen and seen != source:
            words.append(f"source translated to {seen}")
        return ", ".join(words)

    def _who_is(self, address: str, port: str, protocol: str) -> str:
        if ":" in address and family_of(address):
            address = canonical(address)
        entries = self._names.addresses.get(address, ())
        if not port:
            return _several(entries) if entries else ""
        fitting = [e for e in entries if e.number == int(port) and _protocol(e) in {protocol, ""}]
        if fitting:
            return _several(fitting)
        return next((_named(e) for e in entries if isinstance(e.of, Node)), "")


def _asks_for_address(line: str) -> bool:
    """Say whether a line has an address, other than the one that stands for all."""
    return any(_address(found) not in _ANY for found in _NAME.finditer(line))


def _protocol(entry: Entry) -> str:
    of = entry.of.port if isinstance(entry.of, Endpoint) else entry.of
    return "" if isinstance(of, Node) else of.protocol


def _named(entry: Entry) -> str:
    if isinstance(entry.of, Node):
        return f"Node {entry.of.metadata.name if entry.of.metadata else ''}"
    if isinstance(entry.of, Endpoint):
        return f"endpoint {entry.of.address} of {entry.of.port}"
    if "port" in entry.what:
        return f"{entry.what} {entry.number} of {entry.of}"
    return f"{entry.what} of {entry.of}"


def _several(entries: Iterable[Entry]) -> str:
    named = list(dict.fromkeys(map(_named, entries)))
    return named[0] if len(named) == 1 else f"{named[0]} and {len(named) - 1} more"
