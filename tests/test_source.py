"""Where manifests come from: files, folders, standard input, what gzip compressed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from compiler.errors import InputError
from compiler.manifests import source
from compiler.manifests.source import Source, read_source, read_sources

SERVICE = b"apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"


def messages(path: Path, stdin: bytes = b"") -> list[str]:
    with pytest.raises(InputError) as raised:
        read_sources([path], lambda: stdin)
    return [str(problem) for problem in raised.value.problems]


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(gzip.compress(SERVICE))
    assert read_source(path) == Source(str(path), SERVICE)
    assert read_sources([tmp_path], bytes) == [Source(str(path), SERVICE)]
    assert read_sources(["-"], path.read_bytes) == [Source("<stdin>", SERVICE)]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            gzip.compress(SERVICE)[:-9],
            "compressed file ended before the end-of-stream marker was reached",
        ),
        (b"\x1f\x8b" + b"x" * 20, "unknown compression method"),
    ],
    ids=["cut", "damaged"],
)
def test_broken_gzip_is_rejected(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(data)
    assert messages(path) == [
        f"{path}: gzip data that can't be decompressed: {what}; compress it again"
    ]


def test_a_source_beyond_the_limit_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_SOURCE", 2 << 20)
    path = tmp_path / "a.yaml"
    path.write_bytes(bytes(2 << 20))
    assert len(read_source(path).text) == 2 << 20
    path.write_bytes(bytes((2 << 20) + 1))
    assert messages(path) == [f"{path}: larger than 2 MiB; split it"]
    path.write_bytes(gzip.compress(bytes((2 << 20) + 1)))
    assert messages(path) == [f"{path}: larger than 2 MiB; split it"]


def test_a_dead_symbolic_link_in_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(SERVICE)
    (tmp_path / "b.yaml").symlink_to("../elsewhere/b.yaml")
    (tmp_path / "c.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "d.yaml")
    assert sorted(messages(tmp_path)) == [
        (
            f'{tmp_path}/b.yaml: a symbolic link to "../elsewhere/b.yaml", which does not exist; '
            "remove or repair it"
        ),
        f"{tmp_path}/d.yaml: not a regular file; move it elsewhere",
    ]


def test_a_living_symbolic_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(SERVICE)
    (tmp_path / "a.yaml").symlink_to("a.txt")
    assert read_sources([tmp_path], bytes) == [Source(f"{tmp_path}/a.yaml", SERVICE)]
