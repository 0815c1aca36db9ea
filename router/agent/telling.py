"""What the agent tells others about the node: the CNI server and the readiness verdict. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final

from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.session import Session
from cni.node_facts import NodeFacts
from router.config.settings import AgentSettings
from router.reconcile.drain import Drain
from router.reconcile.readiness import Signs

Waiting = tuple[Prefix, str]
"""A prefix that is not announced, and why."""

_OUTSIDE: Final = frozenset({"configuration", "memory", "restart", "metrics", "page"})
"""Problems of a new configuration, while the one in force goes on working; and of onlookers."""
_FOR_PODS: Final = frozenset({"links", "forwarding"})
"""Problems that an ADD must wait for; never BGP's (invariant 9)."""


def readiness_signs(  # noqa: PLR0913 - all that is seen, by name
    *,
    settings: AgentSettings,
    sessions: Iterable[Session],
    expected: Mapping[PeerId, frozenset[Prefix]],
    not_expected: Set[Prefix],
    silent: Mapping[PeerId, tuple[int, str]],
    waiting: Iterable[Waiting],
    problems: Mapping[str, str],
    expects_pod_cidrs: bool,
    drain: Drain,
) -> Signs:
    """Return what readiness is judged by; `sessions` are the established ones.

    `expected` is what each peer shall have from us; `not_expected` of that comes and goes with
    endpoints of Services, which says nothing about the node.

    `expects_pod_cidrs` is for cluster mode, where they come from the API; in a file, a node
    without pods is what the operator wrote. `silent` names peers that are not announced one
    family.
    """
    up = tuple(sessions)
    return Signs(
        waits_for_pod_cidr=expects_pod_cidrs and not settings.pod_cidrs,
        peers=settings.sessions_wanted,
        established=len(up),
        peers_behind=tuple(
            sorted(
                s.peer
                for s in up
                if _is_behind(
                    s,
                    expected.get(s.peer, frozenset()) - not_expected,
                    silent.get(s.peer, (0, ""))[0],
                )
            )
        ),
        # An extra prefix that is elsewhere says nothing about this node.
        not_announced=tuple(
            f"{prefix}: {why}" for prefix, why in waiting if prefix not in settings.extra_prefixes
        ),
        forwarding=problems.get("forwarding", ""),
        drain=drain.describe(),
        is_withdrawn=drain.is_withdrawn,
        faults=tuple(
            f"{part}: {text}"
            for part, text in sorted(problems.items())
            if part != "forwarding" and part not in _OUTSIDE
        ),
    )


def _is_behind(session: Session, networks: frozenset[Prefix], silent: int) -> bool:
    """Tell whether the peer has not been sent everything and End-of-RIB yet.

    `silent` is the family that it is not announced.
    """
    if session.families - session.end_of_rib_sent:
        return True
    mine = {network for network in networks if network.family in session.families - {silent}}
    return not mine <= session.announced


def node_facts(
    *,
    settings: AgentSettings,
    mtu: int,
    waiting: Iterable[Waiting],
    problems: Mapping[str, str],
    drain: Drain,
) -> NodeFacts:
    """Return what the CNI server must know (design D14); `generation` is the publisher's.

    `mtu` is that of the uplinks in bytes; `waiting` names own pod CIDRs only.
    """
    reasons = [f"{part}: {text}" for part, text in problems.items() if part in _FOR_PODS]
    reasons += [f"{prefix}: {why}" for prefix, why in waiting]
    if drain.is_marked and not settings.drain.pod_adds:
        reasons.append(drain.describe())
    return NodeFacts(
        generation=0,
        node=settings.node,
        pod_cidrs=tuple(prefix.to_network() for prefix in settings.pod_cidrs),
        node_addresses=settings.node_addresses,
        mtu=settings.mtu or mtu,
        ready=not reasons,
        reason="; ".join(reasons),
    )
