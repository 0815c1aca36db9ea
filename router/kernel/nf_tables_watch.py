"""Notice that somebody changed nf_tables. SHELL."""

from __future__ import annotations

import errno
import socket
from typing import Final

from router.kernel.errors import KernelError
from router.kernel.netlink_socket import join_group
from router.kernel.nf_tables import NETLINK_NETFILTER, NEW_GENERATION, NFNLGRP_NFTABLES
from router.kernel.socket_filter import (
    DROP,
    JUMP_EQUAL,
    LOAD_HALF,
    LOAD_WORD,
    TAKE,
    attach_filter,
    swapped_half,
    swapped_word,
)

_RECEIVE_BYTES: Final = 4096
_TYPE_OFFSET: Final = 4
_PORT_OFFSET: Final = 12
"""In struct nlmsghdr."""


def watch_others(own_port: int) -> socket.socket:
    """Return a socket that hears of every nf_tables transaction of this node but our own.

    Each ends with one NFT_MSG_NEWGEN, whose nlmsg_pid is the port it came from
    (nf_tables_gen_notify in net/netfilter/nf_tables_api.c). What it changed may stand anywhere in
    the datagrams before it. Raises KernelError.
    """
    try:
        watch = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        attach_filter(
            watch,
            (
                (LOAD_HALF, 0, 0, _TYPE_OFFSET),
                (JUMP_EQUAL, 0, 2, swapped_half(NEW_GENERATION)),
                (LOAD_WORD, 0, 0, _PORT_OFFSET),
                (JUMP_EQUAL, 0, 1, swapped_word(own_port)),
                DROP,
                TAKE,
            ),
        )
        watch.bind((0, 0))
        join_group(watch, NFNLGRP_NFTABLES)
        watch.setblocking(False)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, "watch nf_tables") from error
    return watch


def drain(watch: socket.socket) -> bool:
    """Read everything; return whether there was anything. Raises KernelError."""
    found = False
    while True:
        try:
            watch.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return found
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise KernelError(error.errno or errno.EIO, "watch nf_tables") from error
        found = True
