"""Messages made from one template, numbered and cut, are those made one by one."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from bgp.nlri import Prefix
from router.kernel import route as wire
from router.kernel.message import HEADER, messages
from router.kernel.runs import Run, datagrams
from router.model.fib import Hop, Route

fours = st.builds(
    lambda number, length: Prefix(4, number >> (32 - length) << (32 - length), length),
    st.integers(0, 2**32 - 1),
    st.integers(1, 32),
)
sixes = st.builds(
    lambda number, length: Prefix(6, number >> (128 - length) << (128 - length), length),
    st.integers(0, 2**128 - 1),
    st.integers(1, 128),
)
tables = st.sampled_from([254, 74])
lists = st.one_of(
    st.lists(fours, min_size=1, max_size=30), st.lists(sixes, min_size=1, max_size=30)
)
hops = {
    4: (Hop(4, 0x0A000001, 2), Hop(6, int(ip_address("fe80::1")), 3)),
    6: (Hop(6, int(ip_address("fe80::1")), 2), Hop(6, int(ip_address("fd00::1")), 3)),
}


def whole(runs: list[Run]) -> bytes:
    return b"".join(bytes(run.data) for run in runs)


@given(lists, st.booleans(), tables, st.sampled_from([0, 9]), st.integers(0, 2))
def test_a_run_is_its_messages(
    prefixes: list[Prefix], replace: bool, table: int, source: int, legs: int
) -> None:
    family = prefixes[0].family
    route = Route(0 if legs else 7, 120, source, tuple(sorted(hops[family][:legs])))
    behind = wire.tail(family, route)
    run = wire.write(prefixes, behind, replace=replace, table=table)
    each = [wire.write([p], behind, replace=replace, table=table) for p in prefixes]
    assert bytes(run.data) == whole(each)
    seen = [wire.read(payload) for _, _, _, payload in messages(bytes(run.data))]
    assert [(one.prefix, one.route) for one in seen if one] == [(p, route) for p in prefixes]
    gone = wire.delete(prefixes, 120, table)
    assert bytes(gone.data) == whole([wire.delete([p], 120, table) for p in prefixes])


sizes = st.sampled_from([20, 36, 44, 100])
runs = st.lists(
    st.builds(
        lambda size, count: Run(HEADER.pack(size, 24, 1, 0, 0) * count + b"", size),
        st.just(16),
        st.integers(1, 40),
    )
    | st.builds(
        lambda size, count: Run(
            (HEADER.pack(size, 24, 1, 0, 0) + bytes(range(size - 16))) * count, size
        ),
        sizes,
        st.integers(1, 40),
    ),
    max_size=6,
)


@given(runs, st.integers(1, 2**31), st.sampled_from([16, 50, 300, 65536]))
def test_datagrams_have_every_message_once_in_order_numbered(
    given_runs: list[Run], first: int, limit: int
) -> None:
    sent = list(datagrams(given_runs, first, limit))
    data = b"".join(bytes(one.data) for one in sent)
    numbers = [number for _, _, number, _ in messages(data)]
    assert numbers == list(range(first, first + len(numbers)))
    plain = bytearray(data)
    for offset in _starts(data):
        struct.pack_into("=I", plain, offset + 8, 0)
    assert bytes(plain) == whole(given_runs)
    for one in sent:
        assert one.messages == len(_starts(bytes(one.data)))
        assert len(one.data) <= limit or one.messages == 1
        last = _starts(bytes(one.data))[-1]
        assert one.last_size == len(one.data) - last


def _starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        at += HEADER.unpack_from(data, at)[0]
    return starts
