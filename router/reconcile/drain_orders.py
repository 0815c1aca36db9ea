"""Who orders a drain: the operator on the node, or what the Node of the API says. PURE.

A node is drained while anybody orders it: whoever wants it away has a reason that the others
need not know. Of several, the first in the order of `Source` says how. A cordon
(`spec.unschedulable`) is no order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from router.model.node import NodeView
from router.reconcile.drain import (
    MAX_PREPEND,
    MAX_WAIT_S,
    DrainSettings,
    Order,
    Source,
)

ANNOTATION: Final = "podroute.dev/drain"
PREPEND: Final = f"{ANNOTATION}-prepend"
WAIT: Final = f"{ANNOTATION}-wait"
_SHUTTING_DOWN: Final = "node is shutting down"
"""What kubelet's shutdown manager puts into the message of the condition Ready, alone or among
others (pkg/kubelet/nodeshutdown, ShutdownStatus; KEP-2000)."""
_SHUTDOWN: Final = "graceful shutdown by kubelet"


class Wish(NamedTuple):
    """What one source says now."""

    source: Source
    what: str
    """Who it is, in words."""
    order: Order | None
    """None: it cannot be understood, and whatever it said before stands."""
    problem: str = ""
    """Why not."""


def wishes(node: NodeView, settings: DrainSettings, *, at: float) -> tuple[Wish, ...]:
    """Return what the Node orders, by rank; `at` is the wall time. Its shutdown included."""
    found = (
        _annotated(node, settings, at),
        _tainted(node, settings, at),
        _shut_down(node, settings, at),
    )
    return tuple(wish for wish in found if wish is not None)


def is_shutting_down(node: NodeView) -> bool:
    """Tell whether kubelet says that the machine goes down."""
    ready = node.condition("Ready")
    return ready is not None and ready.status == "False" and _SHUTTING_DOWN in ready.message


def ruling(
    command: Order | None,
    found: Iterable[Wish],
    overruled: frozenset[Source],
    before: Order | None,
) -> Order | None:
    """Return the order that rules, None if nobody wants a drain.

    `command` is the operator's, `before` the one that ruled last: an equal one keeps its time.
    """
    if command is not None:
        return command
    for wish in found:
        if wish.source in overruled:
            continue
        stands = before if before is not None and before.source is wish.source else None
        if wish.order is None and stands is None:
            continue
        if stands is not None and (wish.order is None or stands.is_like(wish.order)):
            return stands
        return wish.order
    return None


def _annotated(node: NodeView, settings: DrainSettings, at: float) -> Wish | None:
    said = node.annotations.get(ANNOTATION)
    if not settings.annotation or said in (None, "false"):
        return None
    what = f"annotation {ANNOTATION} of the Node"
    try:
        if said != "true":
            raise ValueError(f"annotation {ANNOTATION}: {_short(said)} must be true or false")
        prepend = _whole(PREPEND, node.annotations.get(PREPEND), settings.prepend)
        wait_s = _seconds(WAIT, node.annotations.get(WAIT), settings.wait_s)
    except ValueError as error:
        return Wish(Source.ANNOTATION, what, None, str(error))
    order = Order(since=at, prepend=prepend, wait_s=wait_s, source=Source.ANNOTATION, what=what)
    return Wish(Source.ANNOTATION, what, order)


def _tainted(node: NodeView, settings: DrainSettings, at: float) -> Wish | None:
    for taint in node.taints:
        if any(wanted.matches(*taint) for wanted in settings.taints):
            what = f"taint {taint.key} of the Node"
            order = Order(
                since=at,
                prepend=settings.prepend,
                wait_s=settings.wait_s,
                source=Source.TAINT,
                what=what,
            )
            return Wish(Source.TAINT, what, order)
    return None


def _shut_down(node: NodeView, settings: DrainSettings, at: float) -> Wish | None:
    if not settings.shutdown or not is_shutting_down(node):
        return None
    order = Order(
        since=at,
        prepend=settings.prepend,
        # Pods that end in peace need the network till the last; then kubelet ends this agent.
        wait_s=math.inf,
        source=Source.SHUTDOWN,
        what=_SHUTDOWN,
    )
    return Wish(Source.SHUTDOWN, _SHUTDOWN, order)


def _whole(key: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 3 or int(text) > MAX_PREPEND:
        raise ValueError(
            f"annotation {key}: {_short(text)} must be a whole number up to {MAX_PREPEND}"
        )
    return int(text)


def _seconds(key: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_WAIT_S:
        raise ValueError(
            f"annotation {key}: {_short(text)} must be seconds from 0 to {MAX_WAIT_S:g}"
        )
    return value


def _short(text: str | None) -> str:
    return repr(text) if text is None or len(text) <= 40 else repr(text[:40]) + "..."
