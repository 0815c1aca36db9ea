"""The messages of one pod link, as ``cni.attachment.plan`` lists them, without listing them. PURE.

Byte for byte what ``podlink_wire.pack`` makes of the plan's operations, in their order: a message's
position is its operation's. One stencil for each shape of a plan, that is for which families, and
for how long names. A node has a handful.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import MacAddress
from cni.attachment.plan import Address, CreateLink, PodLinkPlan
from router.kernel import podlink_filter_wire as filter_wire
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.nf_tables import BEGIN, END
from router.kernel.stencil import Batch, Stencil, number

_SHAPES: Final = 64
"""An alias has as many lengths as its addresses have in words: some ten on a node."""
_HOST32: Final = struct.Struct("=I")

# Markers: nothing else in these messages looks like one.
_INDEX: Final = 0x5A1D_C397
_SANDBOX: Final = 0x4B2E_D986
_MAC: Final = MacAddress(bytes.fromhex("02c1b7a593e5"))
_IPV4: Final = IPv4Address("198.51.100.231")
_IPV6: Final = IPv6Address("2001:db8:9a7e:53c1:e4b6:2f8d:71a9:c35b")
_PREFERRED_IPV4: Final = IPv4Address("203.0.113.197")
_PREFERRED_IPV6: Final = IPv6Address("2001:db8:6d3b:a8f2:17c4:95e0:bd62:4e8f")
_HOST_LETTER, _POD_LETTER, _ALIAS_LETTER = "~", "^", "|"
_SHORTEST_NAME: Final = 4
"""A marker of fewer bytes may stand anywhere by chance."""
_MARKERS: Final = {
    b"index": _HOST32.pack(_INDEX),
    b"sandbox": _HOST32.pack(_SANDBOX),
    b"mac": bytes(_MAC),
    b"ipv4": _IPV4.packed,
    b"ipv6": _IPV6.packed,
    b"preferred4": _PREFERRED_IPV4.packed,
    b"preferred6": _PREFERRED_IPV6.packed,
}


class Messages:
    """What is sent for one plan, with the pod's end in the open descriptor ``sandbox``."""

    __slots__ = ("_families", "_host_shape", "_plan", "_sandbox", "_values")

    def __init__(self, plan: PodLinkPlan, sandbox: int) -> None:
        """Take the values out of the plan; ``at`` sets the last one."""
        ipv4, ipv6 = plan.addresses.ipv4, plan.addresses.ipv6
        preferred4, preferred6 = plan.preferred.ipv4, plan.preferred.ipv6
        alias = plan.alias.encode()
        self._plan = plan
        self._sandbox = sandbox
        self._families = (ipv4 is not None, ipv6 is not None)
        self._host_shape = (preferred4 is not None, preferred6 is not None, len(alias))
        self._values = {
            b"index": b"",
            b"sandbox": _HOST32.pack(sandbox),
            b"mac": plan.create.pod_mac,
            b"ipv4": b"" if ipv4 is None else ipv4.packed,
            b"ipv6": b"" if ipv6 is None else ipv6.packed,
            b"preferred4": b"" if preferred4 is None else preferred4.packed,
            b"preferred6": b"" if preferred6 is None else preferred6.packed,
            b"host_name": plan.create.host_name.encode(),
            b"pod_name": plan.create.pod_name.encode(),
            b"alias": alias,
        }

    def creation(self, index: int) -> Batch:
        """Return the creation of both ends with this index, which all that follows is for."""
        values = self._values
        values[b"index"] = _HOST32.pack(index)
        create, host, pod = self._plan.create, values[b"host_name"], values[b"pod_name"]
        if min(len(host), len(pod)) < _SHORTEST_NAME:
            return number([wire.create(create, index, self._sandbox)])
        lengths = (len(host), len(pod))
        return _creation(create.host_mac, create.mtu, create.queues, lengths).fill(values)

    def sandbox(self) -> Batch:
        """Return what sets up the pod's end."""
        return _sandbox(self._families).fill(self._values)

    def host(self) -> Batch:
        """Return what sets up the node's end."""
        return _host(self._families, self._host_shape).fill(self._values)

    def settling(self) -> Batch:
        """Return what to ask the sandbox: its link, and the way to its own IPv6 address.

        Each is answered by what it asks for; none is acknowledged besides.
        """
        return _settling(self._families[1]).fill(self._values)


def admission(index: int, sources: Sequence[Address]) -> Batch:
    """Return the transaction that lets a link send from these addresses, one of each family."""
    values = {b"ipv4" if each.version == 4 else b"ipv6": each.packed for each in sources}
    values[b"index"] = _HOST32.pack(index)
    return _admission(tuple([each.version for each in sources])).fill(values)


def _shape(families: tuple[bool, bool], preferred: tuple[bool, bool], alias: int) -> PodLinkPlan:
    """Return a plan of this shape, made of markers; ``alias`` is its length in bytes."""
    return PodLinkPlan(
        create=CreateLink(host_name="", host_mac=_MAC, pod_name="", pod_mac=_MAC, mtu=0),
        alias=_ALIAS_LETTER * alias,
        addresses=_pair(_IPV4, _IPV6, families),
        preferred=_pair(_PREFERRED_IPV4, _PREFERRED_IPV6, preferred),
        anti_spoofing=False,
    )


def _pair(ipv4: IPv4Address, ipv6: IPv6Address, families: tuple[bool, bool]) -> Addresses:
    return Addresses(ipv4=ipv4 if families[0] else None, ipv6=ipv6 if families[1] else None)


@lru_cache(maxsize=_SHAPES)
def _creation(host_mac: MacAddress, mtu: int, queues: int, lengths: tuple[int, int]) -> Stencil:
    names = _HOST_LETTER * lengths[0], _POD_LETTER * lengths[1]
    create = CreateLink(
        host_name=names[0],
        host_mac=host_mac,
        pod_name=names[1],
        pod_mac=_MAC,
        mtu=mtu,
        queues=queues,
    )
    markers = {b"host_name": names[0].encode(), b"pod_name": names[1].encode()}
    return Stencil(number([wire.create(create, _INDEX, _SANDBOX)]), _MARKERS | markers)


@lru_cache(maxsize=_SHAPES)
def _sandbox(families: tuple[bool, bool]) -> Stencil:
    operations = _shape(families, (False, False), 0).sandbox
    return Stencil(number([wire.pack(each, _INDEX) for each in operations]), _MARKERS)


@lru_cache(maxsize=_SHAPES)
def _host(families: tuple[bool, bool], shape: tuple[bool, bool, int]) -> Stencil:
    plan = _shape(families, shape[:2], shape[2])
    batch = number([wire.pack(each, _INDEX) for each in plan.host])
    return Stencil(batch, _MARKERS | {b"alias": plan.alias.encode()})


@lru_cache(maxsize=_SHAPES)
def _settling(ipv6: bool) -> Stencil:
    way = [listing.get_route_to(_IPV6, flags=0)] if ipv6 else []
    batch = number([listing.get_link_at(_INDEX, flags=0), *way], acknowledged=False)
    return Stencil(batch, _MARKERS)


@lru_cache(maxsize=_SHAPES)
def _admission(versions: tuple[int, ...]) -> Stencil:
    keys = [filter_wire.source_key(_INDEX, _IPV4 if each == 4 else _IPV6) for each in versions]
    elements = [filter_wire.add_element(*key) for key in keys]
    return Stencil(number([BEGIN, *elements], end=END), _MARKERS)
