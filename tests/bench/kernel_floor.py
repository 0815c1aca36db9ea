"""The messages of one ADD, packed for the driver's replay: what the kernel costs without us."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.plan import LinkSettings, plan_pod_link
from router.kernel import podlink_filter_wire as filter_wire
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.message import HEADER_FLAGS_OFFSET, HEADER_SEQ_OFFSET, NLM_F_ACK
from router.kernel.nf_tables import BEGIN, END

_INDEX: Final = 1_900_000_000
_SANDBOX: Final = 5000
"""The driver's number for the sandbox's descriptor."""
_CONVERSATION: Final = struct.Struct("=cxxxI")


def write_messages(directory: Path) -> tuple[Path, Path]:
    """Write the conversations of an ADD and of its undo; return their files."""
    addresses = Addresses(ipv4=IPv4Address("10.246.0.1"), ipv6=IPv6Address("fd00:246::1"))
    sources = Addresses(ipv4=IPv4Address("10.255.1.1"), ipv6=IPv6Address("fd00:255:1::1"))
    key = AttachmentKey(network="floor", container_id="f" * 64, ifname="eth0")
    plan = plan_pod_link(key, addresses, LinkSettings(mtu=1500, sources=sources))
    keys = [filter_wire.source_key(_INDEX, address) for address in addresses.each()]
    ways = [listing.get_route_to(each) for each in addresses.each() if each.version == 6]
    made = directory / "floor"
    made.write_bytes(
        _conversation(b"n", [wire.create(plan.create, _INDEX, _SANDBOX)])
        + _transaction([filter_wire.add_element(*each) for each in keys])
        + _conversation(b"p", [wire.pack(operation, _INDEX) for operation in plan.sandbox])
        + _conversation(b"n", [wire.pack(operation, _INDEX) for operation in plan.host])
        + _conversation(b"p", [listing.get_link_at(_INDEX, flags=0), *ways])
    )
    undo = directory / "floor-undo"
    undo.write_bytes(
        _conversation(b"n", [wire.delete(_INDEX)])
        + _transaction([filter_wire.delete_element(*each) for each in keys])
    )
    return made, undo


def _transaction(requests: Sequence[bytes]) -> bytes:
    """Put the messages between a transaction's ends; its last but one is acknowledged."""
    packed = _conversation(b"f", [BEGIN, *requests])[_CONVERSATION.size :]
    return _CONVERSATION.pack(b"f", len(packed) + len(END)) + packed + END


def _conversation(where: bytes, requests: Sequence[bytes]) -> bytes:
    """Number the messages and ask for the acknowledgement of the last."""
    packed = bytearray()
    for number, request in enumerate(requests):
        message = bytearray(request)
        struct.pack_into("=I", message, HEADER_SEQ_OFFSET, number + 1)
        if number == len(requests) - 1:
            flags = struct.unpack_from("=H", message, HEADER_FLAGS_OFFSET)[0]
            struct.pack_into("=H", message, HEADER_FLAGS_OFFSET, flags | NLM_F_ACK)
        packed += message
    return _CONVERSATION.pack(where, len(packed)) + packed
