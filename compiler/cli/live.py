"""The rules of this machine's kernel, as iptables-save prints them (`--live`)."""

from __future__ import annotations

import json
import shutil
import subprocess

from compiler.cli.exit_codes import Failure
from compiler.family import IPV6, Family
from compiler.netfilter.parse import decode

# iptables-save holds no lock for long: a node that takes this many seconds has other trouble.
TIMEOUT_SECONDS = 120
_INSTEAD = "run it on the node and give its output instead"


def dump_kernel(family: Family) -> tuple[str, str]:
    """Return the programs that were run and all rules of one family, of both backends.

    Raises `Failure` where iptables-save is not installed, fails or does not end in time.
    """
    program = "ip6tables" if family == IPV6 else "iptables"
    by_backend = [f"{program}-nft-save", f"{program}-legacy-save"]
    names = [name for name in by_backend if shutil.which(name)] or [f"{program}-save"]
    return " and ".join(names), "".join(map(_save, names))


def own_addresses() -> tuple[str, ...]:
    """Return the addresses of this machine's interfaces, loopback's left out; none if unknown."""
    path = shutil.which("ip")
    if path is None:
        return ()
    try:
        done = subprocess.run(  # noqa: S603 - iproute2's own program
            [path, "-json", "address", "show"], capture_output=True, timeout=10, check=True
        )
        links = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
    return tuple(
        entry["local"]
        for link in links
        for entry in link.get("addr_info", ())
        if "local" in entry and entry.get("scope") == "global"
    )


def _save(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Failure(name, "not installed on this machine", _INSTEAD)
    try:
        done = subprocess.run(  # noqa: S603 - one of iptables' own programs
            [path], capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"no answer within {TIMEOUT_SECONDS} s"
        raise Failure(name, message, _INSTEAD) from error
    except OSError as error:
        raise Failure(name, f"can't be run: {(error.strerror or str(error)).lower()}") from error
    if done.returncode != 0:
        printed = done.stderr.decode("utf-8", "replace").strip().splitlines()
        message = (
            f"failed with exit code {done.returncode}: {printed[-1] if printed else 'no message'}"
        )
        raise Failure(name, message, "run as root on the node")
    return decode(done.stdout)
