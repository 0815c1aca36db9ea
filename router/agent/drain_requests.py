"""What operators ask of the drain, from the local interface to the loop's thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from router.agent.api import RequestError
from router.agent.core import RouteAgent
from router.agent.drain_file import read_prepend, read_wait_s
from router.reconcile import drain
from router.reconcile.drain import Order, Phase

Json = dict[str, Any]
_KEYS: Final = frozenset({"prepend", "wait_s", "dry_run"})


def view(agent: RouteAgent) -> Json:
    """Return the drain as plain JSON values."""
    state = agent.draining.state
    order = state.order
    return {
        "phase": state.phase.value,
        "text": state.describe(),
        "since": order.since if order is not None else None,
        "prepend": state.prepend,
        "wait_s": order.wait_s if order is not None else None,
        "problem": agent.draining.problem or None,
    }


def begin(
    body: Mapping[str, Any], monotonic: Callable[[], float], wall: Callable[[], float]
) -> Callable[[RouteAgent], Json]:
    """Return what does it on the loop's thread. Raises RequestError for a wrong request."""
    unknown = sorted(body.keys() - _KEYS)
    if unknown:
        raise RequestError(400, f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(_KEYS))}")
    dry_run = body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise RequestError(400, "dry_run must be true or false")
    try:
        order = Order(
            since=wall(),
            prepend=read_prepend(body.get("prepend", 0)),
            wait_s=read_wait_s(body.get("wait_s", drain.DEFAULT_WAIT_S)),
        )
    except ValueError as error:
        raise RequestError(400, str(error)) from None

    def do(agent: RouteAgent) -> Json:
        steps = drain.plan(
            agent.draining.state,
            order,
            announced=agent.announcer.networks,
            kept=drain.kept(agent.settings.drain, agent.settings.node_addresses),
            peers=[peer.name for peer in agent.settings.peers],
        )
        if not dry_run:
            _written_down(lambda: agent.draining.order(order, monotonic()))
        return {"plan": [step.describe() for step in steps], "drain": view(agent)}

    return do


def end(agent: RouteAgent) -> Json:
    """End the drain. Raises RequestError."""
    was = agent.draining.state.phase
    _written_down(agent.draining.cancel)
    return {"was": was.value, "now": Phase.NONE.value}


def _written_down(act: Callable[[], None]) -> None:
    try:
        act()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RequestError(
            500, f"nothing was changed: cannot write {error.filename}: {reason}"
        ) from error
