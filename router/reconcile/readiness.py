"""Whether this node's pods can be reached, and why not (invariant 9). PURE.

One verdict for the readiness probe, the NetworkUnavailable condition, the start-up taint and
the operator, so that all of them name the same reason. Ready at once; not ready only after
a settable time without interruption, so that a flapping session or the replacement of the
agent's pod moves nothing. Reasons name no numbers that change by themselves: every new text
is a write to the API.

Liveness is another matter: it speaks of our own loop only, never of peers or of the API.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessSettings:
    """When a node is ready."""

    min_sessions: int = 1
    """Established sessions needed, at most the number of peers; 0 asks for none."""
    not_ready_after_s: float = 30.0
    """How long something must be wrong before a ready node is called not ready. Longer than a
    speaker's restart, shorter than an operator's patience."""
    fail_open: bool = False
    """Whether sessions and announcements (what depends on the fabric) only inform: a node
    whose ToRs are gone then stays schedulable. Our own faults still count."""


class Reason(StrEnum):
    """Machine-readable reason, in the form that conditions of the API have."""

    READY = "PodrouteReady"
    STARTING = "PodrouteStarting"
    NO_POD_CIDR = "PodrouteNoPodCIDR"
    FORWARDING = "PodrouteForwardingNotInStep"
    NOT_ANNOUNCED = "PodrouteNotAnnounced"
    NO_SESSION = "PodrouteTooFewSessions"
    FAULT = "PodrouteFault"
    DRAINING = "PodrouteDraining"
    DRAINED = "PodrouteDrained"


class State(StrEnum):
    """What is told to others."""

    READY = "ready"
    NOT_READY = "not ready"
    RESUMING = "resuming"
    """A restarted agent that does not know yet: the Node keeps what its predecessor wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the agent sees of itself in one round."""

    waits_for_pod_cidr: bool = False
    """The pod CIDRs come from the API and it has given none yet."""
    peers: int = 0
    """Configured peers."""
    established: int = 0
    peers_behind: tuple[str, ...] = ()
    """Established peers that have not been sent everything and End-of-RIB yet."""
    not_announced: tuple[str, ...] = ()
    """Own prefixes that are not announced, with the reason, in words."""
    forwarding: str = ""
    """Why the kernel is not as the RIB wants it; '' if it is."""
    faults: tuple[str, ...] = ()
    """Other parts of the agent that fail now, in words."""
    drain: str = ""
    """The phase of a drain, in words; '' if there is none."""
    is_withdrawn: bool = False
    """The drain has come to the withdrawal: other nodes do not reach the pods of this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, with what is needed to give the next one."""

    state: State
    reason: Reason
    text: str
    """One sentence for people; never empty."""
    since: float
    """Monotonic time at which `state` began."""
    wrong_since: float | None
    """Monotonic time since which something is wrong without interruption."""
    wrong: str = ""
    """What is wrong now, even while the node still counts as ready; '' if nothing."""

    @property
    def is_ready(self) -> bool:
        """What the readiness probe answers."""
        return self.state is State.READY


def first_verdict(*, now: float, resumed: bool) -> Verdict:
    """Return the verdict before anything is known.

    `resumed` means that an agent ran before us since boot: its word on the Node stands
    until we know better. After a boot the node is not ready until shown otherwise.
    """
    return Verdict(
        state=State.RESUMING if resumed else State.NOT_READY,
        reason=Reason.STARTING,
        text="the route agent has just been started",
        since=now,
        wrong_since=now,
        wrong="the route agent has just been started",
    )


def judge(before: Verdict, signs: Signs, settings: ReadinessSettings, now: float) -> Verdict:
    """Return the verdict on what is seen now."""
    reason, text, counts = _worst(signs, settings)
    if not counts:
        return Verdict(
            state=State.READY,
            reason=reason,
            text=text,
            since=before.since if before.state is State.READY else now,
            wrong_since=None,
            wrong="" if reason is Reason.READY else text,
        )
    wrong_since = now if before.wrong_since is None else before.wrong_since
    waits = before.state is not State.NOT_READY and now - wrong_since < settings.not_ready_after_s
    # Nothing flaps here: the operator wants it so.
    waits = waits and reason is not Reason.DRAINED
    if waits:
        return Verdict(
            state=before.state,
            reason=before.reason,
            text=before.text,
            since=before.since,
            wrong_since=wrong_since,
            wrong=text,
        )
    return Verdict(
        state=State.NOT_READY,
        reason=reason,
        text=text,
        since=before.since if before.state is State.NOT_READY else now,
        wrong_since=wrong_since,
        wrong=text,
    )


def _worst(signs: Signs, settings: ReadinessSettings) -> tuple[Reason, str, bool]:
    """Return the first reason in order of cause, its words, and whether it counts.

    A cause precedes what follows from it: without a pod CIDR nothing is announced, without
    forwarding neither, without a session nobody hears it.
    """
    if signs.is_withdrawn:
        return Reason.DRAINED, signs.drain, True
    if signs.waits_for_pod_cidr:
        return Reason.NO_POD_CIDR, "the Node has no pod CIDR yet (spec.podCIDRs is empty)", True
    if signs.faults:
        return Reason.FAULT, "; ".join(signs.faults), True
    if signs.forwarding:
        return Reason.FORWARDING, signs.forwarding, True
    outside = _outside(signs, settings)
    if outside is None and signs.drain:
        return Reason.DRAINING, signs.drain, False
    if outside is None:
        return Reason.READY, "sessions, announcement and forwarding are in order", False
    reason, text = outside
    if settings.fail_open:
        return reason, f"ready because fail_open is set, although {text}", False
    return reason, text, True


def _outside(signs: Signs, settings: ReadinessSettings) -> tuple[Reason, str] | None:
    """Return what is wrong with sessions and announcement."""
    if signs.not_announced:
        return Reason.NOT_ANNOUNCED, "; ".join(signs.not_announced)
    needed = min(settings.min_sessions, max(signs.peers, 1))
    if signs.established < needed:
        if signs.peers == 0:
            return Reason.NO_SESSION, "no peer is configured"
        if signs.established == 0:
            return Reason.NO_SESSION, f"no session is established with any of {signs.peers} peers"
        return (
            Reason.NO_SESSION,
            f"{signs.established} of {signs.peers} sessions are established, {needed} are needed",
        )
    # Those that have everything must be enough; a newcomer does not spoil it.
    if signs.established - len(signs.peers_behind) < needed:
        return (
            Reason.NOT_ANNOUNCED,
            f"not everything has been sent to {', '.join(signs.peers_behind)} yet",
        )
    return None


def liveness(last_turn: float, now: float, *, longest_turn_s: float) -> str:
    """Return why the agent counts as stuck, '' if its loop turns.

    `last_turn` is the monotonic time of the last completed round of the loop.
    """
    age = now - last_turn
    if age <= longest_turn_s:
        return ""
    return f"the loop has not turned for {age:.0f} s (limit {longest_turn_s:.0f} s)"
