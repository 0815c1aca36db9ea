"""Sockets of the sessions. SHELL.

One socket to send for each session (RFC 5881 section 4 wants a source port of its own), one to
receive for each link and family. Both are bound to the link, so that nothing leaves or comes in
elsewhere, not even with a forged source address.

RFC 5881 section 5: packets are sent with TTL 255 and only such are taken. IP_MINTTL does nothing
on UDP sockets, so a classic BPF program reads the IP header (SKF_NET_OFF, linux/filter.h): the
kernel drops what comes from further away before it wakes us.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from bgp.bfd.packet import Packet, PacketError, parse, render
from bgp.bfd.session import Session

log = logging.getLogger(__name__)

PORT: Final = 3784
_SO_BINDTOIFINDEX: Final = 62
_SO_ATTACH_FILTER: Final = 26
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78
_IPV6_UNICAST_HOPS: Final = 16
_CLASS_SELECTOR_6: Final = 0xC0
_SKF_NET_OFF: Final = 0xFFF00000
_TTL_OFFSET: Final[dict[int, int]] = {socket.AF_INET: 8, socket.AF_INET6: 7}
_MAX_PACKET: Final = 512
_DRAIN_LIMIT: Final = 512
"""Packets taken off one socket in a row, so that a flood cannot keep us from our timers."""
_PASSING: Final = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENOBUFS,
        errno.EAGAIN,
        errno.EADDRNOTAVAIL,
        errno.EINVAL,
        errno.EPERM,
        errno.ENODEV,
        errno.ENXIO,
    }
)
"""What sending says while a link or address is away or a filter drops us: as if lost."""

Deliver = Callable[[Packet, str, int], None]
"""Packet, source address, ifindex."""
_Sender = tuple[str, int, int]
_Place = tuple[int, int]


class Sockets:
    """All sockets; `follow` opens and closes them as the sessions need."""

    def __init__(self, watch: Callable[[int], None], deliver: Deliver) -> None:
        """`watch` gets each new descriptor to receive on."""
        self._watch = watch
        self._deliver = deliver
        self._senders: dict[_Sender, socket.socket] = {}
        self._receivers: dict[_Place, socket.socket] = {}
        self._by_descriptor: dict[int, tuple[socket.socket, int]] = {}
        self._failed: dict[_Sender | _Place, str] = {}

    def follow(self, sessions: Iterable[Session]) -> bool:
        """Open what is missing, close what is not needed; tell whether all could be opened."""
        senders = {_sender(session): session for session in sessions}
        receivers = {(_family(key[0]), key[1]) for key in senders}
        for sender in self._senders.keys() - senders.keys():
            self._senders.pop(sender).close()
        for place in self._receivers.keys() - receivers:
            gone = self._receivers.pop(place)
            del self._by_descriptor[gone.fileno()]
            gone.close()
        self._failed = {
            key: text for key, text in self._failed.items() if key in {*senders, *receivers}
        }
        for place in receivers - self._receivers.keys():
            self._try(place, partial(self._open_receiver, place))
        for sender in senders.keys() - self._senders.keys():
            self._try(sender, partial(self._open_sender, sender))
        return not self._failed

    def read(self, descriptor: int) -> bool:
        """Deliver one packet that waits on a socket; False if the descriptor is none of ours.

        One is usually all there is; epoll tells of the next.
        """
        found = self._by_descriptor.get(descriptor)
        if found is None:
            return False
        self._take(*found)
        return True

    def drain(self) -> None:
        """Deliver all packets that wait on any socket."""
        for receiver, ifindex in self._by_descriptor.values():
            for _ in range(_DRAIN_LIMIT):
                if not self._take(receiver, ifindex):
                    break

    def send(self, session: Session, packet: Packet) -> None:
        """Send a packet of the session; what the network refuses counts as lost on the way."""
        sender = self._senders.get(_sender(session))
        if sender is None:
            return
        try:
            sender.sendto(render(packet), (session.spec.peer, PORT))
        except OSError as error:
            if error.errno not in _PASSING:
                log.warning("packet not sent", extra={"peer": session.spec.peer, "errno": error})

    def close(self) -> None:
        """Close all of them."""
        self.follow(())

    def _try(self, key: _Sender | _Place, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            if self._failed.get(key) != str(error):
                log.error("cannot open a socket", extra={"key": key, "error": str(error)})
            self._failed[key] = str(error)
        else:
            self._failed.pop(key, None)

    def _open_receiver(self, place: _Place) -> None:
        family, ifindex = place
        receiver = _socket(family, ifindex)
        try:
            _accept_only_ttl_255(receiver, family)
            receiver.bind(("", PORT))
        except OSError:
            receiver.close()
            raise
        self._receivers[place] = receiver
        self._by_descriptor[receiver.fileno()] = (receiver, ifindex)
        self._watch(receiver.fileno())

    def _open_sender(self, key: _Sender) -> None:
        local, ifindex, port = key
        family = _family(local)
        sender = _socket(family, ifindex)
        try:
            if family == socket.AF_INET:
                # The address may be away with its link just now: sending then fails, not we.
                sender.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _CLASS_SELECTOR_6)
            else:
                sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
                sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_HOPS, 255)
                sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _CLASS_SELECTOR_6)
            scope = ifindex if family == socket.AF_INET6 and local.startswith("fe80:") else 0
            sender.bind((local, port) if family == socket.AF_INET else (local, port, 0, scope))
        except OSError:
            sender.close()
            raise
        self._senders[key] = sender

    def _take(self, receiver: socket.socket, ifindex: int) -> bool:
        """Deliver one packet; False if there is none."""
        try:
            data, source = receiver.recvfrom(_MAX_PACKET)
        except BlockingIOError:
            return False
        except OSError as error:
            log.debug("receive failed", extra={"errno": error.errno})
            return False
        try:
            packet = parse(data)
        except PacketError as error:
            log.debug("packet discarded", extra={"source": source[0], "reason": str(error)})
            return True
        self._deliver(packet, source[0], ifindex)
        return True


def _sender(session: Session) -> _Sender:
    return (session.spec.local, session.spec.ifindex, session.source_port)


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _socket(family: int, ifindex: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, ifindex)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    except OSError:
        made.close()
        raise
    return made


def _accept_only_ttl_255(receiver: socket.socket, family: int) -> None:
    """Attach `ldb [net + TTL]; jeq 255; ret all; ret none`."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, _SKF_NET_OFF + _TTL_OFFSET[family]),
            (0x15, 0, 1, 255),
            (0x06, 0, 0, 0xFFFFFFFF),
            (0x06, 0, 0, 0),
        )
    )
    memory = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
