"""What went wrong in the kernel, with its errno kept."""

from __future__ import annotations

import errno as errno_codes
import os


class KernelError(OSError):
    """A netlink request the kernel refused, or a netlink socket that failed.

    `errno` is the kernel's; `detail` its extended acknowledgement, if it gave one.
    """

    def __init__(self, errno: int, what: str, detail: str = "") -> None:
        super().__init__(errno, os.strerror(errno))
        self.what = what
        self.detail = detail

    def __str__(self) -> str:
        name = errno_codes.errorcode.get(self.errno or 0, str(self.errno))
        reason = f"{name}: {self.strerror}" + (f" ({self.detail})" if self.detail else "")
        return f"{self.what}: {reason}"


class DumpInterruptedError(KernelError):
    """A dump kept changing underneath us (NLM_F_DUMP_INTR) more often than we retry."""

    def __init__(self, what: str, attempts: int) -> None:
        super().__init__(errno_codes.EINTR, what, f"changed during each of {attempts} dumps")
