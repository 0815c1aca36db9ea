"""Which capabilities a process lacks, from what the kernel says of it. PURE.

Numbers are those of linux/capability.h; the form is that of /proc/PID/status (proc_pid_status(5)).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_NUMBERS: Final = {
    "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21
}  # fmt: skip


def lacking(status: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return those *wanted* ("NET_ADMIN") that are not effective; none if *status* has no word."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            held = int(value, 16)
            return tuple(each for each in wanted if not held >> _NUMBERS[each] & 1)
    return ()
