"""One pod CIDR on two nodes: who keeps it, who stays silent, and when to ask whose it is. PURE.

    held -nothing heard-> clear -heard-> checking -the Nodes are known-> kept, unclaimed or yielded

A CIDR that this node has not announced since boot is held until the peers have said what they
know of it; one that is heard from elsewhere leads to one list of the Nodes. Of two Nodes that have
it the older keeps it (creation time, then name), and announces its halves besides so that the other
hears it whatever path routers prefer. One that has yielded announces again when the other Node has
it no longer. Clock readings are monotonic and given in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bgp.nlri import BITS, Prefix
from router.model.node import Claim, Claims
from router.reconcile.foreign import Foreign

HOLD_S: Final = 3.0
"""How long peers that send no End-of-RIB are waited for."""
PATIENCE_S: Final = 30.0
"""How long a CIDR that we have not announced yet waits for an API that does not answer."""
RELIST_S: Final = 300.0
"""How often the Nodes are asked for again while a CIDR is contested."""

_SPARE: Final = 4
"""Bits for addresses in the longest prefix that other nodes accept (`cluster_rule`)."""


class Phase(StrEnum):
    """What is known of a pod CIDR of ours."""

    HELD = "held"
    """Not announced yet: the peers have not said what they know."""
    CLEAR = "clear"
    CHECKING = "checking"
    """Heard from elsewhere; the Nodes are being asked for."""
    KEPT = "kept"
    """Another Node has it, too, and is younger."""
    UNCLAIMED = "unclaimed"
    """Heard from elsewhere, and the API does not say that another Node shares it."""
    YIELDED = "yielded"
    """Another Node has it and is older, or has it while our Node is gone."""


CONTESTED: Final = frozenset({Phase.KEPT, Phase.UNCLAIMED, Phase.YIELDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one pod CIDR stands; replaced, never changed."""

    cidr: Prefix
    phase: Phase
    since: float
    is_announced: bool
    """May be announced."""
    is_alone: bool = False
    """Held, and no session carries its family: nobody could be told of it anyway."""
    heard: frozenset[Foreign] = frozenset()
    other: str = ""
    """The other Node; '' if there is none."""
    asked: int = 0
    """Number of the list of Nodes that is waited for."""
    is_asking: bool = False
    asked_at: float = 0.0

    @property
    def halves(self) -> tuple[Prefix, ...]:
        """Return what is announced besides, while a younger node that has it does not yield.

        A router passes on one path to a prefix: if the younger node's is the one, that node hears
        nothing of ours. It hears the halves, and until it yields packets follow them. As short as
        other nodes' import guards take.
        """
        cidr = self.cidr
        rivals = any(each.prefix.length <= cidr.length for each in self.heard)
        if self.phase is not Phase.KEPT or not rivals or BITS[cidr.family] - cidr.length <= _SPARE:
            return ()
        length = cidr.length + 1
        upper = cidr.network | 1 << (BITS[cidr.family] - length)
        return (Prefix(cidr.family, cidr.network, length), Prefix(cidr.family, upper, length))

    def describe(self) -> str:
        """Say it in one sentence without changing numbers; '' for clear."""
        text = _SENTENCES[self.phase].format(other=self.other or "another Node")
        if self.is_alone:
            text = f"no session carries IPv{self.cidr.family}"
        if self.phase is Phase.UNCLAIMED and self.other:
            text = f"the API gives it to Node {self.other} and not to ours, which announces it, too"
        if not self.heard:
            return text
        where = sorted(_where(each) for each in self.heard)
        return f"{text}; heard: {', '.join(where)}"


_SENTENCES: Final = {
    Phase.HELD: "what the peers know of it is awaited",
    Phase.CLEAR: "",
    Phase.CHECKING: "it is announced by somebody else, and the API is asked whose it is",
    Phase.KEPT: "Node {other} has it, too, and is younger: it stays here",
    Phase.UNCLAIMED: "it is announced by somebody else, and no second Node is known that has it: is"
    " that an old or wrong router?",
    Phase.YIELDED: "Node {other} has it, too, and goes first: not announced here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen in one round of one CIDR."""

    heard: frozenset[Foreign]
    is_up: bool
    """A session of its family is established."""
    is_settled: bool
    """And all of these have sent what they have."""
    claims: Claims
    me: str
    """Our Node's name."""
    next_number: int
    """The number of a list that is asked for now."""
    has_api: bool = True


def first(cidr: Prefix, now: float, *, is_known: bool) -> Standing:
    """Return how a CIDR begins; `is_known`: it was announced since boot, and not yielded."""
    phase = Phase.CLEAR if is_known else Phase.HELD
    return Standing(cidr=cidr, phase=phase, since=now, is_announced=is_known, is_alone=not is_known)


def look(standing: Standing, sight: Sight, now: float) -> Standing:
    """Return where the CIDR stands after a look."""
    heard = sight.heard
    if standing.is_announced:
        # What may be our own announcement come back is that.
        heard = frozenset(each for each in heard if each.is_certain)
    if standing.phase is Phase.HELD:
        return _held(standing, heard, sight, now)
    if standing.is_asking and sight.claims.number >= standing.asked:
        return _decide(standing, heard, sight, now)
    if standing.phase is Phase.CLEAR:
        return _ask(standing, heard, sight, now) if heard else standing
    if not heard and standing.phase is not Phase.YIELDED:
        return _enter(standing, Phase.CLEAR, now, is_announced=True)
    if standing.phase is Phase.CHECKING:
        late = now >= standing.since + PATIENCE_S
        return replace(standing, heard=heard, is_announced=standing.is_announced or late)
    if heard != standing.heard or now >= standing.asked_at + RELIST_S:
        return _again(replace(standing, heard=heard), sight, now)
    return standing


def _held(standing: Standing, heard: frozenset[Foreign], sight: Sight, now: float) -> Standing:
    if not sight.has_api:
        return _enter(standing, Phase.CLEAR, now, is_announced=True)
    if not sight.is_up:
        return replace(standing, since=now, is_alone=True)
    standing = replace(standing, is_alone=False)
    if not sight.is_settled and now < standing.since + HOLD_S:
        return standing
    if heard:
        return _ask(standing, heard, sight, now)
    return _enter(standing, Phase.CLEAR, now, is_announced=True)


def _ask(standing: Standing, heard: frozenset[Foreign], sight: Sight, now: float) -> Standing:
    moved = replace(standing, phase=Phase.CHECKING, since=now, heard=heard)
    if sight.has_api:
        return _again(moved, sight, now)
    return replace(moved, phase=Phase.UNCLAIMED, is_announced=True, asked_at=now)


def _again(standing: Standing, sight: Sight, now: float) -> Standing:
    """Ask for the Nodes; while a list is under way, for none besides."""
    if standing.is_asking or not sight.has_api:
        return standing
    return replace(standing, is_asking=True, asked=sight.next_number, asked_at=now)


def _decide(standing: Standing, heard: frozenset[Foreign], sight: Sight, now: float) -> Standing:
    phase, other = verdict(standing.cidr, sight.me, sight.claims.found)
    if phase is not Phase.YIELDED:
        heard = frozenset(each for each in heard if each.is_certain)
        if not heard:
            phase = Phase.CLEAR
    decided = replace(standing, heard=heard, other=other, is_asking=False, asked_at=now)
    if phase is standing.phase:
        return decided
    return _enter(decided, phase, now, is_announced=phase is not Phase.YIELDED)


def _enter(standing: Standing, phase: Phase, now: float, *, is_announced: bool) -> Standing:
    if phase is Phase.CLEAR:
        return Standing(cidr=standing.cidr, phase=phase, since=now, is_announced=is_announced)
    return replace(standing, phase=phase, since=now, is_announced=is_announced)


def verdict(cidr: Prefix, me: str, claims: Iterable[Claim]) -> tuple[Phase, str]:
    """Return what the Nodes of the API say of a CIDR of ours, and the other's name.

    A Node of ours that is gone has no claim: its CIDR may have been given to another, which goes
    first. One that is there with other CIDRs was configured by hand, and the API is no judge of it.
    """
    nodes = tuple(claims)
    others = [
        claim
        for claim in nodes
        if claim.name != me and any(theirs.overlaps(cidr) for theirs in claim.pod_cidrs)
    ]
    if not others:
        return Phase.UNCLAIMED, ""
    eldest = min(others, key=Claim.age)
    mine = next((claim for claim in nodes if claim.name == me), None)
    if mine is None:
        return Phase.YIELDED, eldest.name
    if not any(own.overlaps(cidr) for own in mine.pod_cidrs):
        return Phase.UNCLAIMED, eldest.name
    if eldest.age() < mine.age():
        return Phase.YIELDED, eldest.name
    return Phase.KEPT, eldest.name


def _where(each: Foreign) -> str:
    asn = f"AS {each.origin_asn}" if each.origin_asn is not None else "our AS"
    return f"{each.prefix} from {asn} by {each.peer}"
