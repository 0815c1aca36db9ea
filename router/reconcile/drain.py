"""Drain: how a node leaves the network on purpose, and stays away until told otherwise. PURE.

    none -order-> marking -acknowledged-> waiting -passed-> withdrawing -acknowledged-> drained

While marking and waiting, everything is announced with GRACEFUL_SHUTDOWN (RFC 8326), so that
routers with another way take it before this one goes. `undrain` leads back from everywhere.

What must outlive the agent is `Order` and whether the withdrawal had begun: an agent that starts
with the latter announces nothing at all, one that starts with an order alone begins with marking.
Clock readings are given in: `now` is monotonic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from bgp.nlri import Prefix
from router.model.link import Address

DEFAULT_WAIT_S: Final = 30.0
"""MinRouteAdvertisementInterval between external peers (RFC 4271 section 10): in that time a router
may keep the news to itself."""
MAX_WAIT_S: Final = 3600.0
MAX_PREPEND: Final = 16
ACKNOWLEDGE_LIMIT_S: Final = 60.0
"""A peer that has not taken what it was sent by then is not waited for any longer."""


class DamagedDrainError(Exception):
    """What was written down cannot be understood; the text says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """What a drain means for this node."""

    pod_adds: bool = True
    """Whether new pods get an address and a link; they are not reachable from other nodes."""
    keep_node_addresses: bool = False
    """Whether the node addresses stay announced, marked, so that the node can be reached."""


class Phase(StrEnum):
    """How far it is."""

    NONE = "none"
    MARKING = "marking"
    WAITING = "waiting"
    WITHDRAWING = "withdrawing"
    DRAINED = "drained"


class Input(StrEnum):
    """What moves it."""

    ORDER = "order"
    CANCEL = "cancel"
    ACKNOWLEDGED = "acknowledged"
    PASSED = "passed"


TRANSITIONS: Final[dict[tuple[Phase, Input], Phase]] = {
    (Phase.NONE, Input.ORDER): Phase.MARKING,
    (Phase.MARKING, Input.ORDER): Phase.MARKING,
    (Phase.WAITING, Input.ORDER): Phase.MARKING,
    (Phase.WITHDRAWING, Input.ORDER): Phase.WITHDRAWING,
    (Phase.DRAINED, Input.ORDER): Phase.DRAINED,
    (Phase.MARKING, Input.ACKNOWLEDGED): Phase.WAITING,
    (Phase.MARKING, Input.PASSED): Phase.WAITING,
    (Phase.WAITING, Input.PASSED): Phase.WITHDRAWING,
    (Phase.WITHDRAWING, Input.ACKNOWLEDGED): Phase.DRAINED,
    (Phase.WITHDRAWING, Input.PASSED): Phase.DRAINED,
    **{(phase, Input.CANCEL): Phase.NONE for phase in Phase},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the operator asked for."""

    since: float
    """Wall time of the order, seconds since the epoch."""
    prepend: int = 0
    """How often our AS is put before the path; external peers only."""
    wait_s: float = DEFAULT_WAIT_S
    """From the last acknowledgement of the mark to the withdrawal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What outlives the agent and a reboot."""

    order: Order
    withdrawn: bool = False
    """The withdrawal has begun: nothing may be announced any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Where it stands; replaced, never changed."""

    phase: Phase = Phase.NONE
    order: Order | None = None
    until: float | None = None
    """When the phase ends by itself."""
    overdue: str = ""
    """What was not waited for any longer, in words."""

    @property
    def is_marked(self) -> bool:
        """Whether announcements carry GRACEFUL_SHUTDOWN."""
        return self.phase is not Phase.NONE

    @property
    def is_withdrawn(self) -> bool:
        """Whether nothing is announced (but node addresses, if so configured)."""
        return self.phase in (Phase.WITHDRAWING, Phase.DRAINED)

    @property
    def prepend(self) -> int:
        """How often our AS is put before the path."""
        return self.order.prepend if self.order is not None else 0

    def describe(self) -> str:
        """Return the phase in one sentence without changing numbers; '' for none."""
        text = _SENTENCES[self.phase]
        return f"{text}; {self.overdue}" if text and self.overdue else text


_SENTENCES: Final = {
    Phase.NONE: "",
    Phase.MARKING: "draining: the peers are being told that this node will leave",
    Phase.WAITING: "draining: traffic moves away before the withdrawal",
    Phase.WITHDRAWING: "draining: everything is being withdrawn",
    Phase.DRAINED: "drained: nothing is announced until `podroute undrain`",
}


def kept(settings: DrainSettings, node_addresses: Iterable[Address]) -> frozenset[Prefix]:
    """Return what a drain leaves announced."""
    if not settings.keep_node_addresses:
        return frozenset()
    return frozenset(map(Prefix.from_address, node_addresses))


def resume(stored: Stored | None, now: float) -> Drain:
    """Return where an agent begins that finds this."""
    if stored is None:
        return Drain()
    phase = Phase.WITHDRAWING if stored.withdrawn else Phase.MARKING
    return _enter(Drain(), phase, stored.order, now)


def begin(drain: Drain, order: Order, now: float) -> Drain:
    """Return the drain after an order; what is withdrawn already stays so."""
    return _enter(drain, TRANSITIONS[drain.phase, Input.ORDER], order, now)


def cancel(drain: Drain) -> Drain:
    """Return the drain after `undrain`."""
    return Drain(phase=TRANSITIONS[drain.phase, Input.CANCEL])


def advance(drain: Drain, *, acknowledged: bool, now: float) -> Drain:
    """Return the drain after a look at the peers.

    `acknowledged`: every established peer has what it shall have in this phase. At most one step.
    """
    passed = drain.until is not None and now >= drain.until
    for given, happens in ((Input.ACKNOWLEDGED, acknowledged), (Input.PASSED, passed)):
        phase = TRANSITIONS.get((drain.phase, given))
        if happens and phase is not None:
            late = given is Input.PASSED and drain.phase is not Phase.WAITING
            moved = _enter(drain, phase, drain.order, now)
            return replace(moved, overdue=_OVERDUE) if late else moved
    return drain


_OVERDUE: Final = "not every peer acknowledged in time"


def stored(drain: Drain) -> Stored | None:
    """Return what must be on disk before the drain's phase may be acted upon."""
    if drain.order is None:
        return None
    return Stored(order=drain.order, withdrawn=drain.is_withdrawn)


def _enter(drain: Drain, phase: Phase, order: Order | None, now: float) -> Drain:
    lasts = {
        Phase.MARKING: ACKNOWLEDGE_LIMIT_S,
        Phase.WAITING: order.wait_s if order is not None else 0.0,
        Phase.WITHDRAWING: ACKNOWLEDGE_LIMIT_S,
    }
    if phase is drain.phase and phase is Phase.WITHDRAWING:
        return replace(drain, order=order)
    until = now + lasts[phase] if phase in lasts else None
    return Drain(phase=phase, order=order, until=until, overdue=drain.overdue)


class Mark(NamedTuple):
    """Announce with GRACEFUL_SHUTDOWN."""

    prefixes: tuple[Prefix, ...]
    peers: tuple[str, ...]
    prepend: int

    def describe(self) -> str:
        """Say it in one line."""
        more = f", our AS prepended {self.prepend} times" if self.prepend else ""
        return (
            f"announce {_list(self.prefixes)} to {_list(self.peers)}"
            f" with GRACEFUL_SHUTDOWN (65535:0){more}"
        )


class Await(NamedTuple):
    """Wait for the peers' acknowledgements."""

    peers: tuple[str, ...]

    def describe(self) -> str:
        """Say it in one line."""
        return (
            f"wait until {_list(self.peers)} acknowledged, at most {ACKNOWLEDGE_LIMIT_S:.0f} s each"
        )


class Wait(NamedTuple):
    """Give traffic time to move away."""

    wait_s: float

    def describe(self) -> str:
        """Say it in one line."""
        return f"wait {self.wait_s:g} s"


class Record(NamedTuple):
    """Write down what outlives the agent."""

    withdrawn: bool

    def describe(self) -> str:
        """Say it in one line."""
        what = "nothing may be announced any more" if self.withdrawn else "the order"
        return f"write down {what}, for restarts and reboots"


class Withdraw(NamedTuple):
    """Withdraw."""

    prefixes: tuple[Prefix, ...]
    peers: tuple[str, ...]

    def describe(self) -> str:
        """Say it in one line."""
        return f"withdraw {_list(self.prefixes)} from {_list(self.peers)}"


Step = Mark | Await | Wait | Record | Withdraw


def plan(
    drain: Drain,
    order: Order,
    *,
    announced: Iterable[Prefix],
    kept: Iterable[Prefix],
    peers: Iterable[str],
) -> tuple[Step, ...]:
    """Return what an order would do from here, in order.

    `kept` of what is `announced` is not withdrawn.
    """
    if drain.is_withdrawn:
        return ()
    prefixes, names = tuple(announced), tuple(peers)
    leaving = tuple(p for p in prefixes if p not in set(kept))
    return (
        Record(withdrawn=False),
        Mark(prefixes, names, order.prepend),
        Await(names),
        Wait(order.wait_s),
        Record(withdrawn=True),
        Withdraw(leaving, names),
        Await(names),
    )


def _list(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "nobody"
