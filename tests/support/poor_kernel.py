"""Make this process's kernel poorer than it is: no netfilter sockets, or no nf_tables behind them.

Each before anything else is imported, in a process that ends soon.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import types
from importlib.util import find_spec
from pathlib import Path

_AF_NETLINK = 16
_NETLINK_NETFILTER = 12
_SYS_SOCKET = {"x86_64": 41, "aarch64": 198}
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF_0000
_ERRNO = 0x0005_0000
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _FIRST, _THIRD = 0, 16, 32
"""Offsets in struct seccomp_data: system call, low words of its arguments (little-endian)."""
_NO_SUBSYSTEM = 200
"""Beyond NFNL_SUBSYS_COUNT: no module can register it."""


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_netfilter_sockets() -> None:
    """Answer socket(AF_NETLINK, ..., NETLINK_NETFILTER) as a kernel without nfnetlink does.

    EPROTONOSUPPORT (netlink_create in net/netlink/af_netlink.c), by a seccomp filter.
    """
    instructions = (
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_EQUAL, 0, 5, _SYS_SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _FIRST),
        (_JUMP_EQUAL, 0, 3, _AF_NETLINK),
        (_LOAD, 0, 0, _THIRD),
        (_JUMP_EQUAL, 0, 1, _NETLINK_NETFILTER),
        (_RETURN, 0, 0, _ERRNO | errno.EPROTONOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    )
    packed = b"".join(struct.pack("=HBBI", *each) for each in instructions)
    program = _Program(len(instructions), packed)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ask_for_what_no_kernel_has() -> None:
    """Send nf_tables requests to a subsystem that nfnetlink does not have.

    The kernel answers itself, as it does where nf_tables is not built (EINVAL: nfnetlink_rcv_msg in
    net/netfilter/nfnetlink.c).
    """
    name = "router.kernel.nf_tables"
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    poorer = source.replace(
        "_SUBSYSTEM: Final = 10 << 8", f"_SUBSYSTEM: Final = {_NO_SUBSYSTEM} << 8"
    )
    assert poorer != source
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(poorer, spec.origin, "exec"), vars(module))
