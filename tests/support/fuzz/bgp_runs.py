"""How each target of ``bgp_targets`` is executed, and what the code under test has promised.

Imported after the instrumentation of the modules it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from bgp.event import Change, EndOfRib, Event, Refused, Updated
from bgp.nlri import BITS, Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from bgp.speaker.events import EventError, parse
from bgp.speaker.reader import Reader
from bgp.speaker.stream import Splitter
from bgp.update import Negotiated, Update, UpdateError, UpdateReader
from tests.support.fuzz import bgp_oracle as oracle
from tests.support.fuzz.target import require

_RENEWED_AFTER = 20_000
_VIA = ip_address("fe80::9")
_SIDES = tuple(
    Negotiated(
        frozenset(family for family, bit in ((4, 1), (6, 2)) if not number & bit),
        asn_size=2 if number & 4 else 4,
        internal=bool(number & 8),
        via=_VIA if number == 9 else None,
    )
    for number in range(16)
)


def load_update() -> Callable[[bytes], object]:
    """Read with a fresh reader and with one that has seen much: both say the same."""
    used = {side: UpdateReader() for side in _SIDES}
    runs = 0

    def run(data: bytes) -> object:
        nonlocal runs
        runs += 1
        if runs % _RENEWED_AFTER == 0:
            used.update({side: UpdateReader() for side in _SIDES})
        side = _SIDES[data[0] % 16 if data else 0]
        answers: list[Update | str] = []
        code = 0
        for reader in (UpdateReader(), used[side]):
            try:
                answers.append(reader.read(data[1:], side))
            except UpdateError as error:
                code = error.subcode
                answers.append(str(error))
        require(answers[0] == answers[1], "a reader's memory changes what a message means")
        update = answers[0]
        if isinstance(update, str):
            require(code in (1, 2, 9, 10), f"subcode {code}")
            return code
        _check_routes(data[1:], update, side)
        return len(update.changes), update.damage[:12]

    return run


def _check_routes(raw: bytes, update: Update, side: Negotiated) -> None:
    now: dict[Prefix, Attributes | None] = {}
    for change in update.changes:
        require(not set(change.announced) & set(change.withdrawn), "a prefix comes and goes")
        require(bool(change.announced) <= (change.attributes is not None), "no attributes")
        for family, network, length in (*change.announced, *change.withdrawn):
            require(family in side.families, "a family that was not negotiated")
            require(0 <= length <= BITS[family], "a length beyond the family")
            require(not network & ((1 << (BITS[family] - length)) - 1), "host bits")
        now |= dict.fromkeys(change.withdrawn)
        now |= dict.fromkeys(change.announced, change.attributes)
        path = change.attributes.as_path if change.attributes is not None else ()
        require(0 not in path, "AS 0 in a path")
    expected = {Prefix(*one.route): one.is_announced for one in oracle.told(raw, side.families)}
    require(now.keys() == expected.keys(), "routes of the message are lost or made up")
    _check_meaning(raw, now, expected, side, damaged=bool(update.damage))


def _check_meaning(
    raw: bytes,
    now: Mapping[Prefix, Attributes | None],
    expected: Mapping[Prefix, bool],
    side: Negotiated,
    *,
    damaged: bool,
) -> None:
    numbers: list[int] | None = None
    if side.asn_size == 4 and any(now.values()):
        numbers = oracle.sequences(raw)
    for route, attributes in now.items():
        if attributes is None:
            require(damaged or not expected[route], "an announced route is withdrawn")
            continue
        require(expected[route], "a withdrawn route is announced")
        if numbers is not None:
            require(list(attributes.as_path) == numbers, "another AS path")


def load_line() -> Callable[[bytes], object]:
    """Read a line of ExaBGP; only EventError may come of it."""
    peers = {"10.0.1.2": PeerId("tor1")}

    def run(data: bytes) -> object:
        try:
            events = parse(data, peers, {})
        except EventError as error:
            require(len(str(error)) < 2000, "a long complaint")
            return error.reason[:12]
        for event in events:
            hash(type(event))
            if isinstance(event, Updated):
                for change in event.changes:
                    assert isinstance(change, Change)  # a series is made of raw messages only
                    both = set(change.announced) & set(change.withdrawn)
                    require(not both, "a prefix comes and goes")
        return tuple(type(event).__name__ for event in events)

    return run


def load_stream() -> Callable[[bytes], object]:
    """Cut a stream in one piece and in two: the same items, read the same."""
    peers = {"10.0.1.2": PeerId("tor1")}

    def events(chunks: list[bytes]) -> object:
        splitter, reader = Splitter(), Reader()
        told: list[Event] = []
        try:
            for chunk in chunks:
                for item in splitter.feed([chunk]):
                    told += reader.read(item, peers, {})
        except ValueError:
            return "lost"
        return told

    def run(data: bytes) -> object:
        middle = len(data) // 2
        whole = events([data])
        halves = events([data[:middle], data[middle:]])
        require("lost" in (whole, halves) or _same(whole, halves), "pieces change the meaning")
        if not isinstance(whole, list):
            return "lost"
        refused = [event for event in whole if isinstance(event, Refused)]
        require(all(event.code == 3 for event in refused), "another code")
        kinds = {type(event).__name__ for event in whole}
        return len(refused), any(isinstance(e, EndOfRib) for e in whole), len(kinds)

    return run


def _same(left: object, right: object) -> bool:
    return repr(left) == repr(right)
