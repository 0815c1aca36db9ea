"""Open a netlink socket with the options that ours have. SHELL."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

from router.kernel.errors import KernelError

SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_GET_STRICT_CHK: Final = 12
SO_RCVBUFFORCE: Final = 33

_RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
"""A batch that fails as a whole answers with one error per message."""
_TIMEVAL: Final = struct.Struct("@ll")


def open_brief(protocol: int) -> socket.socket:
    """Return a socket for a few small messages, spared what others need. Raises KernelError."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            opened.setsockopt(SOL_NETLINK, option, 1)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, "open a netlink socket") from error
    return opened


def open_lasting(protocol: int, timeout_s: float) -> socket.socket:
    """Return a socket for dumps and large batches, with a port of its own. Raises KernelError.

    A kernel that never answers must not hang a daemon for ever: ``timeout_s`` is for each receive.
    """
    opened = open_brief(protocol)
    try:
        _check_strictly(opened)
        grow_receive_buffer(opened, _RECEIVE_BUFFER_BYTES)
        opened.bind((0, 0))
        whole_s = int(timeout_s)
        timeout = _TIMEVAL.pack(whole_s, int((timeout_s - whole_s) * 1e6))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, "open a netlink socket") from error
    return opened


def _check_strictly(opened: socket.socket) -> None:
    try:
        opened.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    except OSError as error:
        # Before 4.20, or a sandbox: dumps are not filtered, so whoever reads one looks.
        if error.errno != errno.ENOPROTOOPT:
            raise


def grow_receive_buffer(opened: socket.socket, size: int) -> None:
    """Let it hold so many bytes; without CAP_NET_ADMIN as many as the system lets anybody have."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def join_group(opened: socket.socket, group: int) -> None:
    """Hear what the kernel tells this multicast group. Raises OSError."""
    opened.setsockopt(SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
