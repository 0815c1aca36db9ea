"""What `podroute doctor` needs of the agent, as plain JSON values. PURE given the agent's state."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import islice
from typing import Any, Final

from bgp.nlri import Prefix
from bgp.peer import PeerSettings
from bgp.session import Session
from bgp.session_words import NO_OPEN
from router.agent.core import RouteAgent
from router.agent.duplicates import heard_json
from router.agent.holds import describe
from router.reconcile.findings import looped
from router.reconcile.foreign import foreign

Json = dict[str, Any]
_LOOKED_AT: Final = 1000
_MOST: Final = 5
"""Refused routes shown: they have one cause."""


def facts(agent: RouteAgent) -> Json:
    """Return what can be wrong, as it is now."""
    own = agent.settings.import_policy().own
    waiting = [one for one, _ in agent.sessions.waiting]
    return {
        "node": agent.settings.node,
        "families": sorted({cidr.family for cidr in agent.settings.pod_cidrs}),
        "pod_prefixes": [str(p) for p in agent.settings.pod_prefixes],
        "pod_cidrs": [str(p) for p in agent.settings.pod_cidrs],
        "uplinks": list(agent.uplinks),
        "links": [
            {"name": link.name, "up": link.up, "carrier": link.carrier}
            for link in agent.links.all
            if link.name in agent.uplinks or link.name in agent.settings.interfaces
        ],
        "refused": [
            [str(prefix), why] for prefix, why in sorted(agent.forwarding.refused.items())[:_MOST]
        ],
        "problems": [list(each) for each in sorted(agent.problems.items())],
        "duplicates": list(_duplicates(agent)),
        "node_addresses": [str(address) for address in agent.settings.node_addresses],
        "waiting": [[str(prefix), why] for prefix, why in agent.announcer.current.waiting],
        "lately": agent.shells.lately.as_json(agent.turned_at),
        "peers": [
            *(
                _peer(agent, peer, session)
                | {
                    "looped": looped(peer, agent.rib, own),
                    "passed_over": list(_passed_over(agent, peer, session)),
                    "turns": list(_turns(agent, peer, session)),
                }
                for peer, session in agent.sessions.all
            ),
            *(
                {"name": one.peer.name, "state": "waiting", "reason": one.reason, "address": None}
                for one in waiting
            ),
        ],
    }


def _peer(agent: RouteAgent, peer: PeerSettings, session: Session) -> Json:
    hold = agent.holds.of(peer.name)
    link = agent.links.toward(peer.address)
    remote = session.remote
    return {
        "name": peer.name,
        "address": str(peer.address),
        "port": peer.port,
        "state": hold.kind.value if hold else session.state.value,
        "reason": describe(hold, agent.turned_at) if hold else None,
        "link": link.name if link else None,
        "link_mtu": link.mtu if link else None,
        "is_connected": link is not None,
        "has_carrier": link is None or (link.up and link.carrier),
        "may_be_far": peer.is_internal
        or peer.multihop_ttl is not None
        or (peer.ttl_security_hops or 1) > 1,
        "is_silent": not session.is_established and session.last_attempt in ("", NO_OPEN),
        "last_attempt": session.last_attempt or None,
        "last_down": session.last_down or None,
        "has_password": peer.password is not None,
        "ttl_security_hops": peer.ttl_security_hops,
        "graceful_restart_s": {
            "local": peer.graceful_restart_s,
            "remote": remote.restart_time_s if remote else None,
        },
        "bfd": agent.liveness.describe(peer),
        "not_offered": sorted(peer.families - session.families) if session.is_established else [],
    }


def _turns(agent: RouteAgent, peer: PeerSettings, session: Session) -> Iterator[Json]:
    """Give, for each pod CIDR that the peer has from us, a packet that it should send back to us.

    Of a peer that forwards itself, on a link of ours: not of reflectors and route servers.
    """
    link = agent.links.toward(peer.address)
    if peer.is_internal or link is None or not session.is_established or not _forwards(agent, peer):
        return
    own = [
        *(a for a in agent.settings.node_addresses if agent.links.holds(a)),
        *(interface.ip for interface in link.addresses if not interface.ip.is_link_local),
    ]
    for cidr in agent.settings.pod_cidrs:
        source = next((each for each in own if each.version == cidr.family), None)
        if source is not None and cidr in session.announced:
            network = ip_network(str(cidr))
            # The last but one: seldom a pod's, and it would only be pinged.
            target = network[-2] if network.num_addresses > 1 else network[0]
            yield {"prefix": str(cidr), "target": str(target), "source": str(source)}


def _forwards(agent: RouteAgent, peer: PeerSettings) -> bool:
    """Tell whether paths of the peer lead to itself, as far as a look at some of them tells."""
    return any(
        attributes.next_hop == peer.address
        for _, attributes in islice(agent.rib.accepted_of(peer.name), _LOOKED_AT)
    )


def _passed_over(agent: RouteAgent, peer: PeerSettings, session: Session) -> Iterator[list[str]]:
    """Give our own prefixes that the peer tells us of by way of other routers, with the AS path.

    It has them from us, one AS away, and prefers what is longer: it does not use ours. Only what no
    other node has is looked at, and nothing while we ask for being avoided.
    """
    if peer.is_internal or not session.is_established or agent.draining.state.is_marked:
        return
    hosts = map(Prefix.from_address, agent.settings.node_addresses)
    for prefix in (*agent.settings.pod_cidrs, *hosts):
        if prefix not in session.announced:
            continue
        for refused in agent.rib.rejections(prefix):
            path = refused.attributes.as_path
            others = set(path[1:]) - {peer.local_asn}
            if refused.peer == peer.name and others and path[-1] == peer.local_asn:
                yield [str(prefix), " ".join(map(str, path))]


def _duplicates(agent: RouteAgent) -> Iterator[Json]:
    """Give own pod CIDRs that come from another AS, and surely not from us."""
    settings, rib = agent.settings, agent.rib
    for cidr in settings.pod_cidrs:
        refused = ((cidr, each) for each in rib.rejections(cidr))
        for found in sorted(foreign(refused, asns=settings.asns, is_ours=agent.links.holds)):
            if found.is_certain and found.origin_asn is not None:
                yield heard_json(found)
