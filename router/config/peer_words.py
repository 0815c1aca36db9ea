"""Fields of one peer that are more than a word. PURE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bgp.ending import MAX_TEXT_BYTES, is_shutdown_text
from bgp.limits import LimitAction, MaxPrefixes
from bgp.peer_rules import MAX_CONNECT_RETRY_S, MAX_TTL
from router.config import words
from router.config.document import Section

_MAX_LIMIT: Final = 10_000_000
_HOLD_S: Final = 9
_CONNECT_RETRY_S: Final = 10


def remote_asn(local_asn: int) -> Callable[[str], int | None]:
    """Return a reader of a peer's AS; None is any but ours."""

    def read(text: str) -> int | None:
        if text == "external":
            return None
        if text == "internal":
            return local_asn
        try:
            return words.asn(text)
        except ValueError as error:
            raise ValueError(f"{error}, nor external (any but ours) or internal (ours)") from None

    return read


def ttl_security(text: str) -> int | None:
    """Read true (a peer on the link), false, or how many hops away the peer may be."""
    if text.lower() in ("true", "false"):
        return 1 if text.lower() == "true" else None
    try:
        return words.integer(1, MAX_TTL - 1)(text)
    except ValueError:
        raise ValueError(
            f"{text!r} must be true, false or a number of hops from 1 to {MAX_TTL - 1}"
        ) from None


def max_prefixes(item: Section) -> MaxPrefixes:
    """Read `max_prefixes: {ipv4, ipv6, action, retry_after_s}`."""
    section, usual = item.section("max_prefixes"), MaxPrefixes()
    limit = words.integer(1, _MAX_LIMIT)
    found = MaxPrefixes(
        ipv4=section.value("ipv4", limit, usual.ipv4),
        ipv6=section.value("ipv6", limit, usual.ipv6),
        action=section.value("action", words.choice(LimitAction), usual.action),
        retry_after_s=section.value("retry_after_s", words.integer(1, 86400), usual.retry_after_s),
    )
    section.finish()
    return found


def shutdown(item: Section) -> str | None:
    """Read `shutdown` and `shutdown_text`: the text, None when the peer is not shut down."""
    is_down = item.value("shutdown", words.boolean, False)
    text = item.value("shutdown_text", _text, "")
    return text if is_down else None


def times(item: Section) -> dict[str, Any]:
    """Read the times of a session; of keepalives say what the speaker makes of them."""
    hold_s = item.value("hold_time_s", words.integer(3, 65535), _HOLD_S)
    item.value("keepalive_s", _keepalive(hold_s), None)
    retry_s = item.value("connect_retry_s", words.integer(1, MAX_CONNECT_RETRY_S), _CONNECT_RETRY_S)
    return {"hold_time_s": hold_s, "connect_retry_s": retry_s}


def _keepalive(hold_s: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if words.integer(1, 65535)(text) != hold_s // 3:
            raise ValueError(
                f"the speaker (ExaBGP) sends keepalives at a third of the negotiated hold time and"
                f" at no other pace: {hold_s // 3} with hold_time_s {hold_s}; leave it out"
            )
        return hold_s // 3

    return read


def _text(text: str) -> str:
    if not is_shutdown_text(text):
        raise ValueError(f"longer than {MAX_TEXT_BYTES} bytes, or with control characters")
    return text
