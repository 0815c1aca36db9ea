"""What a speaker tells of a session with tor1 or tor2, one IPv4 family each."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from bgp.event import (
    Change,
    Connected,
    Direction,
    EndOfRib,
    Event,
    Opened,
    SessionDown,
    SessionUp,
    Updated,
)
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId


def establishing(
    name: str, restart_time_s: int | None = None, *, preserved: bool = True
) -> tuple[Event, ...]:
    """Return the events of a new session; with a restart time, the peer has graceful restart."""
    peer = PeerId(name)
    opened = [
        Opened(
            peer=peer,
            direction=direction,
            asn=65000,
            hold_time_s=9,
            router_id="10.0.0.1",
            families=frozenset({4}),
            restart_time_s=120 if direction is Direction.SENT else restart_time_s,
            restarting=False,
            restart_families=frozenset(
                {4} if direction is Direction.SENT or restart_time_s else ()
            ),
            preserved_families=frozenset({4} if preserved else ()),
            capabilities=frozenset(),
        )
        for direction in Direction
    ]
    here = ip_address("10.0.1.3")
    return (
        Connected(peer=peer),
        *opened,
        SessionUp(peer=peer, local_address=here),
    )


def update(name: str, *prefixes: str, withdrawn: Iterable[str] = ()) -> Updated:
    """Return an UPDATE of tor1 or tor2 with itself as next hop."""
    number = name.removeprefix("tor")
    attributes = Attributes(
        next_hop=ip_address(f"10.0.{number}.2"), as_path=(65100 + int(number), 65202)
    )
    return Updated(
        peer=PeerId(name),
        changes=(
            Change(
                attributes,
                tuple(Prefix.parse(p) for p in prefixes),
                tuple(map(Prefix.parse, withdrawn)),
            ),
        ),
    )


def end_of_rib(name: str) -> EndOfRib:
    return EndOfRib(peer=PeerId(name), family=4)


def down(name: str) -> SessionDown:
    return SessionDown(peer=PeerId(name), reason="peer closed the connection")
