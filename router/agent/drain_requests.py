"""What operators ask of the drain, from the local interface to the loop's thread."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from router.agent.api import RequestError
from router.agent.core import RouteAgent
from router.agent.drain_file import read_prepend, read_wait_s
from router.reconcile import drain, drain_plan
from router.reconcile.drain import Order

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
        "wait_s": order.wait_s if order is not None and math.isfinite(order.wait_s) else None,
        "by": order.source.value if order is not None else None,
        "asked": [{"by": source.value, "what": what} for source, what in agent.draining.asked],
        "not_followed": list(agent.draining.complaints),
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
        steps = drain_plan.plan(
            agent.draining.state,
            order,
            announced=agent.announcer.networks,
            kept=drain.kept(agent.settings.drain, agent.settings.node_addresses, order),
            peers=[peer.name for peer in agent.settings.peers],
        )
        if not dry_run:
            _written_down(lambda: agent.draining.order(order, monotonic()))
        return {"plan": [step.describe() for step in steps], "drain": view(agent)}

    return do


def end(body: Mapping[str, Any], monotonic: Callable[[], float]) -> Callable[[RouteAgent], Json]:
    """Return what ends the operator's drain. Raises RequestError for a wrong request."""
    override = body.get("override", False)
    if body.keys() - {"override"} or not isinstance(override, bool):
        raise RequestError(400, 'expected {"override": true} or {"override": false}')

    def do(agent: RouteAgent) -> Json:
        was = agent.draining.state.phase
        _written_down(lambda: agent.draining.cancel(monotonic(), override=override))
        now = agent.draining.state.phase
        return {"was": was.value, "now": now.value, "drain": view(agent)}

    return do


def _written_down(act: Callable[[], None]) -> None:
    try:
        act()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RequestError(
            500, f"nothing was changed: cannot write {error.filename}: {reason}"
        ) from error
