"""What agent and daemon tell each other: JSON texts, each complete in itself. PURE.

The agent says which sessions it wants, the daemon what every session is. Neither is a change to
something said before, so either end may be away, restart, or hear the same thing twice. One
text is one datagram of a SOCK_SEQPACKET socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any, Final

from bgp.bfd.session import Session, Spec, Verdict
from bgp.bfd.settings import BfdProfile
from bgp.bfd.state import State

VERSION: Final = 1
MAX_BYTES: Final = 128 * 1024
"""Largest text; the kernel's default send buffer holds it."""
MAX_SESSIONS: Final = 256


class ReportError(ValueError):
    """A text that is not understood; nothing of it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """What one session is. Times are CLOCK_MONOTONIC in seconds, the same for both ends."""

    name: str
    peer: str
    state: State
    verdict: Verdict
    reason: str
    """Why it last left Up, in words; "" if it never did."""
    changed_at: float
    lost_at: float | None
    ups: int
    downs: int
    interval_ms: float
    """Between our packets, negotiated, before jitter."""
    detection_ms: float
    remote_state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReport:
    """What the daemon is and has."""

    pid: int
    priority: str
    """How it is scheduled, in words."""
    memory: str
    """Whether its memory is locked, in words."""
    sessions: Mapping[str, SessionReport]


def render_wanted(specs: Iterable[Spec]) -> bytes:
    """Write the wanted set."""
    return _dump({"sessions": [spec._asdict() for spec in specs]})


def parse_wanted(text: bytes) -> tuple[Spec, ...]:
    """Read a wanted set. Raises ReportError."""
    try:
        items = _load(text)["sessions"]
        if not isinstance(items, list) or len(items) > MAX_SESSIONS:
            raise ReportError(f"not a list of at most {MAX_SESSIONS} sessions")
        specs = tuple(_spec(item) for item in items)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ReportError(f"not a wanted set: {error!r}") from error
    for key in ("name", "place"):
        seen = {(s.peer, s.ifindex) if key == "place" else s.name for s in specs}
        if len(seen) != len(specs):
            raise ReportError(f"two sessions with the same {key}")
    return specs


def _spec(item: Mapping[str, Any]) -> Spec:
    if item.keys() != set(Spec._fields):
        raise ReportError(f"not the keys of a session: {sorted(item)}")
    name, peer, local = (_text(item[key]) for key in ("name", "peer", "local"))
    family = AF_INET6 if ":" in peer else AF_INET
    ifindex, interval_us, multiplier = (
        _integer(item[key]) for key in ("ifindex", "interval_us", "multiplier")
    )
    try:
        peer, local = (inet_ntop(family, inet_pton(family, text)) for text in (peer, local))
        BfdProfile(interval_ms=interval_us // 1000, multiplier=multiplier)
    except (OSError, ValueError) as error:
        raise ReportError(f"session {name}: {error}") from error
    if not name or not 0 < ifindex < 1 << 31:
        raise ReportError(f"session {name!r}: ifindex {ifindex}")
    return Spec(name, peer, local, ifindex, interval_us, multiplier)


def render_report(sessions: Iterable[Session], *, pid: int, priority: str, memory: str) -> bytes:
    """Write what the daemon is and has."""
    return _dump(
        {
            "pid": pid,
            "priority": priority,
            "memory": memory,
            "sessions": [
                {
                    "name": s.spec.name,
                    "peer": s.spec.peer,
                    "state": s.state,
                    "verdict": s.verdict,
                    "reason": s.reason,
                    "changed_at": s.changed_at,
                    "lost_at": s.lost_at,
                    "ups": s.ups,
                    "downs": s.downs,
                    "interval_ms": s.tx_interval_us / 1000,
                    "detection_ms": s.detection_us / 1000,
                    "remote_state": s.remote_state,
                }
                for s in sessions
            ],
        }
    )


def parse_report(text: bytes) -> DaemonReport:
    """Read what the daemon told. Raises ReportError."""
    try:
        top = _load(text)
        sessions = [_session(item) for item in top["sessions"]]
        return DaemonReport(
            pid=_integer(top["pid"]),
            priority=_text(top["priority"]),
            memory=_text(top["memory"]),
            sessions={session.name: session for session in sessions},
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        if isinstance(error, ReportError):
            raise
        raise ReportError(f"not a report: {error!r}") from error


def _session(item: Mapping[str, Any]) -> SessionReport:
    lost_at = item["lost_at"]
    return SessionReport(
        name=_text(item["name"]),
        peer=_text(item["peer"]),
        state=State(item["state"]),
        verdict=Verdict(item["verdict"]),
        reason=_text(item["reason"]),
        changed_at=float(item["changed_at"]),
        lost_at=None if lost_at is None else float(lost_at),
        ups=_integer(item["ups"]),
        downs=_integer(item["downs"]),
        interval_ms=float(item["interval_ms"]),
        detection_ms=float(item["detection_ms"]),
        remote_state=State(item["remote_state"]),
    )


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps({"version": VERSION, **value}).encode()


def _load(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise ReportError(f"{len(text)} bytes are too many")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReportError("not an object")
    if value.get("version") != VERSION:
        raise ReportError(f"version {value.get('version')!r}; we speak {VERSION}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ReportError(f"{value!r} is not a text")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ReportError(f"{value!r} is not a whole number")
    return value
