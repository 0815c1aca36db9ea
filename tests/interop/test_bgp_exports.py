"""What real routers see of the attributes that we announce."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.bgp_fabric import NODE_ASN, OWN, MakeFabric
from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.router import Seen
from tests.support.wait import NotYetError, wait_until

pytestmark = [pytest.mark.interop]


def wait_seen(router: Any, prefix: str, expected: Seen) -> None:
    """Wait until a router has exactly these attributes for the prefix."""

    def probe() -> bool:
        seen = router.seen(prefix)
        if seen != expected:
            raise NotYetError(seen)
        return True

    wait_until(probe, deadline_s=10, what=f"{prefix} with {expected}")


def test_going_away_is_marked_and_prepended_and_taken_back(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr", "bird")
    host = fabric.start()
    since = {name: s["since"] for name, s in host.state()["sessions"].items()}
    plain = Seen(as_path=(NODE_ASN,))
    marked = Seen(as_path=(NODE_ASN,) * 3, communities=((65535, 0),))

    for rest, expected in (({"going_away": True, "prepend": 2}, marked), ({}, plain)):
        host.configure(fabric.peers(), list(OWN), **rest)
        for router in fabric.routers:
            assert isinstance(router, Frr | Bird)
            for prefix in OWN:
                wait_seen(router, prefix, expected)
        host.wait("all acknowledged", lambda s: s["settled"])

    assert {name: s["since"] for name, s in host.state()["sessions"].items()} == since
