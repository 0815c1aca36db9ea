"""What the status page shows of the agent's memory, as plain JSON values. PURE given its state.

These forms are an interface like those of `view`: add keys, never change the meaning of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bgp.nlri import Prefix
from router.agent import view
from router.agent.core import RouteAgent
from router.agent.history import Change

Json = dict[str, Any]
CHANGES_SHOWN: Final = 100


def overview(agent: RouteAgent, seen: Mapping[str, Json], at: float) -> Json:
    """Return state, peers and what became of their sessions; `seen` has status and peers.

    `at` is wall time in seconds.
    """
    settings = {peer.name: peer for peer in agent.settings.peers}
    peers = []
    for shown in seen["peers"]["peers"]:
        peer = settings.get(shown["name"])
        link = agent.links.toward(peer.address) if peer is not None else None
        where = {
            "link": link.name if link else shown["interface"],
            "link_mtu": link.mtu if link else None,
            "link_carrier": link.carrier if link else None,
        }
        peers.append({**shown, **where})
    return {
        "at": view.time_text(at),
        "status": seen["status"],
        "peers": peers,
        "changes": [_change(each, at) for each in agent.sessions.history.latest(CHANGES_SHOWN)],
    }


def history(agent: RouteAgent, peer: str | None, at: float) -> Json:
    """Return every change that is still known, of one peer or of all."""
    known = agent.sessions.history.latest(1_000_000, peer)
    return {
        "node": agent.settings.node,
        "since": view.time_text(agent.started_at),
        "changes": [_change(each, at) for each in known],
    }


def _change(change: Change, at: float) -> Json:
    return {
        "peer": change.peer,
        "what": change.turn.value,
        "text": change.text or None,
        "at": view.time_text(change.at),
        "last_at": view.time_text(change.last_at),
        "ago_s": round(max(0.0, at - change.last_at), 1),
        "times": change.times,
    }


Signature = tuple[object, ...]
"""Differs when the table of routes may."""


def signature(agent: RouteAgent) -> Signature:
    """Return what tells cheaply whether the table of routes may have changed."""
    fib = agent.forwarding.fib
    return (
        agent.sessions.heard,
        agent.liveness.distrusted,
        len(fib.routes),
        tuple(sorted(fib.groups.items())),
        tuple(agent.forwarding.refused.items()),
        agent.forwarding.repairs,
    )


def known(agent: RouteAgent) -> set[Prefix]:
    """Return every prefix of which there is something to show."""
    rib = agent.rib
    return rib.prefixes() | rib.rejected_prefixes() | agent.forwarding.fib.routes.keys()


def rows(agent: RouteAgent, prefixes: Iterable[Prefix]) -> list[Json]:
    """Return the rows of these prefixes, as `view.routes` has them; those that went are left out.

    A table is asked for in parts, so that no part keeps the loop for long.
    """
    rib, fib = agent.rib, agent.forwarding.fib
    found = []
    for prefix in prefixes:
        if rib.paths(prefix) or rib.rejections(prefix):
            found.append(view.route(agent, prefix))
        elif prefix in fib.routes:
            found.append(view.kept(agent, prefix))
    return found
