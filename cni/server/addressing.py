"""Both families' allocators, and the node facts they follow. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.plan import Address
from cni.ipam.allocator import DEFAULT_REST_S, AddressTakenError, Allocator
from cni.ipam.pool import make_pool
from cni.node_facts import NodeFacts
from cni.spec.errors import PoolExhaustedError, TryAgainLaterError


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """The numbers of one family's pool."""

    name: str
    size: int
    in_use: int


class Addressing:
    """Gives and takes back the addresses of attachments, one of each family the node has."""

    def __init__(self, clock: Callable[[], float], *, rest_s: float = DEFAULT_REST_S) -> None:
        """Start without pools; ``clock`` is monotonic, in seconds."""
        self._clock = clock
        self._ipv4: Allocator[AttachmentKey] = Allocator(make_pool(4, ()), rest_s=rest_s)
        self._ipv6: Allocator[AttachmentKey] = Allocator(make_pool(6, ()), rest_s=rest_s)

    def follow(self, facts: NodeFacts) -> None:
        """Take addresses from the node's pod CIDRs from now on; a node address is never a pod's."""
        for allocator in (self._ipv4, self._ipv6):
            allocator.replace_pool(
                make_pool(allocator.pool.family, facts.pod_cidrs, facts.node_addresses)
            )

    def pools(self) -> tuple[PoolUse, ...]:
        """Return the numbers of each family that has a CIDR."""
        return tuple(
            PoolUse(name=each.pool.name, size=each.pool.size, in_use=each.in_use)
            for each in (self._ipv4, self._ipv6)
            if each.pool.size
        )

    def orphans(self) -> tuple[tuple[Address, AttachmentKey], ...]:
        """Return the allocations outside every CIDR of the node."""
        return self._ipv4.orphans() + self._ipv6.orphans()

    def allocate(self, key: AttachmentKey) -> Addresses:
        """Give ``key`` an address of each family; all or none.

        Raises PoolExhaustedError, or TryAgainLaterError when the node has no pod CIDR.
        """
        if not (self._ipv4.pool.size or self._ipv6.pool.size):
            raise TryAgainLaterError("the node has no pod CIDR yet")
        now_s = self._clock()
        given: list[Address] = []
        try:
            for allocator in (self._ipv4, self._ipv6):
                if allocator.pool.size:
                    given.append(allocator.allocate(key, now_s))
        except PoolExhaustedError:
            for address in given:
                self._of(address).release(address, now_s)
            raise
        return Addresses.of(given)

    def take(self, key: AttachmentKey, addresses: Addresses) -> None:
        """Record what an attachment found in the kernel has; all or none.

        Raises AddressTakenError when another attachment has one of them.
        """
        for address in addresses.each():
            holder = self._of(address).owner(address)
            if holder is not None and holder != key:
                raise AddressTakenError(f"{address} belongs to {holder}")
        for address in addresses.each():
            self._of(address).take(address, key)

    def release(self, addresses: Addresses) -> None:
        """Take the addresses back; they rest for a while."""
        for address in addresses.each():
            self._of(address).release(address, self._clock())

    def _of(self, address: Address) -> Allocator[AttachmentKey]:
        return self._ipv4 if address.version == 4 else self._ipv6
