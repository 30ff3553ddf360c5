"""The two IP families. One compile, one ruleset and one dump are each of one of them."""

from __future__ import annotations

from enum import StrEnum


class Family(StrEnum):
    """An IP family, in the word that `--ip-family` takes; `api_name` is the API's word for it."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def api_name(self) -> str:
        """`IPv4` or `IPv6`, as in `Service.spec.ipFamilies` and `EndpointSlice.addressType`."""
        return "IPv4" if self is Family.IPV4 else "IPv6"

    @property
    def other(self) -> Family:
        """The other one."""
        return Family.IPV6 if self is Family.IPV4 else Family.IPV4

    @property
    def loopback(self) -> str:
        """The loopback address."""
        return "127.0.0.1" if self is Family.IPV4 else "::1"


IPV4, IPV6 = Family.IPV4, Family.IPV6
