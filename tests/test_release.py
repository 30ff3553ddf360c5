from __future__ import annotations

import pytest

from compiler.proxy.release import (
    CHANGES,
    GATES,
    NEWEST,
    OLDEST,
    Change,
    Release,
    Stage,
    parse_version,
    resolve_features,
    since,
)

MINORS = [Release((1, minor)) for minor in range(OLDEST[1], NEWEST[1] + 1)]
LETTERS = {
    Stage.ABSENT_OFF: "-",
    Stage.ABSENT_ON: "+",
    Stage.OFF: "off",
    Stage.ON: "on",
    Stage.LOCKED_ON: "locked",
}

# 1.30 to 1.37, as kubernetes `pkg/features/kube_features.go` had it in each.
HISTORY = {
    "ServiceTrafficDistribution": "off on on locked locked locked + +",
    "PreferSameTrafficDistribution": "- - - off on locked locked locked",
    "TopologyAwareHints": "on on on locked locked locked + +",
    "LoadBalancerIPMode": "on on locked locked locked + + +",
    "AllowServiceExternalIPs": "+ + + + + + on on",
}


@pytest.mark.parametrize("gate", GATES)
def test_history_of_a_gate(gate: str) -> None:
    assert " ".join(LETTERS[release.stage(gate)] for release in MINORS) == HISTORY[gate]


# The releases whose `pkg/proxy` is the first to have the change.
FIRST = {
    Change.NFACCT: "1.31",
    Change.PRIMARY: "1.31",
    Change.NOT_TERMINATING_COPY_WINS: "1.36",
    Change.NODE_PORT_KEYWORDS: "1.37",
}


def test_every_change_has_a_first_release() -> None:
    assert CHANGES.keys() == FIRST.keys() == set(Change)


@pytest.mark.parametrize(("change", "first"), FIRST.items(), ids=str)
def test_history_of_a_change(change: Change, first: str) -> None:
    assert str(since(change)) == first
    having = [str(release) for release in MINORS if release.has(change)]
    assert having == [str(release) for release in MINORS if release.version >= (1, int(first[2:]))]


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.30", (1, 30)), ("v1.34", (1, 34)), ("1.34.2", (1, 34)), ("v1.37.0-rc.1+k3s1", (1, 37))],
)
def test_parse_version(text: str, version: tuple[int, int]) -> None:
    assert parse_version(text) == Release(version)


@pytest.mark.parametrize(
    "text", ["", "1", "1.29", "1.38", "2.30", "1.34.x", "1.3٤", "1.34\n", "latest"]
)
def test_refused_versions(text: str) -> None:
    with pytest.raises(ValueError, match=r"; use 1\.30 to 1\.37$"):
        parse_version(text)


def test_an_explicit_value_wins_where_the_gate_may_be_turned() -> None:
    features, warnings = resolve_features(
        Release((1, 31)), {"ServiceTrafficDistribution": False, "Unrelated": True}
    )
    assert not features.service_traffic_distribution
    assert warnings == []


def test_what_cant_be_turned_is_a_warning_and_stays() -> None:
    features, warnings = resolve_features(
        Release((1, 32)),
        {"LoadBalancerIPMode": False, "PreferSameTrafficDistribution": True},
    )
    assert features.load_balancer_ip_mode
    assert not features.prefer_same_traffic_distribution
    assert [message for message, _ in warnings] == [
        ("PreferSameTrafficDistribution is not there yet in 1.32, so true has no effect"),
        "LoadBalancerIPMode is locked on in 1.32, so false has no effect",
    ]


def test_a_locked_gate_set_to_what_it_is_is_fine() -> None:
    assert resolve_features(Release((1, 35)), {"ServiceTrafficDistribution": True})[1] == []


def test_all_alpha_and_all_beta() -> None:
    features, _ = resolve_features(Release((1, 30)), {"AllAlpha": True, "AllBeta": False})
    assert features.service_traffic_distribution
    assert not features.topology_aware_hints
    features, _ = resolve_features(
        Release((1, 36)), {"AllBeta": False, "AllowServiceExternalIPs": True}
    )
    assert features.allow_service_external_ips


def test_a_misspelt_gate_is_a_warning() -> None:
    _, warnings = resolve_features(Release(), {"PreferSameTraficDistribution": True})
    assert warnings == [
        (
            'unknown feature gate "PreferSameTraficDistribution"',
            "did you mean PreferSameTrafficDistribution?",
        )
    ]
