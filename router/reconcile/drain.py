"""Drain: how a node leaves the network on purpose, and stays away until told otherwise. PURE.

    none -order-> marking -acknowledged-> waiting -passed-> withdrawing -acknowledged-> drained

While marking and waiting, everything is announced with GRACEFUL_SHUTDOWN (RFC 8326), so that
routers with another way take it before this one goes. `undrain` leads back from everywhere.

Who may order one, and who rules when several do, is in `drain_orders`. What must outlive the agent
is `Order` and whether the withdrawal had begun: an agent that starts with the latter announces
nothing at all, one that starts with an order alone begins with marking.
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


class Source(StrEnum):
    """Who orders a drain, by rank: of several, the first says how (ADR 0170)."""

    COMMAND = "command"
    """`podroute drain` on the node; on disk until `undrain`."""
    ANNOTATION = "annotation"
    TAINT = "taint"
    SHUTDOWN = "shutdown"
    """kubelet's graceful shutdown; forgotten with the boot."""


class TaintMatch(NamedTuple):
    """A taint to look for, as kubectl spells it: key, key=value, key:Effect, key=value:Effect."""

    key: str
    value: str | None = None
    effect: str | None = None

    @classmethod
    def parse(cls, text: str) -> TaintMatch:
        """Read it. Raises ValueError saying what is expected."""
        name, _, effect = text.partition(":")
        key, equals, value = name.partition("=")
        if not key or " " in text or effect not in ("", *_EFFECTS):
            raise ValueError(
                f"{text!r} is no taint: KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT, where"
                f" EFFECT is one of {', '.join(_EFFECTS)}"
            )
        return cls(key, value if equals else None, effect or None)

    def matches(self, key: str, value: str, effect: str) -> bool:
        """Tell whether a taint of the Node is this one."""
        return key == self.key and self.value in (None, value) and self.effect in (None, effect)


_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """What a drain means for this node."""

    pod_adds: bool = True
    """Whether new pods get an address and a link; they are not reachable from other nodes."""
    keep_node_addresses: bool = False
    """Whether the node addresses stay announced, marked, so that the node can be reached."""
    annotation: bool = True
    """Whether annotations of the Node may order a drain."""
    taints: tuple[TaintMatch, ...] = ()
    """Taints of the Node that order one; none by default: a cordon moves no traffic."""
    shutdown: bool = True
    """Whether kubelet's graceful shutdown is one."""
    prepend: int = 0
    """For orders from the Node that do not say it themselves."""
    wait_s: float = DEFAULT_WAIT_S
    """The same."""


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
    """What somebody asked for."""

    since: float
    """Wall time of the order, seconds since the epoch."""
    prepend: int = 0
    """How often our AS is put before the path; external peers only."""
    wait_s: float = DEFAULT_WAIT_S
    """From the last acknowledgement of the mark to the withdrawal; infinite: for ever."""
    source: Source = Source.COMMAND
    what: str = "`podroute drain`"
    """Who ordered it, in words."""

    def is_like(self, other: Order) -> bool:
        """Tell whether the other says the same, whenever it was given."""
        return self == replace(other, since=self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What outlives the agent and a reboot."""

    order: Order | None
    withdrawn: bool = False
    """The withdrawal has begun: nothing may be announced any more."""
    overruled: frozenset[Source] = frozenset()
    """Whose orders `undrain --override` set aside until they are taken back."""


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
        if self.order is not None and self.order.source is not Source.COMMAND:
            what = self.order.what
            text = _DRAINED_BY.format(what) if self.phase is Phase.DRAINED else f"{text} ({what})"
        return f"{text}; {self.overdue}" if text and self.overdue else text


_SENTENCES: Final = {
    Phase.NONE: "",
    Phase.MARKING: "draining: the peers are being told that this node will leave",
    Phase.WAITING: "draining: traffic moves away before the withdrawal",
    Phase.WITHDRAWING: "draining: everything is being withdrawn",
    Phase.DRAINED: "drained: nothing is announced until `podroute undrain`",
}
_DRAINED_BY: Final = "drained: nothing but its own addresses is announced until there is no {}"


def kept(
    settings: DrainSettings, node_addresses: Iterable[Address], order: Order | None
) -> frozenset[Prefix]:
    """Return what a drain leaves announced.

    An order that came through the API never cuts the way by which its end would come.
    """
    by_api = order is not None and order.source in (Source.ANNOTATION, Source.TAINT)
    if not settings.keep_node_addresses and not by_api:
        return frozenset()
    return frozenset(map(Prefix.from_address, node_addresses))


def resume(stored: Stored | None, now: float) -> Drain:
    """Return where an agent begins that finds this."""
    if stored is None or stored.order is None:
        return Drain()
    phase = Phase.WITHDRAWING if stored.withdrawn else Phase.MARKING
    return _enter(Drain(), phase, stored.order, now)


def begin(drain: Drain, order: Order, now: float) -> Drain:
    """Return the drain after an order; what is withdrawn already stays so."""
    return _enter(drain, TRANSITIONS[drain.phase, Input.ORDER], order, now)


def cancel(drain: Drain) -> Drain:
    """Return the drain when nobody orders one any more."""
    return Drain(phase=TRANSITIONS[drain.phase, Input.CANCEL])


def turn(drain: Drain, order: Order | None, now: float) -> Drain:
    """Return the drain under the order that rules now, which may be the one it is under.

    One that says how as the one before does, lets the phase go on.
    """
    if order == drain.order:
        return drain
    if order is None:
        return cancel(drain)
    before = drain.order
    if before is not None and (before.prepend, before.wait_s) == (order.prepend, order.wait_s):
        return replace(drain, order=order)
    return begin(drain, order, now)


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


def stored(drain: Drain, overruled: frozenset[Source] = frozenset()) -> Stored | None:
    """Return what must be on disk before the drain's phase may be acted upon.

    A shutdown is over with the boot.
    """
    order = drain.order
    if order is None or order.source is Source.SHUTDOWN:
        return Stored(order=None, overruled=overruled) if overruled else None
    return Stored(order=order, withdrawn=drain.is_withdrawn, overruled=overruled)


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
