"""Echo requests, and what their coming back or their refusal looks like."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.echo import Address, Fate, fate, request

ENDS = {
    4: (ip_address("10.255.1.1"), ip_address("10.244.1.254")),
    6: (ip_address("fd00:255:1::1"), ip_address("fd00:244:1::fffe")),
}
# Written by hand from RFC 791 and RFC 792: identifier 0x1234, two hops, no payload.
KNOWN = bytes.fromhex("4500001c00000000020100000aff01010af401fe0800e5cb12340000")


def error(version: int, code: int, quoted: bytes) -> bytes:
    """Return an ICMP error as a router makes it, without checksums."""
    kind = 3 if version == 4 else 1
    body = bytes((kind, code)) + bytes(6) + quoted
    if version == 4:
        length = (20 + len(body)).to_bytes(2, "big")
        return b"\x45\0" + length + bytes(4) + b"\x40\1" + bytes(10) + body
    return b"\x60\0\0\0" + len(body).to_bytes(2, "big") + b"\x3a\x40" + bytes(32) + body


def folded(data: bytes) -> int:
    """Add 16-bit words with the carry, apart from the code under test."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_request_as_others_make_it() -> None:
    source, target = ENDS[4]
    assert request(source, target, 0x1234, 2)[:10] == KNOWN[:10]
    assert request(source, target, 0x1234, 2)[20:] == KNOWN[20:]


@pytest.mark.parametrize("version", [4, 6])
def test_checksums_add_up(version: int) -> None:
    source, target = ENDS[version]
    packet = request(source, target, 0xBEEF, 2)
    if version == 4:
        assert folded(packet[:20]) == 0xFFFF
        assert folded(packet[20:]) == 0xFFFF
    else:
        pseudo = packet[8:40] + len(packet[40:]).to_bytes(4, "big") + bytes((0, 0, 0, 58))
        assert folded(pseudo + packet[40:]) == 0xFFFF


@pytest.mark.parametrize("version", [4, 6])
def test_one_that_comes_back(version: int) -> None:
    source, target = ENDS[version]
    packet = request(source, target, 7, 1)
    assert fate(packet, 7, target) == (Fate.CAME_BACK, "")
    assert fate(packet, 8, target) is None
    assert fate(packet, 7, source) is None


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        (4, 0, "network unreachable"),
        (4, 13, "prohibited"),
        (4, 77, "unreachable (77)"),
        (6, 0, "no route"),
        (6, 6, "reject route"),
    ],
)
def test_one_that_is_refused(version: int, code: int, words: str) -> None:
    source, target = ENDS[version]
    packet = request(source, target, 7, 1)
    assert fate(error(version, code, packet), 7, target) == (Fate.REFUSED, words)
    assert fate(error(version, code, packet), 8, target) is None
    # A router may quote eight bytes of what it carries, and no more (RFC 792).
    assert fate(error(version, code, packet[:28] if version == 4 else packet[:48]), 7, target)


@pytest.mark.parametrize("version", [4, 6])
def test_other_errors_say_nothing(version: int) -> None:
    source, target = ENDS[version]
    other = request(source, source, 7, 1)
    assert fate(error(version, 0, other), 7, target) is None
    assert fate(error(version, 0, b""), 7, target) is None


@given(st.binary(max_size=100), st.sampled_from([4, 6]))
def test_any_bytes_can_be_read(data: bytes, version: int) -> None:
    target: Address = ENDS[version][1]
    assert fate(data, 7, target) is None or data
