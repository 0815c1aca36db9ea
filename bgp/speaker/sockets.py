"""sockets: what /proc/net/tcp tells about our TCP connections. PURE.

Format: Linux Documentation/networking/proc_net_tcp.rst. `tx_queue` counts what the process
wrote and the other end has not acknowledged (net/ipv4/tcp_ipv4.c: write_seq - snd_una).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address

from bgp.nlri import IPAddress

_ESTABLISHED = "01"


def unacknowledged_bytes(table: str, remotes: AbstractSet[tuple[IPAddress, int]]) -> int:
    """Sum up the send queues of the established connections with these addresses, over these ports.

    The port is the far end's or, of a peer that dialled us, ours. `table` is the content of
    /proc/<pid>/net/tcp or tcp6; lines that cannot be read count 0.
    """
    total = 0
    for line in table.splitlines()[1:]:
        fields = line.split()
        try:
            local, remote, state, queues = fields[1:5]
            if state != _ESTABLISHED:
                # Closed on a dead link, one has unacknowledged octets for minutes.
                continue
            address, port = _endpoint(remote)
            if {(address, port), (address, _endpoint(local)[1])} & remotes:
                total += int(queues.partition(":")[0], 16)
        except ValueError:
            continue
    return total


def local_address(table: str, remote: tuple[IPAddress, int]) -> IPAddress | None:
    """Give our end of the established connection to this address and port, if there is one."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        try:
            if fields[3] == _ESTABLISHED and _endpoint(fields[2]) == remote:
                return _endpoint(fields[1])[0]
        except (IndexError, ValueError):
            continue
    return None


def _endpoint(text: str) -> tuple[IPAddress, int]:
    address, _, port = text.partition(":")
    raw = bytes.fromhex(address)
    # 32-bit words in the byte order of the machine, which is little-endian wherever we run.
    packed = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    parsed = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return parsed, int(port, 16)
