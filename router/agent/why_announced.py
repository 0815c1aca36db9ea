"""Whether one of our prefixes is announced, to whom, since when, and why not. PURE."""

from __future__ import annotations

from typing import Any, Final

from bgp.advertisement import advertised
from bgp.nlri import Prefix
from bgp.peer import PeerSettings
from bgp.session import Session
from router.agent.core import RouteAgent
from router.agent.holds import describe
from router.agent.service_view import aggregate_why_not
from router.agent.view import time_text

Json = dict[str, Any]
AGGREGATE: Final = "announce.services.aggregate"


def own_fields(agent: RouteAgent) -> dict[Prefix, str]:
    """Return what this node may announce, and the field of the configuration that says so."""
    fields = dict.fromkeys(agent.settings.pod_cidrs, "pod_cidrs")
    fields |= dict.fromkeys(agent.duplicates.contested.halves, "pod_cidrs, half of a contested one")
    for address in agent.settings.node_addresses:
        fields.setdefault(Prefix.from_address(address), "node_addresses")
    fields |= dict.fromkeys(agent.settings.extra_prefixes, "prefixes")
    for decision in agent.serving.decisions:
        text = f"{decision.kind.value} of Service {decision.service}"
        fields.setdefault(decision.address, text)
    for aggregate in agent.serving.grouping.aggregates:
        fields.setdefault(aggregate, AGGREGATE)
    return fields


def announced(agent: RouteAgent, prefix: Prefix, field: str) -> Json:
    """Return what becomes of a prefix of ours; `field` is what asks for it.

    An address of a Service may be announced as part of an aggregate: then it is that one's.
    """
    networks = frozenset(agent.announcer.networks)
    prefix = agent.serving.announced_by(prefix, networks) or prefix
    why_not = _why_nobody(agent, prefix, field)
    peers = [_to_peer(agent, prefix, *one, why_not) for one in agent.sessions.all]
    return {
        "prefix": str(prefix),
        "asked_for_by": field,
        "why_not": why_not or None,
        "peers": [
            *peers,
            *(
                {"peer": one.peer.name, "announced": False, "since": None, "why_not": one.reason}
                for one, _ in agent.sessions.waiting
            ),
        ],
    }


def _why_nobody(agent: RouteAgent, prefix: Prefix, field: str) -> str:
    """Return why no peer shall have it; "" if they shall."""
    if agent.announcer.withdrawing:
        return "the agent stops and withdraws everything"
    if prefix in agent.announcer.networks:
        return ""
    held = ((s.cidr, s.describe()) for s in agent.duplicates.all if not s.is_announced)
    for waiting, reason in (*agent.announcer.current.waiting, *held):
        if waiting == prefix:
            return reason
    of_services = [d.why_not for d in agent.serving.decisions if d.address == prefix and d.why_not]
    if of_services:
        return "; ".join(of_services)
    if agent.draining.state.is_withdrawn:
        return agent.draining.state.describe()
    if field == AGGREGATE:
        return aggregate_why_not(agent, prefix)
    wanted = {
        "pod_cidrs": agent.settings.announce_pod_cidrs,
        "node_addresses": agent.settings.announce_node_addresses,
    }
    if not wanted.get(field, True):
        return f"announce.{field} is false"
    return "the speaker has not been told yet"


def _to_peer(
    agent: RouteAgent, prefix: Prefix, peer: PeerSettings, session: Session, why_nobody: str
) -> Json:
    has_it = prefix in session.announced
    return {
        "peer": peer.name,
        "announced": has_it,
        "since": time_text(agent.announcer.since.of(peer.name, prefix)),
        "why_not": None if has_it else why_nobody or _why_not(agent, prefix, peer, session),
    }


def _why_not(agent: RouteAgent, prefix: Prefix, peer: PeerSettings, session: Session) -> str:
    if (hold := agent.holds.of(peer.name)) is not None:
        return f"{hold.kind.value}: {describe(hold, agent.turned_at)}"
    if prefix.family not in peer.families:
        return f"the session carries no ipv{prefix.family}"
    family, missing = agent.announcer.next_hops.missing.get(peer.name, (0, ""))
    if family == prefix.family:
        return missing
    advertisements = agent.settings.advertisements
    if advertisements and not advertised(advertisements, peer, [prefix]):
        return "no advertisement gives it to this peer"
    if peer.export_filter is not None and prefix not in agent.announcer.expected.get(
        peer.name, frozenset()
    ):
        return f"withheld by export filter {peer.export_filter.name}"
    if not session.is_established:
        why = session.last_attempt or session.last_down
        return f"the session is {session.state.value}" + (f": {why}" if why else "")
    if prefix.family not in session.families:
        return f"the peer did not offer ipv{prefix.family}"
    return "not sent yet"
