"""The import guard (invariant 11): every refusal and its words."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.policy import AcceptRule, ImportPolicy, PolicyError, cluster_rule


def p(text: str) -> Prefix:
    return Prefix.parse(text)


POLICY = ImportPolicy(
    cluster=(
        cluster_rule(p("10.244.0.0/16")),
        cluster_rule(p("fd00:244::/32")),
        cluster_rule(p("10.255.0.0/16"), hosts_only=True),
        cluster_rule(p("fd00:255::/32"), hosts_only=True),
    ),
    own=(p("10.244.1.0/24"), p("fd00:244:1::/64"), p("10.255.1.1/32"), p("fd00:255:1::1/128")),
    services=(p("10.96.0.0/12"),),
    also_accept=(AcceptRule(prefix=p("198.51.100.0/24"), le=32),),
)


def attributes(*as_path: int, as_sets: tuple[tuple[int, ...], ...] = ()) -> Attributes:
    return Attributes(next_hop=ip_address("10.0.1.2"), as_path=as_path, as_sets=as_sets)


@pytest.mark.parametrize(
    "text",
    [
        "10.244.2.0/24",
        "10.244.2.16/28",
        "fd00:244:2::/64",
        "10.255.1.2/32",
        "fd00:255:1::2/128",
        "198.51.100.0/24",
        "198.51.100.10/32",
    ],
)
def test_accepts(text: str) -> None:
    assert POLICY.evaluate(p(text), attributes(65101, 65202), 65201).accepted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.243.0.0/24", "outside the cluster prefixes"),
        ("10.0.0.0/8", "covers own pod CIDR 10.244.1.0/24"),
        ("2001:db8::/32", "outside the cluster prefixes"),
        ("10.244.2.1/32", "length 32 is out of bounds"),
        ("10.255.2.0/24", "length 24 is out of bounds"),
        ("10.244.1.0/24", "is own pod CIDR 10.244.1.0/24"),
        ("10.244.1.128/25", "inside own pod CIDR 10.244.1.0/24"),
        ("10.244.0.0/16", "covers own pod CIDR 10.244.1.0/24"),
        ("fd00:244::/32", "covers own pod CIDR fd00:244:1::/64"),
        ("10.255.1.1/32", "is own address 10.255.1.1/32"),
        ("10.96.0.10/32", "inside service range 10.96.0.0/12"),
        ("0.0.0.0/0", "a default route, and none is asked for"),
        ("::/0", "a default route, and none is asked for"),
        ("169.254.1.1/32", "inside special-purpose range 169.254.0.0/16"),
        ("127.0.0.0/8", "is special-purpose range 127.0.0.0/8"),
        ("224.0.0.0/4", "inside special-purpose range 224.0.0.0/3"),
        ("fe80::/64", "inside special-purpose range fe80::/10"),
        ("::ffff:10.0.0.0/104", "inside special-purpose range ::ffff:0.0.0.0/96"),
        ("192.0.0.0/2", "covers special-purpose range 224.0.0.0/3"),
    ],
)
def test_refuses_with_the_reason(text: str, reason: str) -> None:
    verdict = POLICY.evaluate(p(text), attributes(65101), 65201)

    assert not verdict.accepted
    assert verdict.reason == reason


def test_refuses_own_asn_in_sequence_and_set() -> None:
    for looping in (attributes(65101, 65201), attributes(65101, as_sets=((1, 65201),))):
        verdict = POLICY.evaluate(p("10.244.2.0/24"), looping, 65201)
        assert verdict.reason == "own ASN in AS path"


def test_default_only_when_asked_for() -> None:
    policy = ImportPolicy(accept_default=True)

    assert policy.evaluate(p("0.0.0.0/0"), attributes(65101), 65201).accepted
    assert not policy.evaluate(p("0.0.0.0/1"), attributes(65101), 65201).accepted


def test_nothing_is_accepted_without_rules() -> None:
    assert not ImportPolicy().evaluate(p("10.244.2.0/24"), attributes(1), 2).accepted


@pytest.mark.parametrize(("ge", "le"), [(8, None), (24, 20), (None, 33), (16, 15)])
def test_rule_with_impossible_bounds(ge: int | None, le: int | None) -> None:
    with pytest.raises(PolicyError, match="lengths"):
        AcceptRule(prefix=p("10.244.0.0/16"), ge=ge, le=le)


def test_bare_rule_means_exactly_its_prefix() -> None:
    policy = ImportPolicy(cluster=(AcceptRule(prefix=p("10.244.0.0/16")),))

    assert policy.evaluate(p("10.244.0.0/16"), attributes(1), 2).accepted
    assert not policy.evaluate(p("10.244.1.0/24"), attributes(1), 2).accepted
