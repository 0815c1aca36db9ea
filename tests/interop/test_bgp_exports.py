"""What real routers see of the attributes that we announce."""

from __future__ import annotations

from dataclasses import replace
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


def test_filters_set_communities_med_and_prepends_per_peer(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr", "bird")
    host = fabric.start()
    since = {name: s["since"] for name, s in host.state()["sessions"].items()}
    full = {
        "add_communities": [[65201, 7], [65201, 1]],
        "add_large_communities": [[65201, 1, 2]],
        "med": 50,
        "prepend": 2,
    }
    expected = Seen(
        as_path=(NODE_ASN,) * 3,
        med=50,
        communities=((65201, 1), (65201, 7)),
        large_communities=((65201, 1, 2),),
    )
    less = full | {"add_communities": [[65201, 1]]}
    plain = Seen(as_path=(NODE_ASN,))

    def announce(chosen: str, attributes: dict[str, object] | None, seen: Seen) -> None:
        """Set them for one router's peers only."""
        peers = fabric.peers()
        for peer in peers:
            if attributes is not None and peer["name"].startswith(chosen):
                peer["export_set"] = attributes
        host.configure(peers, list(OWN))
        for index, router in enumerate(fabric.routers, 1):
            for prefix in OWN:
                wait_seen(router, prefix, seen if f"tor{index}" == chosen else plain)
        host.wait("all acknowledged", lambda s: s["settled"])

    for chosen in ("tor1", "tor2"):
        announce(chosen, full, expected)
        announce(chosen, less, replace(expected, communities=((65201, 1),)))
        announce(chosen, None, plain)
    assert {name: s["since"] for name, s in host.state()["sessions"].items()} == since
