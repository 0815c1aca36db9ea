"""What an operator should know of peers and sessions, in words. PURE."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from bgp.ends import EXTENDED_NEXT_HOP
from bgp.nlri import IPV4, Prefix
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import AS_LOOP
from bgp.rib import Rib
from bgp.session import Session, State
from bgp.session_words import NO_OPEN
from router.model.link import Links

_SILENT: Final = "no answer"


def findings(
    peers: Iterable[tuple[PeerSettings, Session]],
    kept_down: AbstractSet[PeerId],
    rib: Rib,
    links: Links,
    own: Collection[Prefix],
) -> list[str]:
    """Return what is not as it should be, peer by peer; `kept_down` is told elsewhere.

    `own` are the node's own pod CIDRs and addresses.
    """
    found: list[str] = []
    for peer, session in peers:
        if peer.name in kept_down:
            continue
        if not session.is_established:
            found.append(f"{peer.name} is not established: {_why_down(peer, session, links)}")
        if far := _is_unexpectedly_far(peer, links):
            found.append(f"{peer.name}: {far}")
        found += looped(peer, rib, own)
        if lacking := _lacks_extended_next_hop(peer, session):
            found.append(f"{peer.name}: {lacking}")
    return found


def _why_down(peer: PeerSettings, session: Session, links: Links) -> str:
    if session.state is State.IDLE:
        return "the speaker does not run"
    if session.last_attempt and session.last_attempt != NO_OPEN:
        return session.last_attempt
    known = session.last_down and session.last_down != NO_OPEN
    before = f"{session.last_down}; since then " if known else ""
    return before + _silence(peer, links)


def _silence(peer: PeerSettings, links: Links) -> str:
    if peer.passive:
        where = f"{peer.local_address} port {peer.port}"
        if peer.local_address is not None and not links.holds(peer.local_address):
            where += ", which no link of this node has"
        return f"it has not connected, and we only listen, at {where}"
    what = f"{_SILENT} at {peer.address} port {peer.port}: it does not listen, knows no such peer,"
    what += " or is filtered"
    if peer.password is not None:
        what += ", or the MD5 passwords differ"
    if peer.ttl_security_hops is not None:
        what += f", or it is farther than {peer.ttl_security_hops} hops (ttl_security)"
    return what


def _is_unexpectedly_far(peer: PeerSettings, links: Links) -> str:
    """Say what is wrong with an eBGP peer that is on no connected network; "" if nothing."""
    if peer.is_internal or peer.multihop_ttl is not None or peer.address.is_link_local:
        return ""
    if (peer.ttl_security_hops or 1) > 1 or links.on_link(peer.address) is not None:
        return ""
    return (
        f"{peer.address} is on no connected network of this node, and neither multihop_ttl nor"
        " ttl_security allows more than one hop"
    )


def _lacks_extended_next_hop(peer: PeerSettings, session: Session) -> str:
    """Say that a peer by interface cannot take IPv4 routes (RFC 8950 section 4); "" if it can."""
    if not peer.interface or IPV4 not in session.families or session.remote is None:
        return ""
    if EXTENDED_NEXT_HOP in session.remote.capabilities:
        return ""
    return (
        "it does not say that it takes IPv4 routes with IPv6 next hops (FRR: capability"
        " extended-nexthop, BIRD: extended next hop), and the link has no other"
    )


def looped(peer: PeerSettings, rib: Rib, own: Collection[Prefix]) -> list[str]:
    """Return a line for each family with paths to others' prefixes that went through our AS.

    Our own prefixes come back to us that way in every fabric.
    """
    found = []
    for family in sorted(peer.families):
        paths = [p for p in rib.loops(peer.name, family) if not any(o.overlaps(p) for o in own)]
        if paths:
            found.append(
                f"{peer.name}: {len(paths)} ipv{family} prefixes are refused, {min(paths)} among"
                f" them: {AS_LOOP} ({peer.local_asn}; allow_own_asn is {peer.allow_own_asn})"
            )
    return found
