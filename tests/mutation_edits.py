"""Changes to one line of restore text, one function per kind of value."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from compiler.family import IPV6, Family
from compiler.netfilter.ruleset import BUILTIN_CHAINS

TARGET = re.compile(r" -[jg] (\S+)(?: --[^\"]+)?$")
"""The end of a rule: where it goes."""


class Position(NamedTuple):
    """A line of a text, where it may be changed."""

    lines: Sequence[str]
    place: int
    table: str
    family: Family

    @property
    def line(self) -> str:
        return self.lines[self.place]

    @property
    def chain(self) -> str:
        return self.line.split(" ")[1]


Edit = Callable[[random.Random, Position], str | None]
"""Returns the changed line, None where the line has nothing of the kind."""


def _address(rng: random.Random, at: Position) -> str | None:
    return _at_random(rng, at.line, r"(?<= -[sd] )[0-9a-f.:]+(?= |$)", _neighbour)


def _network(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        network = ipaddress.ip_network(old)
        longer = network.prefixlen < network.max_prefixlen and rng.random() < 0.5
        if longer:
            return f"{next(iter(network.subnets()))}"
        host, prefix = old.split("/")
        moved = ipaddress.ip_network(f"{_neighbour(rng, host)}/{prefix}", strict=False)
        return f"{moved}" if moved != network else f"{network.supernet()}"

    return _at_random(rng, at.line, r"(?<= -[sd] )[0-9a-f.:]+/[1-9]\d*", change)


def _neighbour(rng: random.Random, old: str) -> str:
    """Return another address that differs in one of the lower half of its bits."""
    address = ipaddress.ip_address(old)
    return str(type(address)(int(address) ^ 1 << rng.randrange(address.max_prefixlen // 2)))


def _port(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        port = int(old)
        return rng.choice((str(port % 65535 + 1), str(port // 2 + 1), f"{port}:{port + 1}"))

    return _at_random(rng, at.line, r"(?<= --dport )\d+", change)


def _protocol(rng: random.Random, at: Position) -> str | None:
    found = re.search(r"-m (\w+) -p \1\b", at.line)
    # a DNAT to a port asks for a protocol that has ports
    others = [name for name in ("tcp", "udp", "sctp") if found and name != found[1]]
    if not found:
        return None
    other = rng.choice(others)
    return at.line.replace(found[0], f"-m {other} -p {other}", 1)


def _interface(rng: random.Random, at: Position) -> str | None:
    changed = _at_random(
        rng, at.line, r"(?<= -[io] )\S+", lambda rng, old: "eth9" if rng.random() < 0.5 else "e+"
    )
    if changed or at.chain in BUILTIN_CHAINS[at.table]:
        return changed
    return _insert(at.line, rng.choice(("-i eth0", "! -i eth0", "-i eth9", "-i lo", "-o lo")))


def _target(rng: random.Random, at: Position) -> str | None:
    """Change a jump to another chain of the table, or a verdict to another one."""
    found = TARGET.search(at.line)
    if not found:
        return f"{at.line} -j {rng.choice(('ACCEPT', 'RETURN'))}"
    verdicts = ["ACCEPT", "RETURN"] + (["DROP"] if at.table == "filter" else [])
    chains = [name for name, table in _chains(at.lines) if table == at.table]
    others = verdicts if rng.random() < 0.5 else chains
    other = rng.choice([name for name in (others or verdicts) if name != found[1]] or ["RETURN"])
    return f"{at.line[: found.start()]} -j {other}" if other != found[1] else None


def _goto(rng: random.Random, at: Position) -> str | None:
    return _first(at.line, r" -j (?=KUBE-)", " -g ")


def _destination(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        address, _, port = old.rpartition(":")
        if rng.random() < 0.3:
            return f"{address}:{int(port) % 65535 + 1}"
        bare = _neighbour(rng, address.strip("[]"))
        return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"

    return _at_random(rng, at.line, r"(?<= --to-destination )\S+", change)


def _probability(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        number = float(old)
        ways = (0.0, 1.0, number / 2, (1 + number) / 2, number + 5e-10)
        return f"{min(1.0, rng.choice([way for way in ways if way != number])):.10f}"

    return _at_random(rng, at.line, r"(?<= --probability )[\d.]+", change)


def _mark(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        return "/".join([f"{1 << rng.randrange(32):#010x}"] * len(old.split("/")))

    return _at_random(rng, at.line, r"(?<=-mark )0x\S+", change)


def _recent_name(rng: random.Random, at: Position) -> str | None:
    names = sorted(set(re.findall(r"-m recent --name (\S+)", "\n".join(at.lines))))

    def change(rng: random.Random, old: str) -> str:
        other: str = rng.choice([name for name in (*names, "OTHER") if name != old])
        return other

    return _at_random(rng, at.line, r"(?<= -m recent --name )\S+", change)


def _recent_seconds(rng: random.Random, at: Position) -> str | None:
    if rng.random() < 0.3:
        return _first(at.line, r" --seconds \d+ --reap", "")
    return _at_random(
        rng, at.line, r"(?<= --seconds )\d+", lambda rng, old: str(max(1, int(old) // 3))
    )


def _recent_mode(rng: random.Random, at: Position) -> str | None:
    if " --set" in at.line:
        return at.line.replace(" --set", rng.choice((" --rcheck", " --update", " --remove")))
    if rng.random() < 0.5:
        return _first(at.line, " --rcheck", " --update")
    # the kernel takes no age for it
    return _first(at.line, r" --rcheck(?: --seconds \d+)?(?: --reap)?", " --remove")


def _states(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        ways = ("NEW", "INVALID", "ESTABLISHED", "NEW,ESTABLISHED", "RELATED", "DNAT", "UNTRACKED")
        return rng.choice([way for way in ways if way != old])

    return _at_random(rng, at.line, r"(?<= --ctstate )\S+", change)


def _negation(rng: random.Random, at: Position) -> str | None:
    def change(rng: random.Random, old: str) -> str:
        return old.removeprefix(" !") if old.startswith(" !") else " !" + old

    asked = (
        r"(?: !)? (?:-[sdio]|--dport|--ctstate|--mark|--probability|--rcheck|--(?:src|dst)-type) ?"
    )
    return _at_random(rng, at.line, asked, change)


def _reject(rng: random.Random, at: Position) -> str | None:
    kinds = ["icmp-host-unreachable", "icmp-admin-prohibited"]
    if at.family == IPV6:
        kinds = ["icmp6-no-route", "icmp6-adm-prohibited"]
    if " -p tcp" in at.line:
        kinds.append("tcp-reset")
    return _first(at.line, " -j REJECT$", f" -j REJECT --reject-with {rng.choice(kinds)}")


def _address_type(rng: random.Random, at: Position) -> str | None:
    swapped = {"--dst-type": "--src-type", "--src-type": "--dst-type"}
    return _at_random(rng, at.line, r"--(?:dst|src)-type", lambda rng, old: swapped[old])


def _masquerade(rng: random.Random, at: Position) -> str | None:
    others = (" -j RETURN", " -j ACCEPT", " -j MASQUERADE")
    return _first(at.line, " -j MASQUERADE.*$", rng.choice(others))


def _comment(rng: random.Random, at: Position) -> str | None:
    changed = _first(at.line, r' -m comment --comment (?:"[^"]*"|\S+)', "")
    return changed or _insert(at.line, '-m comment --comment "a fault"')


def _accounting(rng: random.Random, at: Position) -> str | None:
    return _first(at.line, r" -m nfacct --nfacct-name \w+", "")


def _policy(rng: random.Random, at: Position) -> str | None:
    return _first(at.line, " ACCEPT ", " DROP ")


EDITS: dict[str, Edit] = {
    "address": _address,
    "network": _network,
    "port": _port,
    "protocol": _protocol,
    "interface": _interface,
    "target": _target,
    "goto": _goto,
    "DNAT destination": _destination,
    "probability": _probability,
    "mark": _mark,
    "recent name": _recent_name,
    "recent seconds": _recent_seconds,
    "recent mode": _recent_mode,
    "ctstate": _states,
    "negation": _negation,
    "reject answer": _reject,
    "address type": _address_type,
    "masquerade": _masquerade,
    "comment": _comment,
    "accounting": _accounting,
    "policy": _policy,
}


def _insert(line: str, words: str) -> str:
    """Put a match in front of all others."""
    option, chain, rest = line.split(" ", 2)
    return f"{option} {chain} {words} {rest}"


def _first(line: str, pattern: str, words: str) -> str | None:
    changed = re.sub(pattern, words, line, count=1)
    return changed if changed != line else None


def _at_random(
    rng: random.Random, line: str, pattern: str, change: Callable[[random.Random, str], str]
) -> str | None:
    """Change one of the places that fit, None where there is none."""
    # what a comment says is no value
    commented = [found.span() for found in re.finditer(r'--comment (?:"[^"]*"|\S+)', line)]
    places = [
        found
        for found in re.finditer(pattern, line)
        if not any(first < found.start() < last for first, last in commented)
    ]
    if not places:
        return None
    place = rng.choice(places)
    changed = change(rng, place[0])
    return line[: place.start()] + changed + line[place.end() :] if changed != place[0] else None


def _chains(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Give the chains that may be jumped to, with their tables."""
    found = []
    table = ""
    for line in lines:
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":") and line[1:].split(" ")[0] not in BUILTIN_CHAINS[table]:
            found.append((line[1:].split(" ")[0], table))
    return found
