from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cni.attachment.alias import (
    MAX_ALIAS_BYTES,
    Addresses,
    MalformedAliasError,
    parse_alias,
    render_alias,
    stored_key,
)
from cni.attachment.identity import AttachmentKey, host_name, pod_mac
from cni.spec.environment import parse_environment
from cni.spec.errors import InvalidEnvironmentError

identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,400}", fullmatch=True)
ifnames = st.text(min_size=1, max_size=15).filter(
    lambda name: "CNI_IFNAME" not in _wrong({"CNI_IFNAME": name})
)
keys = st.builds(AttachmentKey, network=identifiers, container_id=identifiers, ifname=ifnames)
addresses = st.builds(
    Addresses,
    ipv4=st.none() | st.ip_addresses(v=4),
    ipv6=st.none() | st.ip_addresses(v=6),
).filter(lambda each: bool(each.each()))


def _wrong(variables: dict[str, str]) -> tuple[str, ...]:
    try:
        parse_environment({"CNI_COMMAND": "ADD", **variables})
    except InvalidEnvironmentError as error:
        return error.variables
    return ()


@given(keys, addresses)
def test_an_alias_fits_and_is_read_back(key: AttachmentKey, given_addresses: Addresses) -> None:
    alias = render_alias(key, given_addresses)
    assert len(alias.encode()) <= MAX_ALIAS_BYTES
    assert parse_alias(alias) == (stored_key(key), given_addresses)


@given(st.text(max_size=300) | st.just("podroute/1 ").flatmap(lambda p: st.text().map(p.__add__)))
def test_any_alias_is_parsed_or_refused(alias: str) -> None:
    try:
        key, found = parse_alias(alias)
    except MalformedAliasError:
        return
    assert key.ifname
    assert found.each()


@given(keys)
def test_names_are_valid_for_the_kernel(key: AttachmentKey) -> None:
    name = host_name(key)
    assert len(name) == 15
    assert name.isalnum()
    mac = pod_mac(key)
    assert len(mac) == 6
    assert mac[0] & 0x03 == 0x02
