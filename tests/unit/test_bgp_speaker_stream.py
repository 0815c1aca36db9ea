"""Lines and frames from the speaker: cut, read, refused."""

from __future__ import annotations

import json
import logging
from ipaddress import IPv6Address
from typing import Any

import pytest

from bgp.event import Change, EndOfRib, Refused, SessionDown, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from bgp.speaker.launcher import frame, known
from bgp.speaker.launcher.inbox import MARKER, Inbox
from bgp.speaker.reader import Reader
from bgp.speaker.stream import Frame, Splitter
from tests.support.bgp_wire import (
    END_OF_RIB,
    IGP,
    KEEPALIVE,
    UPDATE,
    announcement,
    as_path,
    attribute,
    body,
    message,
    withdrawal,
)

PEER = PeerId("tor1")
PEERS = {"10.0.1.2": PEER}
POD, OTHER = Prefix.parse("10.244.2.0/24"), Prefix.parse("10.244.3.0/24")
GOOD = announcement([POD], "10.0.1.2", 65101)


def framed(*bodies: bytes, peer: str = "10.0.1.2") -> bytes:
    messages = b"".join(message(UPDATE, raw) for raw in bodies)
    return frame.pack(peer, messages, families={4}, four_octet_asns=True)


def split(raw: bytes) -> list[bytes | Frame]:
    return Splitter().feed([raw])


def test_lines_and_frames_in_their_order_whatever_the_pieces() -> None:
    stream = b'{"a": 1}\n' + framed(GOOD) + b"\nexabgp 5.0.0\n" + framed(GOOD, GOOD) + b"{}\n{"
    whole = split(stream)
    assert [type(item).__name__ for item in whole] == ["bytes", "Frame", "bytes", "Frame", "bytes"]
    for size in (1, 2, 5, 19, 64):
        splitter = Splitter()
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        assert [item for piece in pieces for item in splitter.feed([piece])] == whole


def test_a_frame_that_cannot_be_one() -> None:
    with pytest.raises(ValueError, match="a frame of 1 octets"):
        split(frame.HEADER.pack(frame.FRAME, 1, 0, 200) + b"x")


def events(reader: Reader, *bodies: bytes) -> tuple[object, ...]:
    (item,) = split(framed(*bodies))
    return reader.read(item, PEERS)


def test_messages_of_a_frame_are_one_event_up_to_end_of_rib() -> None:
    told = events(Reader(), GOOD, withdrawal([OTHER]), END_OF_RIB[4], GOOD)
    attributes = told[0].changes[0].attributes  # type: ignore[attr-defined]
    assert told == (
        Updated(peer=PEER, changes=[Change(attributes, [POD], []), Change(None, (), [OTHER])]),
        EndOfRib(peer=PEER, family=4),
        Updated(peer=PEER, changes=[Change(attributes, [POD], [])]),
    )


def test_after_a_refused_message_nothing_counts_until_the_session_is_another() -> None:
    reader = Reader()
    told = events(reader, GOOD, b"\0\xff\0\0", GOOD)
    assert [type(event).__name__ for event in told] == ["Updated", "Refused"]
    refused = told[1]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.subcode) == (3, 1)
    assert events(reader, GOOD) == ()
    down: dict[str, Any] = {
        "type": "state",
        "neighbor": {"address": {"peer": "10.0.1.2"}, "state": "down", "reason": "x"},
    }
    assert isinstance(reader.read(json.dumps(down).encode(), PEERS)[0], SessionDown)
    assert len(events(reader, GOOD)) == 1


def test_frames_of_two_tors_with_one_link_local_address() -> None:
    peers = {"fe80::1 fe80::a": PeerId("tor1"), "fe80::1 fe80::b": PeerId("tor2")}
    via = {PeerId(f"tor{n}"): IPv6Address(f"fe80::1%eth{n}") for n in (1, 2)}
    reader = Reader()
    for local, number in (("fe80::a", 1), ("fe80::b", 2)):
        (item,) = split(framed(GOOD, peer=f"fe80::1 {local}"))
        (updated,) = reader.read(item, peers, via)
        assert isinstance(updated, Updated)
        assert updated.peer == f"tor{number}"
        attributes = updated.changes[0].attributes
        assert attributes is not None
        assert str(attributes.next_hop) == f"fe80::1%eth{number}"
    (item,) = split(framed(GOOD, peer="fe80::1 fe80::c"))
    assert [event.peer for event in reader.read(item, peers, via)] == ["fe80::1 fe80::c"]  # type: ignore[union-attr]


def test_a_link_local_next_hop_belongs_to_the_link_of_its_peer() -> None:
    """Every link has fe80::/64: without a zone it was taken to be on the first."""
    value = (
        b"\0\2\1\x10"
        + IPv6Address("fe80::9").packed
        + b"\0\x40"
        + bytes.fromhex("fd00024400020000")
    )
    raw = body(b"", attribute(0x80, 14, value) + IGP + as_path(65101))
    packed = frame.pack("10.0.1.2", message(UPDATE, raw), families={4, 6}, four_octet_asns=True)
    (updated,) = Reader().read(split(packed)[0], PEERS)
    assert isinstance(updated, Updated)
    attributes = updated.changes[0].attributes
    assert isinstance(attributes, Attributes)
    assert str(attributes.next_hop) == "fe80::9%10.0.1.2"


def test_damage_is_logged_once_for_each_frame(caplog: pytest.LogCaptureFixture) -> None:
    damaged = body(b"", attribute(0x40, 1, b"\7"), b"\x18\n\xf4\2")
    with caplog.at_level(logging.WARNING):
        (updated,) = events(Reader(), damaged, damaged)
    assert isinstance(updated, Updated)
    assert [list(change.withdrawn) for change in updated.changes] == [[POD], [POD]]
    assert len(caplog.records) == 1


def test_what_cannot_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert Reader().read(b"{", PEERS) == ()
    assert Reader().read(Frame("nobody", 7, b""), PEERS) == ()
    assert len(caplog.records) == 2


def inbox(*messages: bytes) -> Inbox:
    made = Inbox()
    made.data += b"".join(messages)
    return made


def test_the_inbox_gives_updates_only_and_leaves_the_rest() -> None:
    update, keepalive = message(UPDATE, GOOD), message(KEEPALIVE)
    box = inbox(update, update, keepalive, update)
    assert box.take_updates(4096) == (update * 2, 2)
    assert box.take_updates(4096) == (b"", 0)
    assert box.length(4096) == 19
    assert inbox(update[:-1]).take_updates(4096) == (b"", 0)
    assert inbox(update[:-1]).length(4096) == 0
    assert inbox(update).take_updates(30) == (b"", 0)
    assert inbox(b"\0" + MARKER + update).length(4096) == 19, "damaged: for ExaBGP to refuse"


class Socket:
    def __init__(self, *answers: bytes | OSError) -> None:
        self.io, self.answers = self, list(answers)

    def recv(self, _: int) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def test_the_inbox_remembers_the_end_of_a_connection() -> None:
    box = Inbox()
    socket = Socket(BlockingIOError(11, "again"), b"abc", b"")
    for _ in range(3):
        box.fill(socket, ConnectionError, {11})
    assert (bytes(box.data), str(box.failure)) == (
        b"abc",
        "the TCP connection was closed by the remote end",
    )
    box.fill(socket, ConnectionError, {11})
    reset = Inbox()
    reset.fill(Socket(ConnectionResetError(104, "reset")), ConnectionError, {11})
    assert "reset" in str(reset.failure)


def test_the_installed_exabgp_is_known_and_another_is_not() -> None:
    assert known.why_not() == ""
    assert known.why_not(version="5.0.16") == "ExaBGP is 5.0.15, not 5.0.16"
    place = "exabgp.reactor.protocol:Protocol.read_message"
    assert known.why_not({place: "(self, more)"}) == f"{place} takes (self), not (self, more)"
    assert "no attribute" in known.why_not({f"{place}s": "(self)"})
    assert "No module" in known.why_not({"exabgp.gone:x": "()"})


def test_a_frame_with_a_message_that_is_cut_off_is_left_out() -> None:
    item = Frame("10.0.1.2", 7, b"\xff" * 16 + b"\0")
    assert Reader().read(item, {}, {}) == ()
