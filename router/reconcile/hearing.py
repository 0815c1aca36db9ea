"""What the segments of a peer without a session say about the cause. PURE.

A wrong MD5 password, a wrong TTL and a port where nobody listens are all silence to the speaker.
On the wire they differ: the kernel drops only after we have seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bgp.segment import ACK, FIN, RST, SYN, Segment

_HIGHEST: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was seen of one peer."""

    segments: int = 0
    signed: bool | None = None
    """Whether it signs (RFC 2385); None: nothing was seen that would be signed."""
    signed_by_us: bool | None = None
    """Whether our password makes its signature; None without one of either."""
    hop_limit: int | None = None
    """Of its own segments; None if there were none."""
    refuses: bool = False
    """It answers our SYN with RST."""
    hangs_up: bool = False
    """It accepts the connection and closes it before it says anything."""

    def is_conclusive(
        self, *, has_password: bool, ttl_security_hops: int | None, may_be_far: bool
    ) -> bool:
        """Tell whether this names a cause, or would with a look at the signature."""
        return (
            self.refuses
            or self.hangs_up
            or (self.signed is not None and (self.signed or has_password))
            or bool(wrong_ttl(self, ttl_security_hops, may_be_far=may_be_far))
        )


def hear(segments: Iterable[Segment], *, signed_by_us: bool | None = None) -> Heard:
    """Return what the segments of one peer say, in the order in which they came.

    An RST comes from its kernel, which signs nothing and has a TTL of its own: it says that nobody
    listens, or (after a SYN with ACK) that the program closed.
    """
    count, signed, hops = 0, None, None
    accepted = spoke = refuses = closed = False
    for segment in segments:
        count += 1
        if segment.flags & RST:
            refuses = refuses or not accepted
            closed = closed or accepted
            continue
        signed = bool(signed) or segment.digest is not None
        is_answer = segment.flags & SYN and segment.flags & ACK
        accepted = accepted or bool(is_answer)
        if not is_answer:
            # A listening socket answers with the kernel's TTL.
            hops = segment.hop_limit
        spoke = spoke or bool(segment.payload) or segment.flags & (SYN | ACK) == SYN
        closed = closed or bool(segment.flags & FIN and accepted)
    return Heard(
        segments=count,
        signed=signed,
        signed_by_us=signed_by_us if signed else None,
        hop_limit=hops,
        refuses=refuses and not accepted and not spoke,
        hangs_up=closed and accepted and not spoke,
    )


def wrong_ttl(heard: Heard, ttl_security_hops: int | None, *, may_be_far: bool) -> str:
    """Say what is wrong with the TTL (GTSM, RFC 5082); "" if nothing can be told from it."""
    if heard.hop_limit is None:
        return ""
    if ttl_security_hops is None:
        # 255 beside the link is what GTSM asks for; routers send 1 or 64 otherwise.
        if heard.hop_limit == _HIGHEST and not may_be_far:
            return "its segments arrive with TTL 255, and here is no ttl_security"
        return ""
    least = _HIGHEST + 1 - ttl_security_hops
    if heard.hop_limit < least:
        return f"its segments arrive with TTL {heard.hop_limit}, ttl_security wants {least} or more"
    return ""
