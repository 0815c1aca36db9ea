"""Why all is not well on this node, in words for the operator. PURE given the agent's state."""

from __future__ import annotations

from router.agent.core import RouteAgent
from router.reconcile.findings import findings


def complaints(agent: RouteAgent, now: float) -> list[str]:
    """Return a line for each reason, the gravest first; none if all is well."""
    reasons = [f"{part}: {text}" for part, text in sorted(agent.problems.items())]
    established = len(agent.sessions.established)
    peers = agent.settings.sessions_wanted
    if established < peers:
        reasons.append(f"{peers - established} of {peers} sessions are not established")
    reasons += _of_links(agent)
    if deaf_at := agent.shells.speaker.deaf_at:
        reasons.append(f"the speaker cannot listen at {deaf_at}: is another program there?")
    reasons += agent.holds.complaints(agent.rib.counts, now)
    own = agent.settings.import_policy().own
    reasons += findings(agent.sessions.all, agent.holds.names(), agent.rib, agent.links, own)
    reasons += [
        f"{peer}: ipv{family} is not announced to it: {why}"
        for peer, (family, why) in agent.announcer.next_hops.missing.items()
        if peer not in agent.holds.names()
    ]
    reasons += agent.liveness.complaints(agent.settings.enabled_peers)
    reasons += agent.settings.notes
    reasons += [
        f"{prefix} is not announced: {why}" for prefix, why in agent.announcer.current.waiting
    ]
    reasons += agent.duplicates.complaints
    reasons += _of_aggregates(agent)
    reasons += [f"{prefix}: {why}" for prefix, why in sorted(agent.forwarding.refused.items())]
    if agent.draining.problem:
        reasons.insert(0, f"drain: {agent.draining.problem}")
    reasons += [f"drain: {text}" for text in agent.draining.complaints]
    if agent.draining.state.is_marked:
        reasons.insert(0, agent.draining.state.describe())
    if agent.announcer.withdrawing:
        reasons.insert(0, "stopping: everything is being withdrawn")
    return reasons


def _of_links(agent: RouteAgent) -> list[str]:
    """Tell of a pulled cable before the hold time does; a peer by interface waits and says so."""
    toward_peers = set(agent.uplinks) - set(agent.settings.interfaces)
    return [
        f"link {link.name} {'has no carrier' if link.up else 'is down'}: nothing is sent by it"
        for link in agent.links.all
        if link.name in toward_peers and not link.usable
    ]


def _of_aggregates(agent: RouteAgent) -> list[str]:
    grouping = agent.serving.grouping
    why_not = dict(grouping.refused)
    if agent.rejecting.problem:
        why_not |= dict.fromkeys(grouping.aggregates, agent.rejecting.problem)
    return [
        f"addresses of Services in {prefix} are announced one by one: {why}"
        for prefix, why in sorted(why_not.items())
    ]
