"""Packet: the BFD control packet (RFC 5880 section 4.1). PURE.

`parse` takes any bytes and gives a packet or raises PacketError: every discard rule of section
6.8.6 that needs no session is here, so that nothing malformed reaches one.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from bgp.bfd.state import State

VERSION: Final = 1
LENGTH: Final = 24
_WIRE: Final = struct.Struct("!BBBBIIIII")
_POLL: Final = 0x20
_FINAL: Final = 0x10
_INDEPENDENT: Final = 0x08
_AUTHENTICATED: Final = 0x04
_DEMAND: Final = 0x02
_MULTIPOINT: Final = 0x01
_STATES: Final = tuple(State)


class PacketError(ValueError):
    """Bytes that are no packet for us; the text says which rule they break."""


class Packet(NamedTuple):
    """A control packet without authentication. Intervals in microseconds, as on the wire."""

    state: State
    diagnostic: int
    """A `Diagnostic`, or one of the reserved codes 9 to 31."""
    multiplier: int
    my_discriminator: int
    your_discriminator: int
    desired_tx_us: int
    required_rx_us: int
    """0: send me nothing."""
    required_echo_rx_us: int = 0
    poll: bool = False
    final: bool = False
    independent: bool = False
    """The C bit: does not share fate with the sender's control plane."""
    demand: bool = False


def parse(data: bytes) -> Packet:
    """Read a UDP payload. Raises PacketError, and nothing else, for any bytes."""
    if len(data) < LENGTH:
        raise PacketError(f"{len(data)} bytes are too few")
    first, flags, multiplier, length, mine, yours, tx, rx, echo = _WIRE.unpack_from(data)
    if first >> 5 != VERSION:
        raise PacketError(f"version {first >> 5}")
    if not LENGTH <= length <= len(data):
        raise PacketError(f"length field {length} of {len(data)} bytes")
    if multiplier == 0:
        raise PacketError("multiplier 0")
    if flags & _MULTIPOINT:
        raise PacketError("multipoint")
    if flags & _AUTHENTICATED:
        raise PacketError("authenticated, but no authentication is in use")
    if mine == 0:
        raise PacketError("my discriminator 0")
    state = _STATES[flags >> 6]
    if yours == 0 and state > State.DOWN:
        raise PacketError(f"your discriminator 0 in state {state.name}")
    return Packet(
        state,
        first & 0x1F,
        multiplier,
        mine,
        yours,
        tx,
        rx,
        echo,
        bool(flags & _POLL),
        bool(flags & _FINAL),
        bool(flags & _INDEPENDENT),
        bool(flags & _DEMAND),
    )


def render(packet: Packet) -> bytes:
    """Write the packet; `parse` gives it back."""
    flags = packet.state << 6
    if packet.poll:
        flags |= _POLL
    if packet.final:
        flags |= _FINAL
    if packet.independent:
        flags |= _INDEPENDENT
    if packet.demand:
        flags |= _DEMAND
    return _WIRE.pack(
        VERSION << 5 | packet.diagnostic,
        flags,
        packet.multiplier,
        LENGTH,
        packet.my_discriminator,
        packet.your_discriminator,
        packet.desired_tx_us,
        packet.required_rx_us,
        packet.required_echo_rx_us,
    )
