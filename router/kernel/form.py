"""Find out whether the kernel has nexthop objects. SHELL."""

from __future__ import annotations

import contextlib
import errno
import logging
from typing import Final, Protocol

from router.kernel import nexthop
from router.kernel.errors import KernelError
from router.model.fib import Form, Nexthops
from router.reconcile.form import FIRST_ID

_log = logging.getLogger(__name__)
_PROBE_ID: Final = FIRST_ID - 1
_UNKNOWN: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
"""What kernels before 5.3 (rtnetlink_rcv_msg, net/core/rtnetlink.c) and sandboxes answer."""


class Requests(Protocol):
    """Where one message goes; `router.kernel.channel.Channel` is the real one."""

    def request(self, request: bytes, what: str) -> None:
        """Send a message; raises KernelError when it is refused."""


def choose_form(asked: Nexthops, channel: Requests) -> Form:
    """Return the form of learned routes; `auto` asks the kernel by making an object.

    A dump would not do: what lists nothing may still refuse to make one. An object left by an
    agent that died here is ours and unused, so it goes with the first look at the FIB.
    """
    if asked is not Nexthops.AUTO:
        return Form(asked.value)
    try:
        channel.request(nexthop.write_blackhole(_PROBE_ID), "make a nexthop object")
    except KernelError as error:
        if error.errno not in _UNKNOWN:
            # Not a word about the objects: whoever writes routes will tell it.
            return Form.OBJECTS
        _log.warning(
            "the kernel has no nexthop objects: each route carries its next hops",
            extra={"error": str(error)},
        )
        return Form.PLAIN
    with contextlib.suppress(KernelError):
        channel.request(nexthop.delete(_PROBE_ID), "delete a nexthop object")
    return Form.OBJECTS
