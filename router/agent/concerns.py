"""What an operator must act on, and when it is told: once when it lasts, hourly, when it is over.

PURE. `now` is monotonic, in seconds. Events of Kubernetes live for an hour: what still lasts is
told again then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bgp.session_words import NO_OPEN
from router.agent.core import RouteAgent
from router.agent.holds import Kind, describe

AGAIN_S: Final = 3600.0
LONG_S: Final = 300.0
"""A session that is down for so long does not come back by itself."""
_SOON_S: Final = 30.0


class Concern(NamedTuple):
    """One thing that is wrong now."""

    key: str
    """What it is about; the same as long as it lasts."""
    reason: str
    """CamelCase word."""
    text: str
    over: str
    """What is said when it is over."""
    after_s: float = 0.0
    """How long it must last before it is told."""


class Told(NamedTuple):
    """What an Event says."""

    reason: str
    text: str
    is_warning: bool


class Concerns:
    """Remembers since when what is wrong, and what was told of it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._since: dict[str, float] = {}
        self._told: dict[str, tuple[float, Concern]] = {}

    def follow(self, present: Iterable[Concern], now: float) -> list[Told]:
        """Take all that is wrong now; return what is to be told."""
        found = {concern.key: concern for concern in present}
        self._since = {key: self._since.get(key, now) for key in found}
        news = []
        for key, (_, was) in tuple(self._told.items()):
            if key not in found:
                del self._told[key]
                news.append(Told(was.reason, was.over, is_warning=False))
        for key, concern in found.items():
            told_at = self._told[key][0] if key in self._told else None
            is_due = now - self._since[key] >= concern.after_s
            if is_due and (told_at is None or now - told_at >= AGAIN_S):
                self._told[key] = now, concern
                news.append(Told(concern.reason, concern.text, is_warning=True))
        return news


def configuration(problem: str) -> Iterator[Concern]:
    """Give the concern of a configuration that is not in force, if there is a problem."""
    if problem:
        yield Concern(
            "configuration",
            "PodrouteConfigurationRejected",
            f"the configuration is not in force: {problem}",
            "the configuration is in force",
        )


def pools(full: Iterable[str]) -> Iterator[Concern]:
    """Give a concern for each pool without a free address."""
    for name in full:
        yield Concern(
            f"pool {name}",
            "PodroutePoolExhausted",
            f"no address of {name} is free: new pods do not start. Delete pods, or give the node"
            " another pod CIDR",
            f"{name} has free addresses again",
        )


def sessions(agent: RouteAgent) -> Iterator[Concern]:
    """Give a concern for each peer that has no session though it shall."""
    for peer, session in agent.sessions.all:
        hold = agent.holds.of(peer.name)
        if hold is not None and hold.kind is Kind.DISABLED:
            yield Concern(
                f"password {peer.name}",
                "PodroutePeerDisabled",
                f"{peer.name} is disabled: {hold.reason}",
                f"{peer.name} is no longer disabled",
                _SOON_S,
            )
        elif not session.is_established and (hold is None or hold.kind is not Kind.SHUTDOWN):
            known = "" if session.last_attempt == NO_OPEN else session.last_attempt
            why = describe(hold, agent.turned_at) if hold else known or session.last_down
            yield Concern(
                f"peer {peer.name}",
                "PodroutePeerDown",
                f"no session with {peer.name} ({peer.address}) for {LONG_S / 60:.0f} minutes:"
                f" {why or 'no answer'}; podroute doctor on the node says more",
                f"the session with {peer.name} is up again",
                LONG_S,
            )
