"""See what peers send, also what the kernel then drops for its signature or TTL. SHELL.

A packet socket gets packets before TCP judges them (packet(7)); a filter in the kernel passes TCP
of the wanted ports only, or ICMP only. Needs CAP_NET_RAW.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

from router.kernel.socket_filter import (
    DROP,
    JUMP_EQUAL,
    LOAD_BYTE,
    LOAD_HALF_FROM_INDEX,
    LOAD_IPV4_LENGTH,
    LOAD_NUMBER_TO_INDEX,
    TAKE,
    Instruction,
    attach_filter,
)

_ETH_P_IP: Final = 0x0800
_ETH_P_IPV6: Final = 0x86DD
_OUTGOING: Final = 4
"""PACKET_OUTGOING, linux/if_packet.h."""
_TCP: Final = 6
_ICMP, _ICMPV6 = 1, 58
_LARGEST: Final = 65_600


def listen(ports: Collection[int], take: Callable[[bytes], bool], for_s: float) -> None:
    """Give `take` every TCP packet that arrives from or to these ports, IP header first.

    What arrives before the filter is there is given, too. Ends when `take` returns true, or after
    `for_s` seconds. Raises OSError.
    """
    _capture(((_ETH_P_IP, _ipv4(ports)), (_ETH_P_IPV6, _ipv6(ports))), take, for_s)


def ask(send: Sequence[Outgoing], take: Callable[[bytes], bool], for_s: float) -> None:
    """Send packets past the routing table, and give `take` every ICMP packet that arrives.

    Otherwise as `listen`.
    """
    icmp = ((_ETH_P_IP, _icmp(9, _ICMP)), (_ETH_P_IPV6, _icmp(6, _ICMPV6)))

    def begin() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as out:
            for each in send:
                kind = _ETH_P_IPV6 if each.packet[0] >> 4 == 6 else _ETH_P_IP
                out.sendto(each.packet, (each.link, kind, 0, 0, each.hardware_address))

    _capture(icmp, take, for_s, begin)


class Outgoing(NamedTuple):
    """A packet, IP header first, for the neighbor that has this hardware address."""

    packet: bytes
    link: str
    hardware_address: bytes


def _capture(
    kinds: Iterable[tuple[int, tuple[Instruction, ...]]],
    take: Callable[[bytes], bool],
    for_s: float,
    begin: Callable[[], None] = lambda: None,
) -> None:
    with contextlib.ExitStack() as stack:
        sockets = []
        for kind, program in kinds:
            wire = socket.htons(kind)
            made = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, wire))
            attach_filter(made, program)
            sockets.append(made)
        begin()
        end = time.monotonic() + for_s
        while (left_s := end - time.monotonic()) > 0:
            for ready in select.select(sockets, (), (), left_s)[0]:
                packet, address = ready.recvfrom(_LARGEST)
                if address[2] != _OUTGOING and take(packet):
                    return


def _icmp(protocol_at: int, number: int) -> tuple[Instruction, ...]:
    return ((LOAD_BYTE, 0, 0, protocol_at), (JUMP_EQUAL, 1, 0, number), DROP, TAKE)


def _ipv4(ports: Collection[int]) -> tuple[Instruction, ...]:
    return _program(9, (LOAD_IPV4_LENGTH, 0, 0, 0), ports)


def _ipv6(ports: Collection[int]) -> tuple[Instruction, ...]:
    return _program(6, (LOAD_NUMBER_TO_INDEX, 0, 0, 40), ports)


def _program(
    protocol_at: int, begin: Instruction, ports: Collection[int]
) -> tuple[Instruction, ...]:
    """Take what is TCP and has a wanted port at either end."""
    tests = 2 * (len(ports) + 1)
    program: list[Instruction] = [
        (LOAD_BYTE, 0, 0, protocol_at),
        (JUMP_EQUAL, 0, tests + 1, _TCP),
        begin,
    ]
    left = tests
    for offset in (0, 2):
        program.append((LOAD_HALF_FROM_INDEX, 0, 0, offset))
        left -= 1
        for port in ports:
            left -= 1
            program.append((JUMP_EQUAL, left + 1, 0, port))
    return (*program, DROP, TAKE)
