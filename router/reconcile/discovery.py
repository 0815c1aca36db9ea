"""From links and what was heard on them to both ends of the sessions over them. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address

from router.model.link import Link, Links
from router.model.unnumbered import Discovered, Port, Routers


def ports(
    interfaces: Iterable[str], links: Links, before: Mapping[str, Port]
) -> Mapping[str, Port]:
    """Return the links on which router advertisements are to be exchanged now.

    Only those with carrier and a usable link-local address of ours. The address used before stays
    as long as the link has it: every change of it ends the session.
    """
    found: dict[str, Port] = {}
    for name in interfaces:
        link = links.named(name)
        if link is None or not link.usable:
            continue
        known = before.get(name)
        addresses = _link_locals(link)
        if known is not None and known.ifindex == link.index and known.own in addresses:
            found[name] = known
        elif addresses:
            found[name] = Port(link.index, addresses[0])
    return found


def discovered(
    interfaces: Iterable[str],
    links: Links,
    ports: Mapping[str, Port],
    heard: Mapping[str, Routers],
) -> tuple[Discovered, ...]:
    """Return for each interface both ends of its session, or why they are not known yet."""
    taken: dict[tuple[IPv6Address, IPv6Address], str] = {}
    found: list[Discovered] = []
    for name in interfaces:
        one = _discovered(name, links, ports, heard)
        if one.own is not None and one.router is not None:
            twin = taken.setdefault((one.own, one.router), name)
            if twin != name:
                one = Discovered(name, why_not=_twins(one, twin))
        found.append(one)
    return tuple(found)


def _discovered(
    name: str, links: Links, ports: Mapping[str, Port], heard: Mapping[str, Routers]
) -> Discovered:
    port, routers = ports.get(name), heard.get(name, Routers())
    if port is None:
        return Discovered(name, why_not=_no_port(name, links.named(name)))
    note = ""
    if routers.problem:
        note = f"router advertisements cannot be exchanged: {routers.problem}"
    if routers.router is None:
        why_not = note or "no router advertisement has been heard yet"
        return Discovered(name, why_not=why_not)
    if routers.others:
        others = ", ".join(map(str, routers.others))
        note = f"other routers are there, too: {others}; the session is with {routers.router}"
    return Discovered(name, port.own, routers.router, note=note)


def _no_port(name: str, link: Link | None) -> str:
    if link is None:
        return f"there is no link {name}"
    if not link.up:
        return "the link is down"
    if not link.carrier:
        return "the link has no carrier"
    return "the link has no usable link-local address yet"


def _twins(one: Discovered, twin: str) -> str:
    return (
        f"its addresses {one.own} and {one.router} are those of {twin}, too, and the speaker cannot"
        " tell the two apart: give one of the links another link-local address"
    )


def _link_locals(link: Link) -> list[IPv6Address]:
    return sorted(
        own.ip for own in link.addresses if isinstance(own.ip, IPv6Address) and own.ip.is_link_local
    )
