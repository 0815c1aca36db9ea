"""From links and what was heard on them to the two ends of a session."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_interface

import pytest

from router.model.link import Link, Links
from router.model.unnumbered import Discovered, Port, Routers
from router.reconcile.discovery import discovered, ports

ROUTER = IPv6Address("fe80::1")
OWN = {name: IPv6Address(f"fe80::a{name[-1]}") for name in ("eth1", "eth2")}


def link(name: str, *addresses: str, up: bool = True, carrier: bool = True) -> Link:
    return Link(
        index=int(name[-1]),
        name=name,
        up=up,
        carrier=carrier,
        mtu=1500,
        addresses=tuple(ip_interface(address) for address in addresses),
    )


LINKS = Links.of((link("eth1", "fe80::a1/64", "fd00::1/64"), link("eth2", "fe80::a2/64")))


def test_both_tors_may_have_the_same_address() -> None:
    found = ports(("eth1", "eth2"), LINKS, {})
    assert found == {"eth1": Port(1, OWN["eth1"]), "eth2": Port(2, OWN["eth2"])}

    heard = {name: Routers(ROUTER) for name in found}
    assert discovered(found, LINKS, found, heard) == (
        Discovered("eth1", OWN["eth1"], ROUTER),
        Discovered("eth2", OWN["eth2"], ROUTER),
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "there is no link eth1"),
        (link("eth1", "fe80::a1/64", up=False, carrier=False), "the link is down"),
        (link("eth1", "fe80::a1/64", carrier=False), "the link has no carrier"),
        (link("eth1", "fd00::1/64"), "the link has no usable link-local address yet"),
        (link("eth1", "fe80::a1/64"), "no router advertisement has been heard yet"),
    ],
)
def test_why_there_is_nobody_yet(given: Link | None, why: str) -> None:
    links = Links.of((given,) if given else ())
    found = ports(("eth1",), links, {})
    assert bool(found) == why.startswith("no router")
    assert discovered(("eth1",), links, found, {}) == (Discovered("eth1", why_not=why),)


def test_what_the_kernel_refuses_is_told() -> None:
    found = ports(("eth1",), LINKS, {})
    (one,) = discovered(("eth1",), LINKS, found, {"eth1": Routers(problem="not permitted")})
    assert one.why_not == "router advertisements cannot be exchanged: not permitted"
    # A router that was heard stays; it may forget us after its restart only.
    (one,) = discovered(("eth1",), LINKS, found, {"eth1": Routers(ROUTER, problem="not permitted")})
    assert (one.router, one.why_not) == (ROUTER, "")
    assert one.note == "router advertisements cannot be exchanged: not permitted"


def test_several_routers_on_a_link_are_told() -> None:
    found = ports(("eth1",), LINKS, {})
    heard = {"eth1": Routers(ROUTER, (IPv6Address("fe80::2"),))}
    (one,) = discovered(("eth1",), LINKS, found, heard)
    assert (one.router, one.why_not) == (ROUTER, "")
    assert "other routers are there, too: fe80::2" in one.note


def test_links_that_the_speaker_cannot_tell_apart() -> None:
    links = Links.of((link("eth1", "fe80::aa/64"), link("eth2", "fe80::aa/64")))
    found = ports(("eth1", "eth2"), links, {})
    one, two = discovered(found, links, found, {name: Routers(ROUTER) for name in found})
    assert (one.router, two.router) == (ROUTER, None)
    assert "are those of eth1, too" in two.why_not
    assert "give one of the links another link-local address" in two.why_not


def test_our_address_stays_while_the_link_has_it() -> None:
    before = {"eth1": Port(1, IPv6Address("fe80::b"))}
    more = Links.of((link("eth1", "fe80::a/64", "fe80::b/64"),))
    assert ports(("eth1",), more, before) == before
    assert ports(("eth1",), more, {}) == {"eth1": Port(1, IPv6Address("fe80::a"))}
    less = Links.of((link("eth1", "fe80::a/64"),))
    assert ports(("eth1",), less, before) == {"eth1": Port(1, IPv6Address("fe80::a"))}
