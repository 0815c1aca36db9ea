"""TCP segments off the wire: what is read, what is refused, and whose signature it is."""

from __future__ import annotations

import contextlib
import hashlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.secret import Secret
from bgp.segment import ACK, SYN, Segment, SegmentError


def packet(
    *, version: int = 4, options: bytes = b"", payload: bytes = b"", ttl: int = 1, flags: int = SYN
) -> bytes:
    options += b"\1" * (-len(options) % 4)
    tcp = (50_000).to_bytes(2, "big") + (179).to_bytes(2, "big") + bytes(8)
    tcp += bytes([(5 + len(options) // 4) << 4, flags]) + bytes(2) + b"\xab\xcd" + bytes(2)
    tcp += options + payload
    if version == 4:
        ends = ip_address("10.0.1.2").packed + ip_address("10.0.1.3").packed
        total = (20 + len(tcp)).to_bytes(2, "big")
        return b"\x45\0" + total + bytes(4) + bytes([ttl, 6]) + bytes(2) + ends + tcp
    ends = ip_address("fd00::2").packed + ip_address("fd00::3").packed
    return b"\x60\0\0\0" + len(tcp).to_bytes(2, "big") + bytes([6, ttl]) + ends + tcp


def signed(password: bytes, *, version: int = 4, payload: bytes = b"") -> bytes:
    """Sign as RFC 2385 section 2.0 has it, written apart from the code under test."""
    bare = packet(version=version, options=b"\x13\x12" + bytes(16), payload=payload)
    start = 20 if version == 4 else 40
    tcp = bytearray(bare[start:])
    tcp[16:18] = b"\0\0"
    if version == 4:
        pseudo = bare[12:20] + b"\0\6" + len(tcp).to_bytes(2, "big")
    else:
        pseudo = bare[8:40] + len(tcp).to_bytes(4, "big") + b"\0\0\0\6"
    digest = hashlib.md5(pseudo + bytes(tcp[:20]) + payload + password).digest()
    return bare[: start + 22] + digest + bare[start + 38 :]


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_read(version: int) -> None:
    segment = Segment.parse(packet(version=version, payload=b"OPEN", ttl=255, flags=SYN | ACK))
    assert segment.source == ip_address("10.0.1.2" if version == 4 else "fd00::2")
    assert (segment.source_port, segment.target_port) == (50_000, 179)
    assert (segment.hop_limit, segment.flags) == (255, SYN | ACK)
    assert (segment.payload, segment.digest) == (b"OPEN", None)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("payload", [b"", b"OPEN"])
def test_whose_signature_it_is(version: int, payload: bytes) -> None:
    segment = Segment.parse(signed(b"tor", version=version, payload=payload))
    assert segment.digest is not None
    assert segment.is_signed_with(Secret("tor"))
    assert not segment.is_signed_with(Secret("node"))
    assert "tor" not in repr(segment)


def test_an_unsigned_segment_is_nobodys() -> None:
    assert not Segment.parse(packet()).is_signed_with(Secret("tor"))


@pytest.mark.parametrize(
    "options",
    [b"\x13\x02", b"\x13\x12", b"\x08\x00", b"\x08", b"\0\x13\x12" + bytes(16), b"\x05\xff"],
)
def test_options_without_a_signature(options: bytes) -> None:
    assert Segment.parse(packet(options=options)).digest is None


def test_a_signature_behind_other_options() -> None:
    options = b"\1\1\2\4\5\xb4\x13\x12" + b"d" * 16
    assert Segment.parse(packet(options=options)).digest == b"d" * 16


def test_what_is_behind_the_packet_is_padding() -> None:
    assert Segment.parse(packet(payload=b"x") + bytes(6)).payload == b"x"


@given(st.binary(max_size=120))
def test_any_bytes_are_a_segment_or_an_error(data: bytes) -> None:
    with contextlib.suppress(SegmentError):
        Segment.parse(data)


@given(st.integers(0, 79), st.sampled_from([4, 6]))
def test_a_cut_packet_is_an_error(size: int, version: int) -> None:
    whole = packet(version=version, options=b"\x13\x12" + bytes(16), payload=bytes(40))
    with pytest.raises(SegmentError):
        Segment.parse(whole[:size])
