from __future__ import annotations

import base64
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from compiler.proxy.chain_name import chain_names


def hashed(key: str) -> str:
    """Do as kube-proxy does, one at a time."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:16]


def test_the_study() -> None:
    assert chain_names("KUBE-SVC-", ["default/svc-clusterip:svc-webporttcp"]) == [
        "KUBE-SVC-KBDEBIL6IU6WL7RF"
    ]
    assert chain_names("", ["default/svc-clusterip:svc-webporttcp10.10.1.2:80"]) == [
        "TBW2IYJKUCAC7GB3"
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_all_at_once_is_one_at_a_time(keys: list[str]) -> None:
    assert chain_names("", keys) == [hashed(key) for key in keys]
    assert chain_names("KUBE-SEP-", keys) == ["KUBE-SEP-" + hashed(key) for key in keys]
