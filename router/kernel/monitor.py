"""Notice what others change in the kernel. SHELL.

The monitor decides nothing: it sorts notifications into two flags and wakes the agent,
which then observes. Losing notifications (ENOBUFS) raises both flags.

Two kernel facts shape it. A nexthop object removed because its link lost carrier is *not*
notified (remove_nexthop in net/ipv4/nexthop.c gets no nl_info), nor are the IPv4 routes
that go with it: a link that was down for a moment, too short for a look at it, has taken them
all the same, which is why `Noticed.lost` remembers it. And a notification of a write carries
the writer's netlink port, which is how our own writes are left out.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from router.kernel.errors import KernelError
from router.kernel.message import HEADER, attributes, get_u32
from router.kernel.netlink_socket import grow_receive_buffer, join_group
from router.kernel.nexthop import RTM_DELNEXTHOP, RTM_NEWNEXTHOP
from router.kernel.protocols import (
    LEARNED_DEFAULT_METRIC,
    LEARNED_METRIC,
    OWN_CIDR_METRIC,
    RouteProtocol,
)
from router.kernel.route import RTM_DELROUTE, RTM_NEWROUTE
from router.kernel.socket_filter import (
    DROP,
    JUMP_EQUAL,
    LOAD_HALF,
    LOAD_WORD,
    TAKE,
    Instruction,
    attach_filter,
    swapped_half,
    swapped_word,
)

_GROUPS: Final = (1, 5, 7, 8, 9, 11, 19, 32)
"""RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_IFADDR, _IPV6_ROUTE, _IPV6_RULE,
_NEXTHOP."""
_RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
_LINK_AND_ADDRESS: Final = frozenset({16, 17, 20, 21, 32, 33})
"""RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR; RTM_NEWRULE, RTM_DELRULE: all that is looked
at as a whole."""
_RTM_NEWLINK: Final = 16
_TAKING: Final = frozenset({17, 21})
"""RTM_DELLINK and RTM_DELADDR."""
_INDEX_AND_FLAGS: Final = struct.Struct("=4xiI")
"""ifi_index and ifi_flags of struct ifinfomsg; ifa_index of struct ifaddrmsg has the same place."""
_USABLE: Final = 0x1 | 0x10000
"""IFF_UP and IFF_LOWER_UP."""
_ROUTES: Final = frozenset({RTM_NEWROUTE, RTM_DELROUTE})
_NEXTHOPS: Final = frozenset({RTM_NEWNEXTHOP, RTM_DELNEXTHOP})
_ROUTE_LENGTH_OFFSET: Final = 16 + 1
_ROUTE_PROTOCOL: Final = 5
_METRICS: Final = frozenset({LEARNED_METRIC, LEARNED_DEFAULT_METRIC, OWN_CIDR_METRIC})
_RTA_DST: Final = 1
_RTA_PRIORITY: Final = 6
_RTMSG_SIZE: Final = 12
_NLM_F_REPLACE: Final = 0x100
_NEXTHOP_PROTOCOL_OFFSET: Final = 16 + 2
_OURS: Final = frozenset({RouteProtocol.LEARNED, RouteProtocol.OWN_CIDR})
_KIND_OFFSET: Final = 4
_PORT_OFFSET: Final = 12
"""nlmsg_type and nlmsg_pid in struct nlmsghdr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrusion:
    """A program took routes of ours, or put its own in their place; the last one stands here."""

    prefix: str
    by: str
    """The program, as far as it can be told: it may have ended already."""
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """What may have changed since the last look."""

    links: bool
    fib: bool
    lost: frozenset[int] = frozenset()
    """Indexes of links that were seen down, without carrier or gone, or that lost an address, even
    if only for a moment."""
    intrusion: Intrusion | None = None


class Monitor:
    """Listens in a thread of its own; `take` gives and clears what was noticed."""

    def __init__(self, own_port: int, wake: Callable[[], None]) -> None:
        """Subscribe at once, so that nothing after this call is missed. Raises KernelError.

        `wake` is called from the monitor's thread.
        """
        self._own_port = own_port
        self._wake = wake
        self._lock = threading.Lock()
        self._links = False
        self._fib = False
        self._lost: set[int] = set()
        self._intrusion: Intrusion | None = None
        self._closing = False
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
            grow_receive_buffer(self._socket, _RECEIVE_BUFFER_BYTES)
            attach_filter(self._socket, _without_own_writes(own_port))
            self._socket.bind((0, 0))
            for group in _GROUPS:
                join_group(self._socket, group)
            # close() does not wake a blocked recv(): look at the flag now and then.
            self._socket.settimeout(1.0)
        except OSError as error:
            raise KernelError(error.errno or errno.EIO, "open the netlink monitor") from error
        self._thread = threading.Thread(target=self._listen, name="netlink-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closing = True
        self._thread.join(timeout=5)
        self._socket.close()

    def take(self) -> Noticed:
        """Return what was noticed since the last call."""
        with self._lock:
            noticed = Noticed(
                links=self._links,
                fib=self._fib,
                lost=frozenset(self._lost),
                intrusion=self._intrusion,
            )
            self._links = self._fib = False
            self._lost.clear()
            self._intrusion = None
        return noticed

    def _listen(self) -> None:
        while not self._closing:
            lost: set[int] = set()
            try:
                links, fib = self._sort(self._socket.recv(1 << 18), lost)
            except TimeoutError:
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return
                links = fib = True
            if links or fib:
                with self._lock:
                    self._links = self._links or links
                    self._fib = self._fib or fib
                    self._lost |= lost
                self._wake()

    def _note_intrusion(self, payload: bytes, port: int) -> None:
        found = Intrusion(prefix=_prefix_of(payload), by=_program_of(port), times=1)
        with self._lock:
            if self._intrusion is not None:
                found = replace(found, times=self._intrusion.times + 1)
            self._intrusion = found

    def _sort(self, buffer: bytes, lost: set[int]) -> tuple[bool, bool]:
        links = fib = False
        offset = 0
        while offset + HEADER.size <= len(buffer):
            length, kind, flags, _, port = HEADER.unpack_from(buffer, offset)
            if length < HEADER.size:
                break
            if kind in _LINK_AND_ADDRESS:
                links = True
                _note_loss(kind, buffer, offset + HEADER.size, lost)
            elif port != self._own_port:
                if kind in _ROUTES:
                    payload = buffer[offset + HEADER.size : offset + length]
                    concerns = _concerns_ours(payload)
                    fib = fib or concerns
                    if concerns and port and _takes(kind, flags, payload):
                        self._note_intrusion(payload, port)
                    # A default route is a gateway's coming or going.
                    links = links or not buffer[offset + _ROUTE_LENGTH_OFFSET]
                elif kind in _NEXTHOPS:
                    protocol = buffer[offset + _NEXTHOP_PROTOCOL_OFFSET]
                    fib = fib or protocol == RouteProtocol.LEARNED
            offset += (length + 3) & ~3
        return links, fib


def _takes(kind: int, flags: int, payload: bytes) -> bool:
    """Tell whether it is the removal of a route of ours, or another's in its place."""
    is_ours = payload[_ROUTE_PROTOCOL] in _OURS
    return is_ours if kind == RTM_DELROUTE else not is_ours and bool(flags & _NLM_F_REPLACE)


def _program_of(port: int) -> str:
    """Name a netlink port's owner: its first socket has the pid of the process as port."""
    try:
        return f"{Path(f'/proc/{port}/comm').read_text().strip()}, pid {port}"
    except OSError:
        return f"netlink port {port}, whose program has ended"


def _prefix_of(payload: bytes) -> str:
    family, length = payload[0], payload[1]
    packed = attributes(payload, _RTMSG_SIZE).get(_RTA_DST)
    if packed is None:
        return "default"
    return f"{socket.inet_ntop(socket.AddressFamily(family), packed)}/{length}"


def _without_own_writes(own_port: int) -> tuple[Instruction, ...]:
    """Drop in the kernel what it says about our own writes.

    A peer's full table is one notification for each route: to read them cost a thread a third of
    the time that writing them takes, and what the buffer had no room for, a look at the whole FIB.
    """
    kinds = sorted(_ROUTES | _NEXTHOPS)
    return (
        (LOAD_WORD, 0, 0, _PORT_OFFSET),
        (JUMP_EQUAL, 0, len(kinds) + 1, swapped_word(own_port)),
        (LOAD_HALF, 0, 0, _KIND_OFFSET),
        *(
            (JUMP_EQUAL, len(kinds) - number, 0, swapped_half(kind))
            for number, kind in enumerate(kinds)
        ),
        TAKE,
        DROP,
    )


def _note_loss(kind: int, buffer: bytes, offset: int, lost: set[int]) -> None:
    if kind == _RTM_NEWLINK or kind in _TAKING:
        index, flags = _INDEX_AND_FLAGS.unpack_from(buffer, offset)
        if kind in _TAKING or flags & _USABLE != _USABLE:
            lost.add(index)


def _concerns_ours(payload: bytes) -> bool:
    """Tell whether a route is ours or stands where one of ours would.

    Replacing a route is notified with the new one alone: a foreign route of our metric may
    have taken the place of ours.
    """
    if payload[_ROUTE_PROTOCOL] in _OURS:
        return True
    metric = attributes(payload, _RTMSG_SIZE).get(_RTA_PRIORITY)
    return metric is not None and get_u32(metric) in _METRICS
