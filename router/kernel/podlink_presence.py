"""Which pod links' sandboxes a runtime still has: those with a file in its directory. SHELL.

The kernel gives each namespace that one of our links leads to an id of ours (peernet2id); so does
it to an open namespace file. Comparing the two needs no record of inodes, and pins no namespace.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Final

from router.kernel import podlink_listing as listing
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.message import NLM_F_ACK, attributes, message, u32

_RTM_NEWNSID: Final = 88
_RTM_GETNSID: Final = 90
_RTGENMSG: Final = struct.Struct("=Bxxx")
_NETNSA_NSID: Final = 1
_NETNSA_FD: Final = 3
_I32: Final = struct.Struct("=i")


def absent_from(directory: Path, host: Channel) -> frozenset[int] | None:
    """Return the indexes of the pod links whose sandbox has no file in ``directory``.

    None where that says nothing: the directory is not there, or has no namespace in it, as when a
    mount is missing. Raises KernelError.
    """
    # The links first: a runtime makes the file before the ADD and removes it after the DEL.
    listed = host.dump(listing.list_veths(), "list links")
    links = [listing.parse_link(payload) for kind, payload in listed if kind == listing.RTM_NEWLINK]
    found = 0
    present: set[int] = set()
    try:
        paths = tuple(directory.iterdir())
    except OSError:
        return None
    for path in paths:
        with contextlib.suppress(OSError, KernelError):
            present.add(_namespace_id(path, host))
            found += 1
    if not found:
        return None
    return frozenset(
        link.index
        for link in links
        if link.is_pod_link and link.peer_namespace >= 0 and link.peer_namespace not in present
    )


def _namespace_id(path: Path, host: Channel) -> int:
    """Return our id of a namespace file, -1 if it has none; raise KernelError if it is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        request = message(_RTM_GETNSID, NLM_F_ACK, _RTGENMSG.pack(0), u32(_NETNSA_FD, descriptor))
        for kind, payload in host.dump(request, "ask for a namespace's id"):
            if kind == _RTM_NEWNSID:
                found = attributes(payload, _RTGENMSG.size)
                return int(_I32.unpack(found[_NETNSA_NSID])[0])
        return -1
    finally:
        os.close(descriptor)
