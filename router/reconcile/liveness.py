"""From peers, links and what BFD says to what is watched and whom not to trust. PURE.

BFD only takes paths away (RFC 5882 section 4.2): a session that never came up says nothing
about a peer that BGP reached. After a loss, a BGP session established anew is as good a proof
that the path works as BFD's return; FRR and BIRD see it the same way. A peer whose profile says
`required` is different: it is trusted only while BFD is Up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bgp.bfd.report import SessionReport
from bgp.bfd.session import Spec, Verdict
from bgp.bfd.state import State
from bgp.ends import interface_of
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from router.model.link import Address, Link, Links


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The sessions to ask for, and why a peer has none although it should."""

    specs: Mapping[PeerId, Spec]
    missing: Mapping[PeerId, str]


def watch(peers: Iterable[PeerSettings], links: Links, before: Mapping[PeerId, Spec]) -> Watch:
    """Return what to watch now.

    A peer whose link is away just now keeps the place it had: its session has to notice.
    """
    specs: dict[PeerId, Spec] = {}
    missing: dict[PeerId, str] = {}
    for peer in peers:
        if peer.bfd is None:
            continue
        spec = _spec(peer, links)
        known = before.get(peer.name)
        if isinstance(spec, Spec):
            specs[peer.name] = spec
        elif known is not None and known.peer == _text(peer.address):
            specs[peer.name] = known
        else:
            missing[peer.name] = spec
    return Watch(specs=specs, missing=missing)


def cut(peers: Iterable[PeerSettings], links: Links) -> Mapping[PeerId, str]:
    """Return the peers behind a link that is down or without carrier, and the link's name.

    Nothing can be sent by what they announced (RFC 4271 section 9.1.2: a next hop that cannot be
    resolved takes its path out of the decision), long before their hold times are over.
    """
    found: dict[PeerId, str] = {}
    for peer in peers:
        link = _link(peer.address, links)
        if link is not None and not link.usable:
            found[peer.name] = link.name
    return found


def distrusted(
    peers: Iterable[PeerSettings],
    reports: Mapping[str, SessionReport],
    established_at: Mapping[PeerId, float],
) -> frozenset[PeerId]:
    """Return the peers whose paths must not be used.

    `established_at` has the monotonic time of each session that is established now.
    """
    return frozenset(
        peer.name
        for peer in peers
        if peer.bfd is not None
        and not _is_trusted(peer, report_of(peer, reports), established_at.get(peer.name))
    )


def report_of(peer: PeerSettings, reports: Mapping[str, SessionReport]) -> SessionReport | None:
    """Return what BFD says of this peer, and not of one that had its name before."""
    report = reports.get(peer.name)
    return report if report is not None and report.peer == _text(peer.address) else None


def _is_trusted(
    peer: PeerSettings, report: SessionReport | None, established_at: float | None
) -> bool:
    if peer.bfd is not None and peer.bfd.required:
        return report is not None and report.state is State.UP
    if report is None or report.verdict is not Verdict.LOST or report.lost_at is None:
        return True
    return established_at is not None and established_at > report.lost_at


def _spec(peer: PeerSettings, links: Links) -> Spec | str:
    assert peer.bfd is not None  # noqa: S101  # the caller looked
    link = _link(peer.address, links)
    if link is None:
        return f"{peer.address} is on no connected network"
    local = peer.local_address or _own_address(peer.address, link)
    if local is None:
        return f"link {link.name} has no address toward {peer.address}"
    return Spec(
        name=peer.name,
        peer=_text(peer.address),
        local=_text(local),
        ifindex=link.index,
        interval_us=peer.bfd.interval_ms * 1000,
        multiplier=peer.bfd.multiplier,
    )


def _link(address: Address, links: Links) -> Link | None:
    if address.is_link_local and not interface_of(address):
        return None
    return links.toward(address)


def _own_address(address: Address, link: Link) -> Address | None:
    """Return the link's own address in the longest network that holds the peer's."""
    plain = type(address)(int(address))
    fitting = [
        own for own in link.addresses if own.version == plain.version and plain in own.network
    ]
    return max(fitting, key=lambda own: own.network.prefixlen).ip if fitting else None


def _text(address: Address) -> str:
    return str(type(address)(int(address)))
