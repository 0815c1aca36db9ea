"""What operators see of Services' addresses. PURE given the agent's state."""

from __future__ import annotations

from typing import Any

from bgp.nlri import Prefix
from router.agent.core import RouteAgent
from router.reconcile.services import Decision

Json = dict[str, Any]


def service_counts(agent: RouteAgent) -> Json | None:
    """Return the numbers for the status; None where nothing is asked for."""
    if not agent.settings.services.is_wanted:
        return None
    networks = frozenset(agent.announcer.networks)
    serving = agent.serving
    return {
        "addresses": len(serving.addresses),
        "announced": sum(
            serving.announced_by(address, networks) is not None for address in serving.addresses
        ),
        "aggregates": [str(p) for p in sorted(serving.grouping.aggregates & networks)],
        "rejected_packets": agent.rejecting.packets,
        "repairs": agent.rejecting.repairs,
    }


def services(agent: RouteAgent) -> Json:
    """Return every address of a Service of the kinds asked for, and what becomes of it."""
    networks = frozenset(agent.announcer.networks)
    serving = agent.serving
    return {
        "node": agent.settings.node,
        "wanted": agent.settings.services.is_wanted,
        "known": serving.services.is_known,
        "remembered": [
            str(prefix)
            for prefix in sorted(serving.remembered)
            if serving.announced_by(prefix, networks) is not None
        ],
        "services": [_address(agent, decision, networks) for decision in serving.decisions],
        "aggregates": [
            *(_aggregate(agent, prefix) for prefix in sorted(serving.grouping.aggregates)),
            *(
                {"prefix": str(prefix), "announced": False, "rejects_unused": False, "why_not": why}
                for prefix, why in sorted(serving.grouping.refused.items())
            ),
        ],
        "rejected_packets": agent.rejecting.packets,
    }


def _address(agent: RouteAgent, decision: Decision, networks: frozenset[Prefix]) -> Json:
    by = agent.serving.announced_by(decision.address, networks)
    return {
        "address": str(decision.address),
        "service": str(decision.service),
        "kind": decision.kind.value,
        "announced": not decision.why_not and by is not None,
        "by": str(by) if by not in (None, decision.address) and not decision.why_not else None,
        "why_not": decision.why_not or (_why_not_now(agent) if by is None else None),
    }


def _why_not_now(agent: RouteAgent) -> str:
    """Return why something is not announced that is decided to be."""
    if agent.draining.state.is_withdrawn:
        return agent.draining.state.describe()
    return "not told to the speaker yet"


def _aggregate(agent: RouteAgent, prefix: Prefix) -> Json:
    is_announced = prefix in agent.announcer.networks
    return {
        "prefix": str(prefix),
        "announced": is_announced,
        "rejects_unused": bool(agent.rejecting.protects({prefix})),
        "why_not": None if is_announced else aggregate_why_not(agent, prefix),
    }


def aggregate_why_not(agent: RouteAgent, prefix: Prefix) -> str:
    """Return why an aggregate is not announced."""
    if not agent.rejecting.protects({prefix}):
        why = agent.rejecting.problem or "not written yet"
        return f"its unused addresses cannot be rejected: {why}"
    return _why_not_now(agent)
