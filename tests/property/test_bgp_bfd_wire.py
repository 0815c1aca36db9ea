"""BFD: whatever bytes come in, they are understood or refused, and nothing else happens."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.bfd import saved
from bgp.bfd.packet import LENGTH, Packet, PacketError, parse, render
from bgp.bfd.report import ReportError, parse_report, parse_wanted
from tests.support.bfd_values import packets


@given(st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_an_error(data: bytes) -> None:
    try:
        packet = parse(data)
    except PacketError:
        return
    assert parse(render(packet)) == packet


@given(packets(), st.integers(0, LENGTH * 8 - 1))
def test_a_packet_survives_the_wire_and_one_flipped_bit_never_raises(
    packet: Packet, bit: int
) -> None:
    wire = render(packet)
    assert len(wire) == LENGTH
    assert parse(wire) == packet
    flipped = bytearray(wire)
    flipped[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(PacketError):
        parse(bytes(flipped))


@given(st.binary(max_size=200))
def test_any_text_from_the_other_end_is_understood_or_refused(text: bytes) -> None:
    for read in (parse_wanted, parse_report):
        with pytest.raises(ReportError):
            read(text)
    with pytest.raises(saved.SavedError):
        saved.parse(text, boot_id="", alive_at=0, now=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "sessions", "pid", "name", "peer", "boot_id", "x"]), inner
        )
    ),
)


@given(JSON)
def test_any_json_from_the_other_end_is_understood_or_refused(value: object) -> None:
    for top in (value, {"version": 1, "sessions": value}, {"version": 1, "sessions": [value]}):
        text = json.dumps(top).encode()
        for read in (parse_wanted, parse_report):
            with contextlib.suppress(ReportError):
                read(text)
