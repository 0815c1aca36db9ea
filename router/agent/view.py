"""What the agent knows, as plain JSON values for operators. PURE given the agent's state.

These forms are an interface: the CLI, scripts and the status page read them. Add keys, never
change the meaning of one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Final

from bgp.nlri import IPV4, Prefix
from bgp.path import Path
from bgp.peer import PeerSettings
from bgp.session import Session, State, Told
from router.agent.complaints import complaints
from router.agent.core import RouteAgent
from router.agent.duplicates import heard_json
from router.agent.holds import describe
from router.agent.service_view import service_counts
from router.config.settings import WaitingPeer
from router.reconcile.duplicates import Standing

Json = dict[str, Any]
FAMILY_NAMES: Final = {IPV4: "ipv4 unicast", 6: "ipv6 unicast"}


def status(agent: RouteAgent, now: float) -> Json:
    """Return the agent's own state."""
    fib = agent.forwarding.fib
    reasons = complaints(agent, now)
    established, peers = len(agent.sessions.established), agent.settings.sessions_wanted
    return {
        "node": agent.settings.node,
        "pid": os.getpid(),
        "since": time_text(agent.started_at),
        "ok": not reasons,
        "failing": sorted(agent.problems),
        "reasons": reasons,
        "readiness": {
            "state": agent.verdict.state.value,
            "reason": agent.verdict.reason.value,
            "text": agent.verdict.text,
            "wrong": agent.verdict.wrong or None,
        },
        "router_id": str(agent.settings.router_id),
        "local_asn": agent.settings.local_asn,
        "speaker": {
            "pid": agent.shells.speaker.pid,
            "restarts": agent.shells.speaker.restarts,
        },
        "peers": {"configured": peers, "established": established},
        "pod_cidrs": [
            {"prefix": str(cidr), "unreachable_route": cidr in fib.unreachables}
            for cidr in agent.settings.pod_cidrs
        ],
        "pod_cidr_claims": [_claim(standing) for standing in agent.duplicates.all],
        "announcing": [str(prefix) for prefix in agent.announcer.networks],
        "services": service_counts(agent),
        "routes": {
            "learned": len(agent.rib.prefixes()),
            "installed": len(fib.routes),
            "refused": len(agent.forwarding.refused),
            "repairs": agent.forwarding.repairs,
            "form": agent.forwarding.form.value,
        },
        "waiting_for_end_of_rib": sorted(
            {item.peer for item in agent.sessions.after_start.awaited}
            if agent.sessions.after_start.holds(now)
            else ()
        ),
        "uplinks": list(agent.uplinks),
        "steps": agent.steps.as_json(),
    }


def _claim(standing: Standing) -> Json:
    return {
        "prefix": str(standing.cidr),
        "state": standing.phase.value,
        "may_be_announced": standing.is_announced,
        "other_node": standing.other or None,
        "heard": [heard_json(each) for each in sorted(standing.heard)],
        "text": standing.describe() or None,
    }


def peers(agent: RouteAgent, at: float) -> Json:
    """Return every peer and its session."""
    return {
        "node": agent.settings.node,
        "peers": [
            *(_peer(agent, settings, session, at) for settings, session in agent.sessions.all),
            *(_waiting(agent, one, session, at) for one, session in agent.sessions.waiting),
        ],
    }


def _waiting(agent: RouteAgent, one: WaitingPeer, session: Session | None, at: float) -> Json:
    """Return a peer by interface that was not found; with what there was of its session."""
    since = session or Session(peer=one.peer.name, since=agent.started_at)
    shown = _peer(agent, one.peer, since, at)
    return {**shown, "address": f"%{one.interface}", "state": "waiting", "reason": one.reason}


def _peer(agent: RouteAgent, settings: PeerSettings, session: Session, at: float) -> Json:
    remote = session.remote
    hold = agent.holds.of(settings.name)
    return {
        "name": settings.name,
        "address": str(settings.address),
        "remote_asn": _remote_asn(settings, session),
        "local_asn": settings.local_asn,
        "interface": settings.interface,
        "state": hold.kind.value if hold else _state(settings, session),
        "reason": describe(hold, agent.turned_at) if hold else None,
        "since": time_text(session.since),
        "for_s": round(max(0.0, at - session.since), 1),
        "router_id": remote.router_id if remote else None,
        "hold_time_s": session.hold_time_s or settings.hold_time_s,
        "keepalive_s": (session.hold_time_s or settings.hold_time_s) // 3,
        "graceful_restart_s": {
            "local": settings.graceful_restart_s,
            "remote": remote.restart_time_s if remote else None,
        },
        "families": {
            FAMILY_NAMES[family]: _family(agent, settings, session, family)
            for family in sorted(settings.families)
        },
        "bfd": agent.liveness.describe(settings),
        "last_down": session.last_down or None,
        "last_down_at": time_text(session.last_down_at),
        "last_down_for_s": None
        if session.last_down_at is None
        else round(max(0.0, at - session.last_down_at), 1),
        "times_down": session.times_down,
        "last_notification": {
            "sent": _told(session.last_sent),
            "received": _told(session.last_received),
        },
    }


def _told(told: Told | None) -> Json | None:
    return None if told is None else {"text": told.text, "at": time_text(told.at)}


def _state(settings: PeerSettings, session: Session) -> str:
    """Return the state; waiting for a peer to dial is Active (RFC 4271 section 8.2.2)."""
    waits = settings.passive and session.state is State.CONNECT
    return "active" if waits else session.state.value


def _remote_asn(settings: PeerSettings, session: Session) -> int | str:
    """Return the peer's AS; of an external one, what it said."""
    if settings.remote_asn is not None:
        return settings.remote_asn
    return session.remote.asn if session.remote else "external"


def _family(agent: RouteAgent, settings: PeerSettings, session: Session, family: int) -> Json:
    counts = agent.rib.counts(settings.name, family)
    return {
        "received": counts.received,
        "accepted": counts.accepted,
        "rejected": counts.rejected,
        "stale": counts.stale,
        "limit": settings.max_prefixes.of(family),
        "negotiated": family in session.families,
        "announced": session.announced_in(family),
        "end_of_rib_received": family in session.end_of_rib_received,
        "end_of_rib_sent": family in session.end_of_rib_sent,
    }


def routes(agent: RouteAgent) -> Json:
    """Return every prefix that a peer told us, and what became of it."""
    known = agent.rib.prefixes()
    listed = [route(agent, prefix) for prefix in sorted(known | agent.rib.rejected_prefixes())]
    unheard = sorted(agent.forwarding.fib.routes.keys() - known)
    listed += [kept(agent, prefix) for prefix in unheard]
    return {"node": agent.settings.node, "routes": listed}


def kept(agent: RouteAgent, prefix: Prefix) -> Json:
    """Return a prefix of the kernel that nobody has announced since the start."""
    return {
        "prefix": str(prefix),
        "paths": [],
        "rejected": [],
        "installed": True,
        "next_hops": hops(agent, prefix) or [],
        "why_not": "kept from before the start: no peer has announced it again yet",
    }


def route(agent: RouteAgent, prefix: Prefix) -> Json:
    """Return what is known of one prefix that a peer announced."""
    best = {path.peer for path in agent.rib.best(prefix)}
    paths = agent.rib.paths(prefix)
    installed = prefix in agent.forwarding.fib.routes
    why_not = agent.forwarding.why_not(prefix) if paths else "no accepted path"
    return {
        "prefix": str(prefix),
        "paths": [_path(path, best=path.peer in best) for path in paths],
        "rejected": [
            {"peer": r.peer, "next_hop": str(r.attributes.next_hop), "reason": r.reason}
            for r in agent.rib.rejections(prefix)
        ],
        "installed": installed,
        "next_hops": hops(agent, prefix) or [],
        "why_not": why_not or None,
    }


def _path(path: Path, *, best: bool) -> Json:
    attributes = path.attributes
    return {
        "peer": path.peer,
        "next_hop": str(attributes.next_hop),
        "as_path": list(attributes.as_path),
        "origin": attributes.origin.name.lower(),
        "med": attributes.med,
        "local_preference": attributes.local_preference,
        "communities": [f"{high}:{low}" for high, low in attributes.communities],
        "large_communities": [":".join(map(str, c)) for c in attributes.large_communities],
        "best": best,
        "stale": path.stale,
    }


def hops(agent: RouteAgent, prefix: Prefix) -> list[str] | None:
    """Return the kernel's next hops of a learned prefix; None: it is not there."""
    fib = agent.forwarding.fib
    if prefix not in fib.routes:
        return None
    names = {link.index: link.name for link in agent.links.all}
    found = fib.hops_of(fib.routes[prefix])
    return [f"{hop.address} dev {names.get(hop.ifindex, hop.ifindex)}" for hop in found]


def time_text(at: float | None) -> str | None:
    """Return wall time as RFC 3339 in UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
