"""What to change at our own Node object (invariant 9). PURE.

We own exactly two things of it: the condition NetworkUnavailable and the start-up taint. A plan
is the difference between what the Node says and what it shall say; no difference, no
request. Formats: JSON patch (RFC 6902) for the taint, because `spec.taints` is an atomic list
of which a strategic merge would replace all; strategic merge by `type` for the condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from router.model.node import NodeView
from router.reconcile.readiness import State, Verdict

CONDITION: Final = "NetworkUnavailable"
TAINT_KEY: Final = "podroute.dev/not-ready"
TAINT_EFFECT: Final = "NoSchedule"
_MAX_MESSAGE: Final = 1024
_OURS: Final = "Podroute"
"""Every `Reason` begins with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Which signals on the Node are ours to give."""

    condition: bool = True
    taint: bool = True
    report: bool = True
    """The object BGPNodeStatus, where there is such a resource."""


class Patch(StrEnum):
    """Kinds of change; each goes to its own place in the API."""

    CONDITION = "condition"
    TAINT = "taint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One request to the API."""

    patch: Patch
    body: Any
    """A strategic merge patch of the status (CONDITION) or a JSON patch (TAINT)."""
    text: str
    """What it does, for the log."""

    def describe(self) -> str:
        """Return it in one line."""
        return self.text


def plan_status(
    node: NodeView, verdict: Verdict, settings: StatusSettings, *, at: str
) -> tuple[Change, ...]:
    """Return what the Node does not say yet; `at` is the wall time, RFC 3339 in UTC.

    While resuming, whatever a predecessor wrote stands; a Node that never heard of us is told
    that its network is unavailable.
    """
    wanted: list[Change] = []
    if verdict.state is State.RESUMING:
        if settings.condition and not _speaks_ours(node):
            wanted.append(_condition(node, unavailable=True, verdict=verdict, at=at))
        return tuple(wanted)
    ready = verdict.state is State.READY
    if settings.condition and not _says(node, verdict, unavailable=not ready):
        wanted.append(_condition(node, unavailable=not ready, verdict=verdict, at=at))
    if settings.taint:
        change = _untaint(node) if ready else _taint(node)
        if change is not None:
            wanted.append(change)
    return tuple(wanted)


def plan_status_removal(node: NodeView) -> tuple[Change, ...]:
    """Return what removes every trace of us from the Node (uninstall)."""
    wanted: list[Change] = []
    if _speaks_ours(node):
        body = {"status": {"conditions": [{"$patch": "delete", "type": CONDITION}]}}
        wanted.append(
            Change(patch=Patch.CONDITION, body=body, text=f"remove the condition {CONDITION}")
        )
    change = _untaint(node)
    return (*wanted, change) if change is not None else tuple(wanted)


def _speaks_ours(node: NodeView) -> bool:
    condition = node.condition(CONDITION)
    return condition is not None and condition.reason.startswith(_OURS)


def _says(node: NodeView, verdict: Verdict, *, unavailable: bool) -> bool:
    condition = node.condition(CONDITION)
    return condition is not None and (condition.status, condition.reason, condition.message) == (
        str(unavailable),
        verdict.reason,
        _message(verdict),
    )


def _condition(node: NodeView, *, unavailable: bool, verdict: Verdict, at: str) -> Change:
    before = node.condition(CONDITION)
    status = str(unavailable)
    moved = before is None or before.status != status or not before.last_transition
    entry: Mapping[str, str] = {
        "type": CONDITION,
        "status": status,
        "reason": str(verdict.reason),
        "message": _message(verdict),
        "lastHeartbeatTime": at,
        "lastTransitionTime": at if moved or before is None else before.last_transition,
    }
    return Change(
        patch=Patch.CONDITION,
        body={"status": {"conditions": [entry]}},
        text=f"set {CONDITION}={status} ({verdict.reason}: {verdict.text})",
    )


def _message(verdict: Verdict) -> str:
    text = verdict.text
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 3] + "..."


def _taint(node: NodeView) -> Change | None:
    if any((t.key, t.effect) == (TAINT_KEY, TAINT_EFFECT) for t in node.taints):
        return None
    taint = {"key": TAINT_KEY, "effect": TAINT_EFFECT}
    # Without a list there is nothing to append to, and making one could undo another's taint.
    body: list[dict[str, Any]] = (
        [{"op": "add", "path": "/spec/taints/-", "value": taint}]
        if node.taints
        else [
            {"op": "test", "path": "/metadata/resourceVersion", "value": node.resource_version},
            {"op": "add", "path": "/spec/taints", "value": [taint]},
        ]
    )
    return Change(patch=Patch.TAINT, body=body, text=f"add the taint {TAINT_KEY}:{TAINT_EFFECT}")


def _untaint(node: NodeView) -> Change | None:
    ours = [i for i, t in enumerate(node.taints) if t.key == TAINT_KEY]
    if not ours:
        return None
    body: list[dict[str, Any]] = []
    # From the back, so that indexes hold; each is tested, since others move the list too.
    for index in reversed(ours):
        body.append(
            {"op": "test", "path": f"/spec/taints/{index}/key", "value": TAINT_KEY},
        )
        body.append({"op": "remove", "path": f"/spec/taints/{index}"})
    return Change(patch=Patch.TAINT, body=body, text=f"remove the taint {TAINT_KEY}")
