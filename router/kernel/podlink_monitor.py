"""Hear of links that leave the node. SHELL.

RTM_DELLINK is sent when the link, its other end, its routes and its neighbors are gone, and the
names free again, 15 ms and more before the removal's own acknowledgement (ADR 0023).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from typing import Final

from router.kernel.errors import KernelError
from router.kernel.message import messages
from router.kernel.podlink_wire import RTM_DELLINK

_RTMGRP_LINK: Final = 1
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
_RECEIVE_BYTES: Final = 64 * 1024
_FAMILY_AND_INDEX: Final = struct.Struct("=BxxxI")
_BPF_INSTRUCTION: Final = struct.Struct("=HBBI")


class LinkMonitor:
    """A socket that receives nothing but RTM_DELLINK."""

    def __init__(self) -> None:
        """Subscribe at once: nothing after this call is missed. Raises KernelError."""
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
            self._attach_filter()
            self._socket.bind((0, _RTMGRP_LINK))
            self._socket.setblocking(False)
        except OSError as error:
            raise KernelError(error.errno or errno.EIO, "open the link monitor") from error

    def _attach_filter(self) -> None:
        """Drop all but RTM_DELLINK in the kernel: an ADD makes six other notifications."""
        # nlmsg_type is in host order, the filter loads in network order.
        kind = int.from_bytes(struct.pack("=H", RTM_DELLINK), "big")
        load, equal, give = 0x28, 0x15, 0x06  # BPF_LD|H|ABS, BPF_JMP|JEQ|K, BPF_RET|K
        program = b"".join(
            _BPF_INSTRUCTION.pack(*instruction)
            for instruction in (
                (load, 0, 0, 4),
                (equal, 0, 1, kind),
                (give, 0, 0, 0xFFFFFFFF),
                (give, 0, 0, 0),
            )
        )
        instructions = ctypes.create_string_buffer(program)
        header = struct.pack("@HP", 4, ctypes.addressof(instructions))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def take(self) -> tuple[list[int], bool]:
        """Return the indexes of the links that left, and whether any notification was lost."""
        indexes: list[int] = []
        lost = False
        while True:
            try:
                datagram = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return indexes, lost
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError(error.errno or errno.EIO, "read the link monitor") from error
                lost = True
                continue
            for kind, _, _, payload in messages(datagram):
                if kind == RTM_DELLINK:
                    family, index = _FAMILY_AND_INDEX.unpack_from(payload)
                    # AF_BRIDGE: the link only left a bridge.
                    if family == socket.AF_UNSPEC:
                        indexes.append(index)
