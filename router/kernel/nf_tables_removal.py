"""Take a table of ours away for good. SHELL."""

from __future__ import annotations

from router.kernel import nf_tables
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.nf_tables import BEGIN, END, NETLINK_NETFILTER, NOT_THERE


def remove_table(name: str) -> bool:
    """Remove it with all that is in it; return whether it was there. Raises KernelError."""
    try:
        with Channel(protocol=NETLINK_NETFILTER) as channel:
            channel.transact(BEGIN, [nf_tables.delete_table(name)], END, f"remove table {name}")
    except KernelError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    return True
