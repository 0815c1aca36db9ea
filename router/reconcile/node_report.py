"""What BGPNodeStatus says of a node, and when it is written. PURE.

A change is written within a second, unless something was written in the last ten; what only counts
or measures is written every five minutes at most. So a node at rest costs the API server twelve
writes an hour at the worst, and none while nothing is counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

LEAST_S: Final = 10.0
"""Between two writes, whatever happens."""
COUNTERS_S: Final = 300.0
"""Between two writes when only numbers differ; up to a fifth more, so that nodes spread."""
SETTLE_S: Final = 0.5
"""What follows a change within this time is part of it."""
_UP: Final = "established"
_DOWN: Final = ("idle", "connect", "active", "open_sent")
_COUNTERS: Final = frozenset({"routes", "families", "last_down_at", "restarts"})
_TEXTS: Final = frozenset({"reasons", "reason", "text", "message"})
_NUMBERS: Final = re.compile(r"\d+(\.\d+)?")
_MAX_TEXT: Final = 1024
_MAX_REASONS: Final = 50


class Said(NamedTuple):
    """One condition, without the time at which it turned."""

    type: str
    status: str
    """True, False or Unknown."""
    reason: str
    """CamelCase word."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All there is to say of a node."""

    status: Mapping[str, Any] = field(default_factory=dict)
    """As in the object, without conditions and without `updated`."""
    conditions: tuple[Said, ...] = ()

    def essence(self) -> str:
        """Return what of it is worth a write by itself, as a text to compare."""
        said = [(*each[:3], _NUMBERS.sub("#", each.message)) for each in self.conditions]
        return json.dumps([_essence(self.status), said], sort_keys=True)

    def rendered(self, before: Iterable[Any], at: str) -> dict[str, Any]:
        """Return the object's status; `before` are its conditions until now.

        `at` is the wall time, RFC 3339 in UTC.
        """
        turned = {
            (each.get("type"), each.get("status")): each.get("lastTransitionTime")
            for each in before
            if isinstance(each, dict)
        }
        conditions = [
            {
                "type": each.type,
                "status": each.status,
                "reason": each.reason,
                "message": each.message[:_MAX_TEXT],
                "lastTransitionTime": turned.get((each.type, each.status)) or at,
            }
            for each in self.conditions
        ]
        return {**_bounded(self.status), "updated": at, "conditions": conditions}


def _essence(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if "times_down" in value:
            value = _of_session(value)
        return {k: _essence(v, k) for k, v in value.items() if k not in _COUNTERS}
    if isinstance(value, list):
        return [_essence(item, key) for item in value]
    # A number in a sentence, such as the time until a peer is tried again, is a counter too.
    return _NUMBERS.sub("#", value) if key in _TEXTS and isinstance(value, str) else value


def _of_session(session: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out what each vain attempt changes: who refuses is dialled every few seconds."""
    found = dict(session)
    told = found.get("last_notification") or {}
    found["last_notification"] = {k: (v or {}).get("text") for k, v in told.items()}
    if found.get("state") != _UP:
        found.pop("since", None)
    if found.get("state") in _DOWN:
        found["state"] = "down"
    return found


def _bounded(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return it without nulls, which a schema would refuse, and with bounded texts."""
    found: dict[str, Any] = _without_nulls(status)
    reasons = found.get("reasons", [])
    if len(reasons) > _MAX_REASONS:
        more = f"and {len(reasons) - _MAX_REASONS + 1} more"
        found["reasons"] = [*reasons[: _MAX_REASONS - 1], more]
    return found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value[:_MAX_TEXT] if isinstance(value, str) else value


@dataclass(slots=True)
class Rhythm:
    """When the next write is due. Times are monotonic seconds."""

    _wanted: Report | None = None
    _essence: str = ""
    _changed_at: float = 0.0
    """When what is wanted first differed from what was written."""
    _written: Report | None = None
    _written_essence: str = ""
    _tried_at: float | None = None

    @property
    def wanted(self) -> Report | None:
        """The newest report."""
        return self._wanted

    def want(self, report: Report, now: float) -> bool:
        """Take the newest report; tell whether anything differs from the one before."""
        if report == self._wanted:
            return False
        was_pending = self._is_changed
        self._wanted, self._essence = report, report.essence()
        if self._is_changed and not was_pending:
            self._changed_at = now
        return True

    def wait_s(self, now: float, fraction: float) -> float | None:
        """Return in how many seconds to write; 0 is now, None is never.

        `fraction` is random in 0..1, the same from one write to the next.
        """
        if self._wanted is None or self._wanted == self._written:
            return None
        tried_at = -LEAST_S if self._tried_at is None else self._tried_at
        if self._is_changed:
            due = self._changed_at + SETTLE_S
        else:
            due = tried_at + COUNTERS_S * (1.0 + fraction / 5)
        return max(0.0, due - now, tried_at + LEAST_S - now if self._tried_at is not None else 0.0)

    def tried(self, now: float) -> None:
        """Note that a write begins."""
        self._tried_at = now

    def wrote(self, report: Report) -> None:
        """Note that the object says this now."""
        self._written, self._written_essence = report, report.essence()

    def forget(self) -> None:
        """Take what was written for lost."""
        self._written, self._written_essence = None, ""

    @property
    def _is_changed(self) -> bool:
        return self._wanted is not None and (
            self._written is None or self._essence != self._written_essence
        )
