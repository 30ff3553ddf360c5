"""The endpoints' servers, and the lab's commands as far as they need no kernel."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from compiler.cli.exit_codes import ExitCode
from compiler.lab import netns, serving
from compiler.lab.errors import NamespaceGoneError
from compiler.lab.server import reply
from tests.kernel.manifests import OPTIONS, service, write
from tests.run import Runner


@pytest.mark.parametrize(
    ("asked", "first_line", "has_body"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", True),
        (b"HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", False),
        (b"hello\n", "Hostname: webpod1", True),
        (b"", "Hostname: webpod1", True),
    ],
)
def test_servers_speak_http_and_plain(asked: bytes, first_line: str, has_body: bool) -> None:
    answered = reply(asked, "webpod1", "10.10.0.6").decode()
    assert answered.splitlines()[0] == first_line
    assert answered.endswith("Hostname: webpod1\nClient: 10.10.0.6\n") == has_body


def test_without_root_it_says_so(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for arguments in (("up", "x.yaml"), ("down",), ("status",), ("request", "web")):
        result = proxyrules("lab", *arguments)
        assert result.code == ExitCode.FAILED, arguments
        assert result.out == ""
        assert result.err == "Error: the lab needs root to make network namespaces; try `sudo`\n"


def test_without_pyroute2_it_says_how_to_get_it(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pyroute2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(builtins, "__import__", without)
    result = proxyrules("lab", "up", "x.yaml")
    assert result.code == ExitCode.FAILED
    assert result.err == (
        "Error: the lab needs pyroute2, which is not installed; "
        f"install it with `{sys.executable} -m pip install pyroute2`\n"
    )


def test_on_another_system_it_says_so(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "the lab needs Linux" in proxyrules("lab", "status").err


def test_bad_input_is_rejected_before_anything_is_made(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    path = tmp_path / "wrong.yaml"
    path.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: Web}\n")
    result = proxyrules("lab", "up", path)
    assert result.code == 2
    assert f"{path}:3:18: Service default/Web: metadata.name" in result.err
    outside = ("--outside", "nowhere", "--outside", "203.0.113.7", "--outside", "127.0.0.1")
    result = proxyrules("lab", "up", path, *outside)
    assert (result.code, result.out) == (ExitCode.BAD_INPUT, "")
    assert result.err == (
        '--outside: "nowhere" is not an IP address; '
        "use an address of its own, such as 203.0.113.7\n"
        '--outside: "127.0.0.1" is a loopback address; '
        "use an address of its own, such as 203.0.113.7\n"
    )
    web = write(tmp_path, service("web", ["10.200.1.10"]))
    result = proxyrules("lab", "up", web, *OPTIONS, "--outside", "10.200.1.10")
    assert (result.code, result.out) == (ExitCode.BAD_INPUT, "")
    assert result.err == (
        '--outside: "10.200.1.10" is the cluster IP of default/web:main; '
        "use an address of its own, such as 203.0.113.7\n"
    )


def test_help_lists_the_commands_in_the_order_of_use(proxyrules: Runner) -> None:
    out = proxyrules("lab", "--help").out
    commands = out.partition("Commands:\n")[2].partition("\n\n")[0]
    listed = [line.split()[0] for line in commands.splitlines()]
    assert listed == [
        "up", "request", "apply", "rules", "affinity", "conntrack", "exec", "status", "down",
    ]  # fmt: skip
    for command in listed:
        shown = proxyrules("lab", command, "--help")
        assert shown.code == 0
        assert shown.out.startswith(f"Usage: proxyrules lab {command} ")


def test_a_name_without_a_namespace_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` unmounts a namespace before it removes its name."""
    monkeypatch.setattr(netns, "RUN_NETNS", tmp_path)
    (tmp_path / "unmounted").touch()
    for name in ("unmounted", "missing"):
        with pytest.raises(NamespaceGoneError) as raised, netns.entered(name):
            pass
        assert str(raised.value) == f"there is no network namespace {name}"


def test_a_process_that_is_gone_is_not_alive() -> None:
    assert serving.alive(1)
    assert not serving.alive(2**22 + 1)
    assert sys.platform == "linux"
