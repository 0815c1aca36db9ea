"""What a peer's fields mean for its session, and what is said of those that cannot work."""

from __future__ import annotations

import pytest

from bgp.limits import LimitAction, MaxPrefixes
from bgp.peer import PeerSettings
from bgp.secret import Secret, SecretError
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings


def read_password(path: str) -> Secret:
    if path == "/empty":
        raise SecretError("the password is empty")
    raise FileNotFoundError(2, "No such file or directory", path)


def load(fields: str) -> AgentSettings:
    text = (
        "local_asn: 65201\n"
        "router_id: 10.255.1.1\n"
        "peers:\n"
        f"  - {{name: tor, address: 10.0.1.2, {fields}}}\n"
        "  - {name: other, address: 10.0.2.2, remote_asn: 65102}\n"
    )
    surroundings = Surroundings(host_name="host", read_password=read_password)
    return load_settings(text, source="f.yaml", surroundings=surroundings)


def peer(fields: str) -> PeerSettings:
    return load(f"remote_asn: 65101, {fields}").peers[0]


def test_defaults() -> None:
    tor = peer("port: 179")
    assert tor.max_prefixes == MaxPrefixes(
        ipv4=200_000, ipv6=200_000, action=LimitAction.TEARDOWN, retry_after_s=60
    )
    assert (tor.ttl_security_hops, tor.allow_own_asn, tor.shutdown) == (None, 0, None)
    assert tor.is_enabled


@pytest.mark.parametrize(
    ("word", "number", "is_internal"),
    [("external", None, False), ("internal", 65201, True), ("64512.1", 4227858433, False)],
)
def test_remote_asn_is_a_number_or_a_word(word: str, number: int | None, is_internal: bool) -> None:
    found = load(f"remote_asn: {word}").peers[0]
    assert (found.remote_asn, found.is_internal) == (number, is_internal)


def test_internal_follows_the_local_asn_of_the_peer() -> None:
    found = load("remote_asn: internal, local_asn: 64999").peers[0]
    assert (found.remote_asn, found.local_asn) == (64999, 64999)


@pytest.mark.parametrize(
    ("word", "hops"), [("true", 1), ("false", None), ("1", 1), ("3", 3), ("254", 254)]
)
def test_ttl_security(word: str, hops: int | None) -> None:
    assert peer(f"ttl_security: {word}").ttl_security_hops == hops


def test_max_prefixes() -> None:
    found = peer("max_prefixes: {ipv4: 5, action: warn, retry_after_s: 7}").max_prefixes
    assert found == MaxPrefixes(ipv4=5, ipv6=200_000, action=LimitAction.WARN, retry_after_s=7)


def test_shutdown_with_and_without_a_text() -> None:
    assert peer("shutdown: true").shutdown == ""
    assert peer("shutdown: true, shutdown_text: cables").shutdown == "cables"
    found = peer("shutdown: false, shutdown_text: cables")
    assert found.shutdown is None
    assert found.is_enabled


def test_a_missing_password_file_disables_its_peer_alone() -> None:
    settings = load("remote_asn: 65101, password_file: /missing")
    assert settings.peers[0].disabled == (
        "its password is not there: /missing: No such file or directory"
    )
    assert settings.peers[0].password is None
    assert [p.name for p in settings.enabled_peers] == ["other"]


def test_a_keepalive_time_that_the_speaker_has_anyway_is_taken() -> None:
    assert peer("hold_time_s: 30, keepalive_s: 10").hold_time_s == 30


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("password_file: /empty", "password_file: cannot be used: the password is empty"),
        ("keepalive_s: 2", "keepalive_s: the speaker (ExaBGP) sends keepalives at a third of"),
        ("connect_retry_s: 61", "connect_retry_s: '61' must be a whole number from 1 to 60"),
        ("ttl_security: 255", "ttl_security: '255' must be true, false or a number of hops"),
        ("ttl_security: true, multihop_ttl: 2", "ttl_security: excludes multihop_ttl"),
        ("allow_own_asn: 11", "allow_own_asn: '11' must be a whole number from 0 to 10"),
        ("max_prefixes: {ipv4: 0}", "max_prefixes.ipv4: '0' must be a whole number from 1"),
        ("max_prefixes: {action: x}", "max_prefixes.action: 'x' must be one of: warn, teardown"),
        ("max_prefixes: {v4: 3}", "max_prefixes.v4: unknown key; did you mean 'ipv4'?"),
        ("passive: true", "passive: needs local_address, the address to listen at"),
        ("families: [ipv5]", "families[0]: 'ipv5' must be ipv4 or ipv6"),
        ("shutdown: soon", "shutdown: 'soon' must be true or false"),
        (f"shutdown_text: {'x' * 256}", "shutdown_text: longer than 255 bytes"),
        ("source_interface: 'a b'", "source_interface: not the name of an interface"),
    ],
)
def test_what_cannot_work_is_named(fields: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        peer(fields)
    assert f"f.yaml: line 4: peers[0].{expected}" in str(caught.value)


def test_a_word_that_is_no_as() -> None:
    with pytest.raises(ConfigError, match=r"nor external \(any but ours\) or internal \(ours\)"):
        load("remote_asn: outside")


def test_passive_peers_at_one_place_have_one_ttl_security() -> None:
    where = "passive: true, local_address: 10.0.1.3"
    other = f"{where}, ttl_security: 2}}\n  - {{name: b, address: 10.0.1.4, remote_asn: 1, {where}"
    with pytest.raises(ConfigError, match="at one local_address and port must have the same"):
        peer(other)
    same = other.replace(", ttl_security: 2", "")
    assert [p.passive for p in load(f"remote_asn: 65101, {same}").peers] == [True, True, False]
