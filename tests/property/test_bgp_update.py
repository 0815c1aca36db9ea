"""Whatever a peer sends as an UPDATE is read, or ends the session in the way the RFCs ask for."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bgp.event import Change, EndOfRib, Refused, Series, Updated
from bgp.nlri import BITS, Prefix
from bgp.speaker.launcher.frame import FAMILY_FLAGS, FOUR_OCTET_ASNS
from bgp.speaker.reader import Reader
from bgp.speaker.stream import Frame
from bgp.update import Negotiated, Update, UpdateError, UpdateReader
from tests.support.bgp_wire import announcement, message, withdrawal

BOTH = Negotiated(frozenset({4, 6}))


@st.composite
def prefix_lists(draw: st.DrawFn) -> list[Prefix]:
    family = draw(st.sampled_from([4, 6]))
    bits = BITS[family]
    lengths = st.just(draw(st.integers(0, bits))) if draw(st.booleans()) else st.integers(0, bits)
    size = draw(st.sampled_from([1, 3, 30]))
    found = []
    for _ in range(size):
        length = draw(lengths)
        network = draw(st.integers(0, 2**bits - 1)) >> (bits - length) << (bits - length)
        found.append(Prefix(family, network, length))
    return found


asns = st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=5)


@given(prefix_lists(), asns)
def test_what_is_written_is_read(prefixes: list[Prefix], path: list[int]) -> None:
    hop = "10.0.1.2" if prefixes[0].family == 4 else "fd00:0:1::2"
    reader = UpdateReader()
    for _ in range(2):
        (change,) = reader.read(announcement(prefixes, hop, *path), BOTH).changes
        assert list(change.announced) == prefixes
        assert change.attributes is not None
        assert change.attributes.as_path == tuple(path)
        assert str(change.attributes.next_hop) == hop
    (gone,) = reader.read(withdrawal(prefixes), BOTH).changes
    assert list(gone.withdrawn) == prefixes


READERS = {size: (UpdateReader(), Negotiated(frozenset({4, 6}), size)) for size in (2, 4)}


def attempt(raw: bytes) -> None:
    """Both a fresh reader and one with full caches give the same answer, and no other error."""
    for used, negotiated in READERS.values():
        answers: list[Update | str] = []
        for reader in (UpdateReader(), used):
            try:
                answers.append(reader.read(raw, negotiated))
            except UpdateError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


@given(st.binary(max_size=120))
@settings(max_examples=500)
def test_any_bytes(raw: bytes) -> None:
    attempt(raw)


@given(prefix_lists(), asns, st.data())
@settings(max_examples=500)
def test_damaged_messages(prefixes: list[Prefix], path: list[int], data: st.DataObject) -> None:
    hop = "10.0.1.2" if prefixes[0].family == 4 else "fd00:0:1::2"
    raw = bytearray(announcement(prefixes, hop, *path))
    attempt(bytes(raw))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(raw) - 1))
        action = data.draw(st.sampled_from(["flip", "cut", "double"]))
        if action == "flip":
            raw[position] = data.draw(st.integers(0, 255))
        elif action == "cut":
            del raw[position : position + data.draw(st.integers(1, 4))]
        else:
            raw[position:position] = raw[position : position + 4]
        if not raw:
            break
    attempt(bytes(raw))


# Few values, so that messages often look alike; zeros also across two numbers.
ALIKE_ASNS = st.sampled_from([65101, 1, 0x01000000, 0xFFFF0000, 0])
alike_bodies = st.builds(
    lambda network, length, hop, path: announcement(
        [Prefix(4, network >> (32 - length) << (32 - length), length)], hop, *path
    ),
    st.integers(0, 2**32 - 1),
    st.sampled_from([24, 24, 24, 32, 9, 0]),
    st.sampled_from(["10.0.1.2", "10.0.1.2", "10.0.1.4"]),
    st.lists(ALIKE_ASNS, min_size=1, max_size=2),
)
other_bodies = st.sampled_from([withdrawal([Prefix(4, 10 << 24, 8)]), b"\0\0\0\0", b"\0\0\0\1\0"])


few = st.lists(st.one_of(alike_bodies, alike_bodies, alike_bodies, other_bodies), max_size=30)


def many(length: int, paths: list[list[int]], count: int) -> list[bytes]:
    """Return messages that look alike, enough to be read together."""
    step = 1 << (32 - length)
    bodies = [
        announcement([Prefix(4, i * step, length)], "10.0.1.2", *paths[i % len(paths)])
        for i in range(count)
    ]
    # Bits behind the length mean nothing.
    return [body[:-1] + bytes((body[-1] | (1 if length % 8 else 0),)) for body in bodies]


series = st.builds(
    many,
    st.sampled_from([24, 24, 17, 32, 9]),
    st.integers(1, 2).flatmap(
        lambda size: st.lists(
            st.lists(ALIKE_ASNS, min_size=size, max_size=size), min_size=1, max_size=3
        )
    ),
    st.sampled_from([3, 15, 17, 18, 40, 90]),
)
# What lies between: another message, or a length, a next hop, an octet that is not alike.
runs = st.lists(st.one_of(series, series, few), min_size=1, max_size=4).map(
    lambda parts: [body for part in parts for body in part]
)


@st.composite
def disturbed(draw: st.DrawFn) -> list[bytes]:
    """Runs of messages, of which a few differ in one octet."""
    bodies = draw(runs)
    for _ in range(draw(st.integers(0, 3)) if bodies else 0):
        number = draw(st.integers(0, len(bodies) - 1))
        body = bytearray(bodies[number])
        body[draw(st.integers(0, len(body) - 1))] ^= 1 << draw(st.integers(0, 7))
        bodies[number] = bytes(body)
    return bodies


@settings(max_examples=300)
@given(st.one_of(few, disturbed(), disturbed()))
@example(many(17, [[65101], [65102]], 40))
@example(many(24, [[65101], [0]], 40))
def test_messages_that_look_alike_are_read_as_each_alone(bodies: list[bytes]) -> None:
    expected: list[object] = []
    for body in bodies:
        try:
            update = UpdateReader().read(body, BOTH)
        except UpdateError as error:
            expected.append(error.subcode)
            break
        expected += update.changes
        expected += [] if update.end_of_rib is None else [update.end_of_rib]
    messages = b"".join(message(2, body) for body in bodies)
    flags = FOUR_OCTET_ASNS | FAMILY_FLAGS[4]
    found: list[object] = []
    for event in Reader().read(Frame("10.0.1.2", flags, messages), {}):
        if isinstance(event, Updated):
            for change in event.changes:
                found += change.each() if isinstance(change, Series) else [change]
        elif isinstance(event, Refused):
            found.append(event.subcode)
        else:
            assert isinstance(event, EndOfRib)
            found.append(event.family)
    assert [plain(item) for item in found] == [plain(item) for item in expected]


def plain(item: object) -> object:
    """Return a change with sequences of one kind."""
    if isinstance(item, Change):
        return item.attributes, list(item.announced), list(item.withdrawn)
    return item
