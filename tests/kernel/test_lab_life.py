"""A lab comes and goes without a trace, however it ends, and never reaches outside itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.cli.exit_codes import ExitCode
from compiler.lab import lifecycle, netns
from compiler.lab.affinity import JIFFIES_AT_BOOT_SECONDS, configured_rate, read_clock
from compiler.lab.errors import LabError
from compiler.lab.run_directory import RUN, directory, netns_prefix
from compiler.lab.serving import alive
from compiler.netfilter.backend import Backend
from tests.cases import FIXTURES
from tests.kernel.box import Box, fresh_box
from tests.kernel.manifests import OPTIONS, endpoint, endpoint_slice, service, write
from tests.kernel.namespace import PROGRAMS
from tests.run import Runner

pytestmark = pytest.mark.kernel(*PROGRAMS[Backend.NFT])

STUDY = FIXTURES / "study-clientip"


def up_study(box: Box) -> None:
    manifests, config = STUDY / "input.yaml", STUDY / "kube-proxy.yaml"
    box("up", manifests, "--config", config, "--node", "myk8s-control-plane")


def left_over(name: str) -> list[str]:
    """What there is of a lab: namespaces, processes in them or with its name, files."""
    spaces = netns.names(netns_prefix(name))
    found = [f"namespace {space}" for space in spaces]
    found += [f"process {pid}" for pid in netns.processes(spaces)]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"compiler.lab.server" in words and name.encode() in words:
                found.append(f"server {entry.name}")
    found += [f"file {path}" for path in (directory(name),) if path.exists()]
    return found


def machine() -> dict[str, str]:
    """What a lab could have changed outside its namespaces."""
    commands = {
        "links": ["ip", "-o", "link"],
        "addresses": ["ip", "-o", "address"],
        "routes": ["ip", "route", "show", "table", "all"],
        "routes6": ["ip", "-6", "route", "show", "table", "all"],
        "rules": ["nft", "list", "ruleset"],
        "mounts": ["sh", "-c", "grep -v /run/netns /proc/self/mountinfo | cut -d' ' -f5-"],
    }
    found = {
        name: subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
        for name, command in commands.items()
    }
    for name in (
        "ipv4/ip_forward",
        "ipv4/conf/all/rp_filter",
        "ipv4/conf/all/route_localnet",
        "ipv4/conf/default/rp_filter",
        "ipv6/conf/all/forwarding",
        "ipv6/conf/default/accept_dad",
        "bridge/bridge-nf-call-iptables",
    ):
        path = Path("/proc/sys/net") / name
        found[name] = path.read_text() if path.exists() else ""
    return found


@pytest.mark.kernel("nft")
def test_nothing_outside_is_touched_and_nothing_is_left(box: Box) -> None:
    before = machine()
    up_study(box)
    during = machine()
    assert left_over(box.name)
    box("request", "svc-clusterip")
    box("down")
    assert during == before
    assert machine() == before
    assert left_over(box.name) == []


def test_down_ends_what_runs_inside(box: Box) -> None:
    up_study(box)
    script = "sleep 1000 >/dev/null 2>&1 & echo $!"
    sleeper = int(box("exec", "client-1", "--", "sh", "-c", script))
    assert alive(sleeper)
    box("down")
    assert not alive(sleeper)
    assert left_over(box.name) == []


def test_down_twice_is_fine_and_says_so(box: Box) -> None:
    up_study(box)
    assert box("down") == f"lab {box.name}: removed\n"
    assert box("down") == f"lab {box.name}: not found\n"


def test_no_namespace_has_a_way_out(box: Box) -> None:
    """Every link of a member ends in the node, and the node's links all end in members."""
    up_study(box)
    spaces = netns.names(netns_prefix(box.name))
    own = subprocess.run(
        ["ip", "-o", "link", "show", "type", "veth"], capture_output=True, check=True
    )
    assert box.name.encode() not in own.stdout
    for member in box.state.layout.members:
        listed = box("exec", member.name, "--", "ip", "-o", "link").splitlines()
        if member.name == "node":
            assert len(listed) == 1 + len(spaces) - 1
        else:
            assert [line.split()[1].split("@")[0].rstrip(":") for line in listed] == ["lo", "eth0"]
    # A server of the machine itself, on every address it has, is not to be had.
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        listening.settimeout(0.1)
        listed_addresses = subprocess.run(
            ["ip", "-4", "-o", "address"], capture_output=True, encoding="utf-8", check=True
        ).stdout.splitlines()
        addresses = [line.split()[3].partition("/")[0] for line in listed_addresses]
        script = (
            "import socket, sys\n"
            "for address in sys.argv[2:]:\n"
            "    try: socket.create_connection((address, int(sys.argv[1])), 0.2)\n"
            "    except OSError: pass\n"
        )
        for client in ("node", "client-1", "outside-1"):
            box("exec", client, "--", sys.executable, "-c", script, str(port), *addresses)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_labs_side_by_side(proxyrules: Runner, tmp_path: Path) -> None:
    """The same addresses in two labs, and each has its own answer."""
    for_both = service("web", ["10.200.1.10"])
    with fresh_box(proxyrules) as one, fresh_box(proxyrules) as two:
        for box, name in ((one, "of-one"), (two, "of-two")):
            slices = endpoint_slice("web", [endpoint(name, "10.10.2.1")])
            box("up", write(tmp_path, for_both, slices, name=f"{name}.json"), *OPTIONS)
        assert one.answer("web") == "of-one"
        assert two.answer("web") == "of-two"
        assert one.run("status").out.startswith(f"lab {one.name}: ")
        one("down")
        assert left_over(one.name) == []
        assert two.answer("web") == "of-two"


@pytest.mark.parametrize("name", ["a.b", "", "../x", "UP", "-x", "x" * 41])
def test_a_name_that_could_reach_elsewhere_is_rejected(proxyrules: Runner, name: str) -> None:
    for command in ("down", "status"):
        result = proxyrules("lab", command, f"--name={name}")
        assert result.code == ExitCode.BAD_INPUT
        assert f"\"{name}\" can't be a lab's name" in result.err


def test_a_lab_whose_name_begins_like_another_is_left_alone(proxyrules: Runner) -> None:
    with fresh_box(proxyrules) as box:
        up_study(box)
        longer = Box(f"{box.name}-more", proxyrules)
        try:
            up_study(longer)
            box("down")
            assert longer.answer("svc-clusterip").startswith("webpod")
        finally:
            lifecycle.down(longer.name)


def test_up_twice_is_rejected(box: Box) -> None:
    up_study(box)
    again = box.run("up", STUDY / "input.yaml", "--node", "myk8s-control-plane")
    assert again.code == ExitCode.FAILED
    assert again.err.splitlines()[-1] == (
        f'Error: the lab "{box.name}" is up; change it with `proxyrules lab apply --name '
        f"{box.name}`, or remove it with `proxyrules lab down --name {box.name}`"
    )
    assert box.answer("svc-clusterip").startswith("webpod")


def test_rules_that_the_kernel_rejects_leave_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "compiler.compilation.Compilation.standalone"
    monkeypatch.setattr(message, "*filter\n-A NOWHERE -j ACCEPT\nCOMMIT\n")
    result = box.run("up", STUDY / "input.yaml", "--node", "myk8s-control-plane")
    assert result.code == ExitCode.FAILED
    assert "iptables-nft-restore rejected the rules" in result.err
    assert left_over(box.name) == []


def has_namespaces(count: int) -> Callable[[str], bool]:
    return lambda name: len(netns.names(netns_prefix(name))) >= count


def has_server(name: str) -> bool:
    return any(one.startswith("server") for one in left_over(name))


def is_up(name: str) -> bool:
    return (directory(name) / "state.json").exists()


@pytest.mark.parametrize(
    "moment",
    [has_namespaces(1), has_namespaces(60), has_server, is_up],
    ids=["first-namespace", "all-namespaces", "server", "done"],
)
def test_down_clears_up_after_a_killed_up(
    box: Box, tmp_path: Path, moment: Callable[[str], bool]
) -> None:
    pods = [endpoint(f"web-{number}", f"10.10.2.{number}") for number in range(1, 81)]
    path = write(tmp_path, service("web", ["10.200.1.10"]), endpoint_slice("web", pods))
    command = [sys.executable, "-m", "compiler", "lab", "up", str(path), *OPTIONS]
    with subprocess.Popen(
        [*command, "--name", box.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as making:
        deadline = time.monotonic() + 20
        while not moment(box.name) and time.monotonic() < deadline:
            assert making.poll() in {None, 0}
        making.send_signal(signal.SIGKILL)
    assert left_over(box.name), "it was killed too early for this test to mean anything"
    if not is_up(box.name):
        message = (
            f'Error: the lab "{box.name}" is incomplete; '
            f"remove it with `proxyrules lab down --name {box.name}`\n"
        )
        shown = box.proxyrules("lab", "status")
        assert shown.code == ExitCode.FAILED
        assert message in shown.err
        half = box.run("request", "web")
        assert (half.code, half.err) == (ExitCode.FAILED, message)
        # A second `up` fails likewise, and leaves no second half.
        assert box.run("up", path, *OPTIONS).code == ExitCode.FAILED
    box("down")
    assert left_over(box.name) == []
    box("up", path, *OPTIONS)
    assert box.answer("web").startswith("web-")


def test_an_interrupted_up_clears_up_itself(box: Box, tmp_path: Path) -> None:
    pods = [endpoint(f"web-{number}", f"10.10.2.{number}") for number in range(1, 81)]
    path = write(tmp_path, service("web", ["10.200.1.10"]), endpoint_slice("web", pods))
    command = [sys.executable, "-m", "compiler", "lab", "up", str(path), *OPTIONS]
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            [*command, "--name", box.name], stderr=subprocess.PIPE, encoding="utf-8"
        ) as making:
            deadline = time.monotonic() + 20
            while not has_namespaces(40)(box.name) and time.monotonic() < deadline:
                assert making.poll() is None
            making.send_signal(number)
            _, error = making.communicate()
        assert (making.returncode, error.strip()) == (130, "Aborted.")
        assert left_over(box.name) == []


def test_a_server_that_died_is_reported(box: Box, tmp_path: Path) -> None:
    up_study(box)
    for pid in netns.processes([box.netns("node")]):
        os.kill(pid, signal.SIGKILL)
        while alive(pid):
            time.sleep(0.01)
    message = (
        f'Error: the endpoints\' servers of the lab "{box.name}" are not running, so no endpoint '
        f"answers; use `proxyrules lab down --name {box.name}`, then `lab up`\n"
    )
    shown = box.run("status")
    assert (shown.code, shown.err) == (ExitCode.FAILED, message)
    assert shown.out.startswith(f"lab {box.name}: iptables-nft, IPv4\n")
    box("apply", FIXTURES / "study-none" / "input.yaml")
    unanswered = box.run("request", "svc-clusterip")
    assert (unanswered.code, unanswered.out, unanswered.err) == (
        ExitCode.FAILED,
        "1  refused\n",
        message,
    )
    changed = (STUDY / "input.yaml").read_text().replace("10.10.1.2", "10.10.1.9")
    path = tmp_path / "changed.yaml"
    path.write_text(changed)
    result = box.run("apply", path)
    assert result.code == ExitCode.FAILED
    assert message in result.err


def test_exec_gives_the_commands_own_exit_code(box: Box) -> None:
    up_study(box)
    assert box.run("exec", "net-pod", "--", "sh", "-c", "exit 7").code == 7
    missing = box.run("exec", "net-pod", "--", "no-such-command")
    assert missing.code == 127
    assert "not installed: no-such-command" in missing.err


def test_what_is_not_there_is_an_error_with_what_is(box: Box) -> None:
    up_study(box)
    client = box.run("request", "svc-clusterip", "--from", "net-pot")
    assert client.code == ExitCode.BAD_INPUT
    assert client.err == (
        'Error: no member "net-pot" in the lab; its members are: '
        "client-1, net-pod, node, outside-1, webpod1, webpod2, webpod3\n"
    )
    for command in ("request", "rules", "affinity", "conntrack"):
        service_error = box.run(command, "nothing")
        assert service_error.code == ExitCode.BAD_INPUT
        assert service_error.err == (
            'Error: no Service "nothing" in the lab; its Services are: default/svc-clusterip\n'
        )
    outside = box.run("request", "svc-clusterip", "--from", "outside-1")
    assert outside.code == ExitCode.BAD_INPUT
    assert "has no load-balancer IP, external IP or node port for outside-1" in outside.err


def test_a_lab_that_is_not_there(proxyrules: Runner) -> None:
    result = proxyrules("lab", "request", "web", "--name", "nobody")
    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert result.err == 'Error: there is no lab "nobody"; make one with `proxyrules lab up`\n'


def test_two_at_work_on_one_lab(box: Box) -> None:
    from compiler.lab.run_directory import locked

    up_study(box)
    with locked(box.name):
        result = box.run("down")
    assert result.code == ExitCode.FAILED
    assert f'another proxyrules is changing the lab "{box.name}"; try again' in result.err
    with pytest.raises(LabError, match="no lab"), locked("nobody"):
        pass


def test_run_directory_goes_with_the_last_lab(box: Box) -> None:
    up_study(box)
    assert (RUN / box.name).stat().st_mode & 0o777 == 0o700
    box("down")
    assert not directory(box.name).exists()


def test_five_hundred_endpoints(box: Box, tmp_path: Path) -> None:
    """Namespaces, links and servers for a large Service (measured: 3 seconds)."""
    pods = [endpoint(f"web-{n}", f"10.10.{2 + n // 250}.{1 + n % 250}") for n in range(500)]
    path = write(tmp_path, service("web", ["10.200.1.10"]), endpoint_slice("web", pods))
    box("up", path, *OPTIONS)
    assert len(box.state.layout.members) == 503
    assert len(box.tally("web", count=200)) > 100
    box("down")
    assert left_over(box.name) == []


def test_both_clocks_agree() -> None:
    """What the kernel shows of its tick counter, and what its configuration makes of the time."""
    rate = configured_rate()
    if rate is None:
        pytest.skip("this kernel's configuration is not shown")
    clock = read_clock()
    since = time.clock_gettime(time.CLOCK_MONOTONIC) + JIFFIES_AT_BOOT_SECONDS
    assert clock.rate == rate
    assert abs(clock.jiffies - (1 << 32) - rate * since) < 2 * rate
