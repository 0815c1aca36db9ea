"""Hear of links that leave, come up, or lose what we gave them, and of addresses. SHELL.

RTM_DELLINK is sent when the link, its other end, its routes and its neighbors are gone, and the
names free again, 15 ms and more before the removal's own acknowledgement (ADR 0023). A link that is
set down loses its routes, the IPv4 ones without a notification (fib_sync_down_dev), so that the
sign to look for is its coming up again. They also vanish with the node address that they prefer as
source, before Linux 6.7 without a notification; so that the sign is the address's.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from dataclasses import dataclass, field, replace
from typing import Final

from cni.attachment.plan import Address
from router.kernel.errors import KernelError
from router.kernel.message import messages
from router.kernel.netlink_socket import grow_receive_buffer
from router.kernel.podlink_listing import RTM_NEWLINK, parse_address, parse_route
from router.kernel.podlink_wire import RTM_DELLINK
from router.kernel.protocols import RouteProtocol
from router.kernel.socket_filter import (
    DROP,
    JUMP_EQUAL,
    JUMP_SET,
    LOAD_BYTE,
    LOAD_HALF,
    TAKE,
    Instruction,
    attach_filter,
    swapped_half,
)

_GROUPS: Final = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE
(include/uapi/linux/rtnetlink.h).
"""
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21
_RTM_DELROUTE: Final = 25
_RTM_DELNEIGH: Final = 29
_NDM_TYPE_OFFSET: Final = 11
_RTN_UNICAST: Final = 1
_IFF_UP: Final = 0x1
_RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
_RECEIVE_BYTES: Final = 64 * 1024
_FAMILY_AND_INDEX: Final = struct.Struct("=BxxxI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Indexes of links: ``gone``; ``up``, set up; ``disturbed``, a route or neighbor deleted.

    ``addresses`` came or left, on any link. ``lost``: there was more, which the receive buffer had
    no room for.
    """

    gone: list[int] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    disturbed: set[int] = field(default_factory=set)
    addresses: set[Address] = field(default_factory=set)
    lost: bool = False


class LinkMonitor:
    """A socket that receives nothing but what ``Heard`` tells."""

    def __init__(self) -> None:
        """Subscribe at once: nothing after this call is missed. Raises KernelError."""
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
            grow_receive_buffer(self._socket, _RECEIVE_BUFFER_BYTES)
            # An ADD makes six other notifications, a fabric thousands.
            attach_filter(self._socket, _filter())
            self._socket.bind((0, _GROUPS))
            self._socket.setblocking(False)
        except OSError as error:
            raise KernelError(error.errno or errno.EIO, "open the link monitor") from error

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def take(self) -> Heard:
        """Return what was heard since the last call."""
        heard = Heard()
        lost = False
        while True:
            try:
                datagram = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError(error.errno or errno.EIO, "read the link monitor") from error
                lost = True
                continue
            for kind, _, _, payload in messages(datagram):
                _sort_in(heard, kind, payload)
        return replace(heard, lost=lost)


def _sort_in(heard: Heard, kind: int, payload: bytes) -> None:
    if kind == _RTM_DELROUTE:
        heard.disturbed.add(parse_route(payload)[0])
        return
    if kind in (_RTM_NEWADDR, _RTM_DELADDR):
        heard.addresses.add(parse_address(payload)[1])
        return
    # ifinfomsg and ndmsg begin alike. AF_BRIDGE: the link only joined or left a bridge, or the
    # neighbor is an entry of a bridge's forwarding table.
    family, index = _FAMILY_AND_INDEX.unpack_from(payload)
    if family == socket.AF_BRIDGE:
        return
    if kind == _RTM_DELNEIGH:
        # The kernel's own entries for multicast come and go, with 1,000 links in great numbers.
        if payload[_NDM_TYPE_OFFSET] == _RTN_UNICAST:
            heard.disturbed.add(index)
    elif kind == RTM_DELLINK:
        heard.gone.append(index)
    else:
        heard.up.append(index)


def _filter() -> tuple[Instruction, ...]:
    """Return what makes the kernel drop the rest.

    Taken: RTM_DELLINK, RTM_DELNEIGH, RTM_NEWADDR, RTM_DELADDR, RTM_DELROUTE of our protocol, and
    RTM_NEWLINK where IFF_UP is set and has changed (ifi_flags, ifi_change).
    """
    # Offsets count from the netlink header (16 bytes). Numbers are in host order, the filter
    # loads in network order; so the byte with a number's lowest bits is another on each.
    lowest = 0 if sys.byteorder == "little" else 3
    return (
        (LOAD_HALF, 0, 0, 4),
        (JUMP_EQUAL, 11, 0, swapped_half(RTM_DELLINK)),
        (JUMP_EQUAL, 10, 0, swapped_half(_RTM_DELNEIGH)),
        (JUMP_EQUAL, 9, 0, swapped_half(_RTM_NEWADDR)),
        (JUMP_EQUAL, 8, 0, swapped_half(_RTM_DELADDR)),
        (JUMP_EQUAL, 5, 0, swapped_half(_RTM_DELROUTE)),
        (JUMP_EQUAL, 0, 7, swapped_half(RTM_NEWLINK)),
        (LOAD_BYTE, 0, 0, 28 + lowest),
        (JUMP_SET, 0, 5, _IFF_UP),
        (LOAD_BYTE, 0, 0, 24 + lowest),
        (JUMP_SET, 2, 3, _IFF_UP),
        (LOAD_BYTE, 0, 0, 21),
        (JUMP_EQUAL, 0, 1, RouteProtocol.POD),
        TAKE,
        DROP,
    )
