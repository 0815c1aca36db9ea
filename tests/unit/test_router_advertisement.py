"""Router advertisements: their bytes, and which router is at the other end of a link."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.kernel.router_advertisement_wire import (
    ADVERTISEMENT,
    FILTER,
    SOLICITATION,
    Kind,
    read,
)
from router.reconcile.routers import MAX_OTHERS, SILENT_S, Audience, hear, settle

TOR, OTHER = IPv6Address("fe80::1"), IPv6Address("fe80::2")
LINK_ADDRESS_OPTION = bytes.fromhex("0101020304050607")
# As FRR 8.4 sends it: managed flags 0, lifetime 30, link-layer address.
FRR = bytes.fromhex("8600d1b54000001e0000000000000000") + LINK_ADDRESS_OPTION


def test_what_we_send_is_what_we_read() -> None:
    assert read(ADVERTISEMENT, TOR, 255) is Kind.ADVERTISEMENT
    assert read(SOLICITATION, TOR, 255) is Kind.SOLICITATION
    kind, _, _, hop_limit, flags, lifetime, *timers = struct.unpack(">BBHBBHII", ADVERTISEMENT)
    assert (kind, hop_limit, flags, lifetime, timers) == (134, 0, 0, 0, [0, 0])


def test_advertisements_of_others() -> None:
    assert read(FRR, TOR, 255) is Kind.ADVERTISEMENT
    assert read(SOLICITATION + LINK_ADDRESS_OPTION, TOR, 255) is Kind.SOLICITATION


@pytest.mark.parametrize(
    ("message", "source", "hop_limit"),
    [
        pytest.param(FRR, TOR, 64, id="forwarded"),
        pytest.param(FRR, IPv6Address("2001:db8::1"), 255, id="global source"),
        pytest.param(SOLICITATION, IPv6Address("::"), 255, id="no source"),
        pytest.param(b"\x86\x01" + FRR[2:], TOR, 255, id="code"),
        pytest.param(FRR[:15], TOR, 255, id="short"),
        pytest.param(FRR + b"\x01\x00", TOR, 255, id="option of length 0"),
        pytest.param(FRR + b"\x01\x02" + bytes(6), TOR, 255, id="option cut off"),
        pytest.param(FRR + b"\x01", TOR, 255, id="half an option"),
        pytest.param(b"\x87" + FRR[1:], TOR, 255, id="neighbor solicitation"),
        pytest.param(b"", TOR, 255, id="empty"),
    ],
)
def test_what_is_ignored(message: bytes, source: IPv6Address, hop_limit: int) -> None:
    assert read(message, source, hop_limit) is None


@given(st.binary(max_size=64), st.integers(0, 255))
def test_any_bytes_are_read_without_an_error(message: bytes, hop_limit: int) -> None:
    assert read(message, TOR, hop_limit) in (None, Kind.SOLICITATION, Kind.ADVERTISEMENT)


def test_the_kernel_lets_only_two_kinds_through() -> None:
    blocked = struct.unpack("=8I", FILTER)
    passed = [kind for kind in range(256) if not blocked[kind >> 5] >> (kind & 31) & 1]
    assert passed == [133, 134]


def heard(*words: tuple[IPv6Address, float]) -> Audience:
    audience = Audience()
    for router, at in words:
        audience = hear(settle(audience, at), router, at)
    return audience


def test_the_first_router_is_the_one() -> None:
    assert settle(Audience(), 5.0).router is None
    audience = heard((TOR, 1.0), (TOR, 9.0))
    assert settle(audience, 10_000.0).router == TOR
    assert audience.living == ()


def test_a_replaced_address_takes_over_once_the_old_one_is_silent() -> None:
    audience = heard((TOR, 1.0), (OTHER, 5.0))
    assert settle(audience, 5.9).router == TOR
    assert audience.living == ()
    after = settle(audience, 6.0)
    assert (after.router, after.others) == (OTHER, {})


def test_of_two_routers_the_one_that_is_known_stays() -> None:
    audience = heard((TOR, 1.0), (OTHER, 5.0), (TOR, 5.2))
    assert audience.living == (OTHER,)
    for at in (10.0, 15.0, 20.0):
        audience = settle(hear(hear(audience, OTHER, at), TOR, at), at + 2)
        assert (audience.router, audience.living) == (TOR, (OTHER,))
    gone = settle(hear(audience, TOR, 22.0 + SILENT_S), 22.0 + SILENT_S)
    assert (gone.router, gone.living) == (TOR, ())


def test_of_two_routers_the_other_one_takes_over_from_one_that_died() -> None:
    audience = heard((TOR, 1.0), (OTHER, 5.0), (TOR, 5.2))
    at = 5.2 + SILENT_S + 1
    audience = settle(hear(audience, OTHER, at), at)
    assert audience.router == OTHER


def test_nobody_fills_our_memory() -> None:
    audience = heard((TOR, 0.0))
    for number in range(100):
        audience = hear(audience, IPv6Address(f"fe80::dead:{number:x}"), 0.1)
    assert len(audience.others) == MAX_OTHERS


@given(
    st.lists(
        st.tuples(st.sampled_from([TOR, OTHER, IPv6Address("fe80::3")]), st.floats(0.0, 5.0)),
        min_size=1,
        max_size=40,
    )
)
def test_there_is_always_a_router_that_was_heard(words: list[tuple[IPv6Address, float]]) -> None:
    now, audience = 0.0, Audience()
    for router, pause_s in words:
        now += pause_s
        audience = hear(settle(audience, now), router, now)
        assert audience.router in {word for word, _ in words}
        assert audience.router not in audience.others
    # If only one goes on speaking, it is the one in the end.
    last = words[-1][0]
    for _ in range(40):
        now += 1.0
        audience = settle(hear(audience, last, now), now)
    assert (audience.router, audience.living) == (last, ())
