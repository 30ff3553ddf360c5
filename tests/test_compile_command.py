"""The command: where text goes, what is reported, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cases import FIXTURES, GOLDEN
from tests.run import Runner, run_process

STUDY = FIXTURES / "seed-affinity-clientip" / "input.yaml"
# The shell command that the wheel installs beside this interpreter.
PROXYRULES = Path(sys.executable).with_name("proxyrules")


def test_stdin() -> None:
    done = run_process("compile", "-", "--node", "myk8s-control-plane", stdin=STUDY.read_bytes())
    assert done.returncode == 0
    assert b"KUBE-SVC-KBDEBIL6IU6WL7RF" in done.stdout


def test_stdin_twice_is_rejected() -> None:
    done = run_process("compile", "-", "-", stdin=STUDY.read_bytes())
    assert done.stderr == b"<stdin>: named twice; give - only once\n"
    assert (done.returncode, done.stdout) == (2, b"")


def test_folder_is_read_in_name_order_and_deep(tmp_path: Path, proxyrules: Runner) -> None:
    (tmp_path / "b").mkdir()
    service = {"apiVersion": "v1", "kind": "Service", "spec": {}, "metadata": {"name": "web"}}
    for name in ("b/1.yml", "a.json", "c.yaml"):
        (tmp_path / name).write_text(json.dumps(service))
    (tmp_path / "d.txt").write_text("no manifest")
    err = proxyrules("compile", tmp_path).err
    assert err.count("duplicate object") == 2
    assert [line.split(":")[0] for line in err.splitlines()] == [
        str(tmp_path / "b" / "1.yml"),
        str(tmp_path / "c.yaml"),
    ]


def test_output_file(tmp_path: Path, proxyrules: Runner) -> None:
    output = tmp_path / "rules"
    result = proxyrules("compile", STUDY, "-o", output)
    assert (result.code, result.out) == (0, "")
    assert "KUBE-SVC-KBDEBIL6IU6WL7RF" in output.read_text()
    assert stat.S_IMODE(output.stat().st_mode) == 0o666 & ~os.umask(os.umask(0o022))


def test_output_keeps_mode_and_link(tmp_path: Path, proxyrules: Runner) -> None:
    target = tmp_path / "target"
    target.write_text("before")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    assert proxyrules("compile", STUDY, "-o", link).code == 0
    assert link.is_symlink()
    assert target.read_text() != "before"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_output_to_a_device(proxyrules: Runner) -> None:
    assert proxyrules("compile", STUDY, "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_output_that_cant_be_written(tmp_path: Path, proxyrules: Runner) -> None:
    result = proxyrules("compile", STUDY, "-o", tmp_path / "no" / "rules")
    assert result.code == 2
    assert result.err == (
        f"{tmp_path}/no/rules: can't be written: no such file or directory; "
        "choose a file in an existing folder\n"
    )


def test_quiet_where_standard_error_is_no_terminal(proxyrules: Runner) -> None:
    assert proxyrules("compile", STUDY).err == ""


def test_verbose_sums_up_and_lists_what_was_skipped(proxyrules: Runner) -> None:
    folder = FIXTURES / "other-proxy-headless-and-externalname"
    result = proxyrules("compile", folder, "-v", "--node", "worker-1")
    assert result.err.splitlines() == [
        "skipped: 1 Service (another proxy's)",
        "skipped: 1 Service (headless)",
        "skipped: 1 Service (ExternalName)",
        "skipped: 1 KubeProxyConfiguration",
        "  Service default/other: another proxy's",
        "  Service default/headless: headless",
        "  Service default/ext: ExternalName",
        (
            "4 Services; 1 IPv4 service port; 3 endpoints; rules: filter 4, nat 15; "
            "skipped: 1 Service (another proxy's), 1 Service (headless), "
            "1 Service (ExternalName), 1 KubeProxyConfiguration"
        ),
    ]


def test_summary_on_a_terminal() -> None:
    ours, terminal = pty.openpty()
    with os.fdopen(ours, "rb") as screen:
        subprocess.run(
            [PROXYRULES, "compile", STUDY, "-o", "/dev/null"], stderr=terminal, check=True
        )
        os.close(terminal)
        assert screen.readline() == (
            b"1 Service; 1 IPv4 service port; 3 endpoints; rules: filter 4, nat 18\r\n"
        )


def test_other_family_is_counted(proxyrules: Runner) -> None:
    result = proxyrules("compile", FIXTURES / "dual-stack-ipv4" / "input.yaml", "-v")
    assert "; 1 IPv6 service port left out" in result.err


def test_family_is_ipv6_where_every_service_is(tmp_path: Path, proxyrules: Runner) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"clusterIP": "fd00::1", "ports": [{"port": 80}]},
    }
    manifest = tmp_path / "m.json"
    manifest.write_text(json.dumps(service))
    assert "-d fd00::1 " in proxyrules("compile", manifest).out
    assert "-d fd00::1 " not in proxyrules("compile", manifest, "--ip-family", "ipv4").out


def test_node_is_not_needed_where_it_makes_no_difference(proxyrules: Runner) -> None:
    case = FIXTURES / "nodeport-cluster"
    result = proxyrules("compile", case / "input.yaml", "-c", case / "kube-proxy.yaml")
    assert result.code == 0
    assert result.out == (GOLDEN / "nodeport-cluster.rules").read_text()


@pytest.mark.parametrize("version", ["v1.30", "1.30.5", "v1.30.0-rc.1"])
def test_versions(version: str, proxyrules: Runner) -> None:
    case = FIXTURES / "zone-hints-need-annotation"
    config = case / "kube-proxy.yaml"
    options = ["--node", "worker-1", "--kube-version", version]
    result = proxyrules("compile", case / "input.yaml", "-c", config, *options)
    assert result.out == (GOLDEN / "zone-hints-need-annotation.rules").read_text()


def test_flags_override_the_file(proxyrules: Runner) -> None:
    case = FIXTURES / "masquerade-all-bit-15"
    arguments = ["--masquerade-all", "false", "--iptables-masquerade-bit", "3"]
    text = proxyrules(
        "compile", case / "input.yaml", "-c", case / "kube-proxy.yaml", *arguments
    ).out
    assert "--mark 0x00000008/0x00000008" in text
    assert "! -s 10.10.0.0/16 -j KUBE-MARK-MASQ" in text


def test_kubeadm_config_map(tmp_path: Path, proxyrules: Runner) -> None:
    case = FIXTURES / "masquerade-all-bit-15"
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
        "data": {"config.conf": (case / "kube-proxy.yaml").read_text(), "kubeconfig.conf": "x"},
    }
    config = tmp_path / "cm.json"
    config.write_text(json.dumps(config_map))
    result = proxyrules("compile", case / "input.yaml", "-c", config, "--node", "worker-1")
    assert result.out == (GOLDEN / "masquerade-all-bit-15.rules").read_text()


def test_locked_gate_is_a_warning(tmp_path: Path, proxyrules: Runner) -> None:
    config = tmp_path / "k.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "featureGates:\n  ServiceTrafficDistribution: false\n"
    )
    result = proxyrules("compile", STUDY, "-c", config, "--kube-version", "1.33")
    assert result.code == 0
    assert result.err == (
        f"warning: {config}:4:3: KubeProxyConfiguration: featureGates: ServiceTrafficDistribution "
        "is locked on in 1.33, so false has no effect; kube-proxy would not start with it\n"
    )


def test_usage_error_is_exit_2() -> None:
    assert run_process("compile").returncode == 2
    assert run_process("compyle").returncode == 2


@pytest.mark.parametrize("command", ["proxyrules", "kubectl-proxyrules"])
def test_installed_commands(command: str) -> None:
    done = subprocess.run(
        [PROXYRULES.with_name(command), "compile", STUDY], capture_output=True, check=True
    )
    assert b"KUBE-SVC-KBDEBIL6IU6WL7RF" in done.stdout


def test_closed_pipe_ends_quietly() -> None:
    large = FIXTURES / "large-cluster" / "input.yaml"
    command = f"{PROXYRULES} compile {large} --node worker-1 | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"*filter\n", b"")


def test_interrupt_leaves_nothing_half_written(tmp_path: Path) -> None:
    output = tmp_path / "rules"
    output.write_text("before")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [PROXYRULES, "compile", fifo, "-o", output], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with fifo.open("w"):  # opens once the command reads from it
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"\nAborted.\n")
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "rules"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    environment = {**os.environ, "_PROXYRULES_COMPLETE": f"{shell}_source"}
    done = subprocess.run([PROXYRULES], env=environment, capture_output=True, check=True)
    assert b"_PROXYRULES_COMPLETE" in done.stdout


def test_completion_of_options() -> None:
    environment = {
        **os.environ,
        "_PROXYRULES_COMPLETE": "bash_complete",
        "COMP_WORDS": "proxyrules compile --kube-version 1.3",
        "COMP_CWORD": "3",
    }
    done = subprocess.run([PROXYRULES], env=environment, capture_output=True, check=True)
    assert b"plain,1.34" in done.stdout


def test_help_fits_a_narrow_terminal() -> None:
    environment = {**os.environ, "COLUMNS": "60"}
    done = subprocess.run(
        [PROXYRULES, "compile", "--help"], env=environment, capture_output=True, check=True
    )
    assert max(map(len, done.stdout.decode().splitlines())) <= 60


def test_quiet_still_warns(tmp_path: Path, proxyrules: Runner) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterip: x}\n"
    )
    result = proxyrules("compile", manifest, "-q")
    assert result.err == (
        f"warning: {manifest}:4:8: Service default/a: spec.clusterip: "
        "no such field, so it has no effect; did you mean clusterIP?\n"
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n"])
def test_nothing_at_all_is_rejected(text: str, tmp_path: Path, proxyrules: Runner) -> None:
    """What a kubectl that failed leaves behind must not take all Services away."""
    manifest = tmp_path / "m.yaml"
    manifest.write_text(text)
    result = proxyrules("compile", manifest)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"{manifest}: no manifests in it; YAML or JSON documents\n"


def test_an_empty_list_is_fine(tmp_path: Path, proxyrules: Runner) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("apiVersion: v1\nitems: []\nkind: List\n")
    assert proxyrules("compile", manifest).code == 0


def test_output_over_an_input_is_rejected(tmp_path: Path, proxyrules: Runner) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_bytes(STUDY.read_bytes())
    for given in (manifest, tmp_path):
        result = proxyrules("compile", given, "-o", manifest)
        message = f"{manifest}: is also an input; choose another output file\n"
        assert (result.code, result.err) == (2, message)
    assert manifest.read_bytes() == STUDY.read_bytes()


def test_full_disk_is_no_bad_input(proxyrules: Runner) -> None:
    result = proxyrules("compile", STUDY, "-o", "/dev/full")
    message = "/dev/full: can't be written: no space left on device\n"
    assert (result.code, result.err) == (3, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "--node", "x"], "'': an empty path; name a file, a folder or `-` for standard input"),
        ([STUDY, "--node", ""], "--node: node name is empty; pass a name, or leave it out"),
        (["-", "-c", "-"], "<stdin>: named twice; give - only once"),
    ],
)
def test_unset_variables_and_double_use(
    arguments: list[str | Path], message: str, proxyrules: Runner
) -> None:
    result = proxyrules("compile", *arguments)
    assert (result.code, result.err.splitlines()[0]) == (2, message)


@pytest.mark.parametrize(
    ("redirection", "code", "err"),
    [
        ("- <&-", 2, b"<stdin>: standard input is closed; redirect a file to it, or use a pipe\n"),
        (f"{STUDY} >&-", 3, b"<stdout>: can't be written: bad file descriptor\n"),
        (f"{STUDY} -o /dev/null >&-", 0, b""),
        (f"{STUDY} 2>&-", 0, b""),
    ],
)
def test_closed_streams(redirection: str, code: int, err: bytes) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{PROXYRULES} compile {redirection}"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, err)


def test_termination_leaves_nothing_half_written(tmp_path: Path) -> None:
    output, fifo = tmp_path / "rules", tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen([PROXYRULES, "compile", fifo, "-o", output])
    with fifo.open("w"):
        process.terminate()
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_a_pipe_in_a_folder_does_not_hang(tmp_path: Path, proxyrules: Runner) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_bytes(STUDY.read_bytes())
    result = proxyrules("compile", tmp_path)
    message = f"{tmp_path}/a.yaml: not a regular file; move it elsewhere\n"
    assert (result.code, result.out, result.err) == (2, "", message)


def test_names_that_could_break_a_line(tmp_path: Path, proxyrules: Runner) -> None:
    manifest = tmp_path / "a\nb.yaml"
    manifest.write_text('apiVersion: v1\nkind: "x\\ny"\n---\nkind: [\n')
    result = proxyrules("compile", manifest)
    assert len(result.err.splitlines()) == 1
    manifest.write_text('apiVersion: v1\nkind: "x\\ny"\n')
    assert 'skipped: 1 "x\\ny"\n' in proxyrules("compile", manifest, "-v").err


def test_check_fields_searches_large_json(tmp_path: Path, proxyrules: Runner) -> None:
    manifest = tmp_path / "m.json"
    text = (
        '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prts": []}}'
    )
    manifest.write_text(text + " " * 2**20)
    unchecked = "larger than 1 MiB, so misspelt fields and duplicate keys were not searched for"
    found = (
        f"{manifest}:1:77: Service default/a: spec.prts: no such field, so it has no effect; "
        "did you mean ports?"
    )
    result = proxyrules("compile", manifest)
    hint = "--check-fields searches for them"
    assert (result.code, result.err) == (0, f"warning: {manifest}: {unchecked}; {hint}\n")
    for option in ("--check-fields", "--from-workloads"):
        result = proxyrules("compile", manifest, option)
        assert (result.code, result.err.splitlines()[-1]) == (0, f"warning: {found}")
