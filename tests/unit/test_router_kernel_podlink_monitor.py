from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from router.kernel.message import attribute
from router.kernel.podlink_monitor import Heard, _sort_in

RTM_DELNEIGH = 29


@pytest.mark.parametrize(
    ("address", "kind", "disturbed"),
    [
        ("10.244.1.5", 1, {7}),
        ("fd00:244:1::5", 1, {7}),
        # What the kernel made for its own reports, and removes when there are many.
        ("ff02::16", 5, set()),
        ("224.0.0.22", 5, set()),
    ],
)
def test_only_a_pods_neighbor_is_missed(address: str, kind: int, disturbed: set[int]) -> None:
    packed = ip_address(address).packed
    family = 2 if len(packed) == 4 else 10
    payload = struct.pack("=BBHiHBB", family, 0, 0, 7, 0x20, 0, kind) + attribute(1, packed)
    heard = Heard()
    _sort_in(heard, RTM_DELNEIGH, payload)
    assert heard.disturbed == disturbed
