"""What the agent sees of itself, for the verdict on the node's readiness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from router.agent.core import RouteAgent
from router.reconcile.readiness import Signs

_OF_FORWARDING: Final = ("links", "forwarding")
_INFORM_ONLY: Final = frozenset({*_OF_FORWARDING, "configuration", "restart", "secrets", "api"})
"""Problems that say nothing about whether pods are reached: the last good state is in force."""


def signs(agent: RouteAgent, *, pod_cidrs_expected: bool) -> Signs:
    """Return the signs of this round.

    `pod_cidrs_expected` is for cluster mode, where a Node without pod CIDRs waits for them;
    in file mode a node without pods is what the operator wrote.
    """
    waiting = [f"{prefix}: {reason}" for prefix, reason in agent.announcing.waiting]
    return Signs(
        waits_for_pod_cidr=pod_cidrs_expected and not agent.settings.pod_cidrs,
        peers=len(agent.settings.peers),
        established=len(agent.sessions.established),
        peers_behind=tuple(_behind(agent)),
        not_announced=tuple(waiting),
        forwarding="; ".join(
            f"{part}: {agent.problems[part]}" for part in _OF_FORWARDING if part in agent.problems
        ),
        faults=tuple(
            f"{part}: {text}" for part, text in agent.problems.items() if part not in _INFORM_ONLY
        ),
    )


def _behind(agent: RouteAgent) -> Iterator[str]:
    """Yield established peers that have not been sent everything, End-of-RIB included."""
    networks = agent.announcing.networks
    for peer, session in agent.sessions.all:
        if not session.is_established:
            continue
        for family in sorted(peer.families & session.families):
            due = {prefix for prefix in networks if prefix.family == family}
            if not due <= session.announced or family not in session.end_of_rib_sent:
                yield peer.name
                break
