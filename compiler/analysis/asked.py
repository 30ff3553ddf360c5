"""What `who` is asked: a chain, a hash, a rule, an address, a port, a Service, or other text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from compiler.errors import InputError, Problem
from compiler.kube_rules.rule_line import RuleLine, read_rule_line
from compiler.manifests.address import canonical, family_of
from compiler.manifests.convert import shorten

AskedKind = Literal["chain", "hash", "rule", "address", "port", "service", "text"]

_CHAIN = re.compile(r"(?:KUBE-[A-Z0-9-]+|[A-Z][A-Z0-9_]*(?:-[A-Za-z0-9_-]+)*)")
_HASH = re.compile(r"[A-Z2-7]{16}")
_DECLARED = re.compile(r"\s*(?::|-N )(\S+)(?: (?:-|ACCEPT|DROP) .*| -)?\s*")
_PROTOCOL = re.compile(r"(.+)/(tcp|udp|sctp)", re.IGNORECASE)
_HOST_PORT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]+)")
_LOOKS_IPV4 = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_SERVICE = re.compile(r"([a-z0-9.-]+)/([a-z0-9.-]+)(?::([a-z0-9.-]+))?")
# What people copy with a rule: the command that installed it.
_COMMAND = re.compile(r"(?:sudo )?ip6?tables(?:-nft|-legacy)?(?: -w| -t \w+)* (?=-[AID] )")
_FORMS = (
    "ask for a chain (KUBE-SVC-...), its hash, a rule (-A ...), an address, ADDRESS:PORT, a port "
    "or NAMESPACE/SERVICE[:PORT]"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked. `text` is it as it was written.

    `name` is the chain, the hash, or `namespace/service`; `port` a port's number or name, empty
    without one; `protocol` is in lower case, empty where any is meant.
    """

    kind: AskedKind
    text: str
    name: str = ""
    address: str = ""
    port: str = ""
    protocol: str = ""
    rule: RuleLine | None = None


def read_asked(words: str) -> Asked:
    """Sort out what is asked. Raises `InputError` for what is none of the forms."""
    text = words.strip()
    rule = read_rule_line(_COMMAND.sub("", text))
    if rule is not None:
        return Asked("rule", text, rule.chain, rule=rule)
    if declared := _DECLARED.fullmatch(text):
        return Asked("chain", text, declared[1])
    if _HASH.fullmatch(text):
        return Asked("hash", text, text)
    if _CHAIN.fullmatch(text):
        return Asked("chain", text, text)
    if any(blank in text for blank in " \t"):
        return Asked("text", text)
    bare, protocol = text, ""
    if found := _PROTOCOL.fullmatch(text):
        bare, protocol = found[1], found[2].lower()
    return _place(text, bare, protocol) or _service(text, bare, protocol)


def _place(text: str, bare: str, protocol: str) -> Asked | None:
    if bare.isdecimal() and bare.isascii():
        return Asked("port", text, port=_port(bare), protocol=protocol)
    if family_of(bare):
        return Asked("address", text, address=canonical(bare), protocol=protocol)
    found = _HOST_PORT.fullmatch(bare)
    address = (found[1] or found[2]) if found else bare.removeprefix("[").removesuffix("]")
    if family_of(address):
        port = _port(found[3]) if found else ""
        return Asked("address", text, address=canonical(address), port=port, protocol=protocol)
    host, _, prefix = bare.partition("/")
    if family_of(host) and prefix.isdecimal():
        raise _bad(text, "is a network", "ask for one address of it")
    if found or _LOOKS_IPV4.fullmatch(bare):
        raise _bad(text, "is not an IP address", _FORMS)
    return None


def _service(text: str, bare: str, protocol: str) -> Asked:
    if found := _SERVICE.fullmatch(bare):
        name = f"{found[1]}/{found[2]}"
        return Asked("service", text, name, port=found[3] or "", protocol=protocol)
    if text.upper().startswith("KUBE-"):
        raise _bad(text, "is not a chain name", "names of kube-proxy's chains are in upper case")
    if re.fullmatch(r"[a-z0-9-]+(?::[a-z0-9-]+)?", bare):
        raise _bad(text, "names no namespace", f"if it is a Service, ask for NAMESPACE/{bare}")
    raise _bad(text, "is nothing that can be asked for", _FORMS)


def _port(digits: str) -> str:
    if not 1 <= int(digits[:9]) <= 65535:
        raise _bad(digits, "is not a port", "must be between 1 and 65535")
    return str(int(digits))


def _bad(text: str, message: str, hint: str) -> InputError:
    return InputError(Problem("", f"{shorten(text)} {message}", hint))
