"""Which router is at the other end of a link. PURE.

A link of two has one, so the router heard last is the one to peer with: a ToR whose address was
replaced says so with its next advertisement. On a link with several routers that would change with
every advertisement; so one that was heard keeps its place if it is heard again after the other one
appeared, and whoever listens solicits when another one appears. Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import Final, NamedTuple

GRACE_S: Final = 1.0
"""How long the present router has to show that it is still there beside a new one."""
SILENT_S: Final = 15.0
"""Among several routers: after how long without a word one counts as gone, solicited meanwhile."""
MAX_OTHERS: Final = 8
"""Further routers that are remembered: nobody on the link can fill our memory."""


class Heard(NamedTuple):
    """When a router was heard."""

    first: float
    last: float


_NEVER: Final = Heard(0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """The routers heard on a link since it came up; replaced, never changed."""

    router: IPv6Address | None = None
    heard: Heard = _NEVER
    """When `router` was heard."""
    others: dict[IPv6Address, Heard] = field(default_factory=dict)

    @property
    def living(self) -> tuple[IPv6Address, ...]:
        """Routers that are there beside ours, sorted."""
        return tuple(sorted(a for a, h in self.others.items() if self.heard.last >= h.first))


def hear(before: Audience, router: IPv6Address, now: float) -> Audience:
    """Give who is there after an advertisement of this router."""
    if before.router is None:
        return Audience(router=router, heard=Heard(now, now))
    if router == before.router:
        return replace(before, heard=before.heard._replace(last=now))
    known = before.others.get(router)
    if known is None and len(before.others) >= MAX_OTHERS:
        return before
    return replace(
        before, others={**before.others, router: Heard(known.first if known else now, now)}
    )


def settle(before: Audience, now: float) -> Audience:
    """Give who is there now, when time has passed."""
    others = {a: h for a, h in before.others.items() if now - h.last <= SILENT_S}
    after = before if len(others) == len(before.others) else replace(before, others=others)
    for address, heard in sorted(others.items(), key=lambda item: (item[1].first, item[0])):
        replaced = before.heard.last < heard.first and now >= heard.first + GRACE_S
        if replaced or now - before.heard.last > SILENT_S:
            left = {a: h for a, h in others.items() if a != address}
            return Audience(router=address, heard=heard, others=left)
    return after
