"""Why a session ended, in words. PURE."""

from __future__ import annotations

import re

from bgp.event import Direction, Notified
from bgp.notification import name_notification

NO_OPEN = "refused, not answered, or closed by the peer before its OPEN"
"""ExaBGP does not tell these apart."""

# What ExaBGP 5.0.15 says (reactor/peer.py), and our words for it.
_NOTIFICATION = re.compile(r"notification (sent|received) \((\d{1,3}),(\d{1,3})\)")
_PHRASES = {
    "closing connection": "peer closed the connection",
    "stop, message [removed]": "removed from the configuration",
    "graceful restarted negotiated, closing without sending any notification": (
        "closed by us without a NOTIFICATION, so that graceful restart applies"
    ),
}


def notification_text(event: Notified) -> str:
    """Return the name of a NOTIFICATION, its code and its text."""
    return f"{_coded(event.code, event.subcode)}{_quoted(event.text)}"


def ending_text(event: Notified) -> str:
    """Return the same with its direction, as the reason of an end."""
    return f"{_coded(event.code, event.subcode)}, {event.direction}{_quoted(event.text)}"


def named_notification(given: str) -> tuple[Direction, str] | None:
    """Return the NOTIFICATION that ExaBGP's reason of an end is, None if it is something else."""
    match = _NOTIFICATION.fullmatch(given)
    if match is None:
        return None
    direction, code, subcode = match.groups()
    return Direction(direction), _coded(int(code), int(subcode))


def ending_reason(given: str, *, has_open: bool) -> str:
    """Return ExaBGP's reason of an end in our words; `has_open` says that the peer's OPEN came."""
    told = named_notification(given)
    if told is not None:
        return f"{told[1]}, {told[0]}"
    if given == "closing connection" and not has_open:
        return NO_OPEN
    return _PHRASES.get(given, given or "the speaker gave no reason")


def _coded(code: int, subcode: int) -> str:
    return f"{name_notification(code, subcode)} ({code}/{subcode})"


def _quoted(text: str) -> str:
    return f': "{text}"' if text else ""
