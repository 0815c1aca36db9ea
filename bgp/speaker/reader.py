"""reader: lines and frames from the speaker -> facts. PURE.

Lines are `events`' business. Frames hold UPDATEs as the peer sent them; a message that ends its
session (RFC 7606) gives `Refused`, and what the peer sent after it counts no more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from bgp.ends import address_of, name_of, remote_named
from bgp.event import Change, Connected, EndOfRib, Event, Refused, Series, SessionDown, Updated
from bgp.nlri import IPAddress
from bgp.peer_id import PeerId
from bgp.speaker.events import EventError, parse
from bgp.speaker.launcher.frame import FAMILY_FLAGS, FOUR_OCTET_ASNS, INTERNAL
from bgp.speaker.stream import Frame
from bgp.update import UPDATE_ERROR, Negotiated, UpdateError, UpdateReader

log = logging.getLogger(__name__)

_HEADER_BYTES = 19
_NOWHERE: Mapping[PeerId, IPAddress] = {}


class _Session:
    """What the frames of one session are read with."""

    __slots__ = ("flags", "negotiated", "reader", "refused")

    def __init__(self, frame: Frame, via: IPAddress | None) -> None:
        self.flags = frame.flags
        self.reader = UpdateReader()
        self.negotiated = Negotiated(
            families=frozenset(f for f, flag in FAMILY_FLAGS.items() if frame.flags & flag),
            asn_size=4 if frame.flags & FOUR_OCTET_ASNS else 2,
            internal=bool(frame.flags & INTERNAL),
            via=via,
            peer=address_of(remote_named(frame.address)) if via is None else None,
        )
        self.refused = False


class Reader:
    """Reads everything that one speaker tells."""

    def __init__(self) -> None:
        self._sessions: dict[PeerId, _Session] = {}

    def clear(self) -> None:
        """Forget all sessions: the speaker is gone."""
        self._sessions.clear()

    def read(
        self,
        item: bytes | Frame,
        peers: Mapping[str, PeerId],
        via: Mapping[PeerId, IPAddress] = _NOWHERE,
    ) -> tuple[Event, ...]:
        """Read a line or a frame; `peers` and `via` as in `events.parse`.

        What cannot be read is logged.
        """
        try:
            if isinstance(item, Frame):
                return self._read_frame(item, peers, via)
            events = parse(item, peers, via)
        except EventError as error:
            log.warning("speaker line not understood", extra={"reason": str(error)})
            return ()
        for event in events:
            if isinstance(event, Connected | SessionDown):
                self._sessions.pop(event.peer, None)
        return events

    def _read_frame(
        self, frame: Frame, peers: Mapping[str, PeerId], via: Mapping[PeerId, IPAddress]
    ) -> tuple[Event, ...]:
        try:
            peer = _peer_of(frame, peers)
            session = self._sessions.get(peer)
            if session is None or session.flags != frame.flags:
                session = self._sessions[peer] = _Session(frame, via.get(peer))
        except ValueError as error:
            raise EventError(frame.messages, str(error)) from error
        if session.refused:
            return ()
        try:
            return tuple(_read_messages(frame.messages, peer, session))
        except IndexError as error:
            # The launcher passes on whole messages only.
            raise EventError(frame.messages, "a message is cut off") from error


def _peer_of(frame: Frame, peers: Mapping[str, PeerId]) -> PeerId:
    address = frame.address.partition(" ")[0]
    known = peers.get(address) or peers.get(frame.address)
    return known or PeerId(name_of(remote_named(frame.address)))


def _read_messages(messages: bytes, peer: PeerId, session: _Session) -> list[Event]:
    events: list[Event] = []
    changes: list[Change | Series] = []
    read, negotiated = session.reader.read, session.negotiated
    read_alike = session.reader.read_alike
    at, end, damages = 0, len(messages), 0
    while (at := read_alike(messages, at, changes)) < end:
        until = at + (messages[at + 16] << 8 | messages[at + 17])
        try:
            update = read(messages[at + _HEADER_BYTES : until], negotiated)
        except UpdateError as error:
            session.refused = True
            log.error("UPDATE refused", extra={"peer": peer, "reason": str(error)})
            events += _told(peer, changes)
            events.append(
                Refused(peer=peer, code=UPDATE_ERROR, subcode=error.subcode, reason=str(error))
            )
            return events
        at = until
        if update.changes:
            changes += update.changes
            if update.damage:
                damages += 1
                if damages == 1:
                    fields = {"peer": peer, "reason": update.damage}
                    log.warning("routes of a damaged UPDATE withdrawn", extra=fields)
        elif update.end_of_rib is not None:
            events += _told(peer, changes)
            changes = []
            events.append(EndOfRib(peer=peer, family=update.end_of_rib))
    return [*events, *_told(peer, changes)]


def _told(peer: PeerId, changes: list[Change | Series]) -> list[Event]:
    return [Updated(peer=peer, changes=changes)] if changes else []
