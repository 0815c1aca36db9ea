"""What the kernel refuses, in its own words. PURE."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

from router.kernel.errors import KernelError
from router.kernel.message import attributes, get_text

_NLMSGERR_ATTR_MSG: Final = 1
_NLM_F_ACK_TLVS: Final = 0x200


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One message of a batch that the kernel refused."""

    index: int
    """Position in the batch."""
    errno: int
    detail: str
    """The kernel's extended acknowledgement, or ''."""


def translate(error: OSError, what: str) -> KernelError:
    """Return the KernelError for a failed socket call."""
    if isinstance(error, BlockingIOError):  # SO_RCVTIMEO
        return KernelError(errno.ETIMEDOUT, what)
    return KernelError(error.errno or errno.EIO, what)


def extended_ack(flags: int, payload: bytes) -> str:
    """Return NLMSGERR_ATTR_MSG; with NETLINK_CAP_ACK it follows errno and the bare header."""
    if not flags & _NLM_F_ACK_TLVS or len(payload) <= 20:
        return ""
    try:
        found = attributes(payload, 20).get(_NLMSGERR_ATTR_MSG, b"")
    except ValueError:
        return ""
    return get_text(found)
