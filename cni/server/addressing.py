"""Both families' allocators, and the node facts they follow. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.plan import Address
from cni.ipam.allocator import DEFAULT_REST_S, AddressTakenError, Allocator
from cni.ipam.pool import Network, Pool, make_pool, narrow_pool
from cni.node_facts import NodeFacts
from cni.spec.errors import AddressInUseError, PoolExhaustedError, TryAgainLaterError

log = logging.getLogger(__name__)


class AddressHeldError(AddressInUseError):
    """An address asked for by name belongs to ``holder``."""

    def __init__(self, address: Address, holder: AttachmentKey) -> None:
        """Say whose the address is."""
        super().__init__(
            f"{address} belongs to {holder.container_id} {holder.ifname} in {holder.network}"
        )
        self.holder = holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a call says about its addresses.

    ``addresses`` are asked for by name, at most one per family; a family without one gets what
    is free inside ``subnets`` (none named: everywhere) and outside ``reserved``.
    """

    addresses: tuple[Address, ...] = ()
    subnets: tuple[Network, ...] = ()
    reserved: tuple[Network, ...] = ()


ANY: Final = Wish()
_MAX_PARTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """The numbers of one family's pool."""

    name: str
    size: int
    in_use: int
    reserved: int = 0


class Addressing:
    """Gives and takes back the addresses of attachments, one of each family the node has."""

    def __init__(self, clock: Callable[[], float], *, rest_s: float = DEFAULT_REST_S) -> None:
        """Start without pools; ``clock`` is monotonic, in seconds."""
        self._clock = clock
        self._ipv4: Allocator[AttachmentKey] = Allocator(make_pool(4, ()), rest_s=rest_s)
        self._ipv6: Allocator[AttachmentKey] = Allocator(make_pool(6, ()), rest_s=rest_s)
        # The set algebra of a wish takes longer than an allocation, and a network's never changes.
        self._parts: dict[tuple[int, tuple[Network, ...], tuple[Network, ...]], Pool] = {}

    def follow(self, facts: NodeFacts) -> None:
        """Take addresses from the node's pod CIDRs from now on; a node address is never a pod's.

        Those who have an address outside of them keep it: they are orphans.
        """
        self._parts.clear()
        for allocator in (self._ipv4, self._ipv6):
            allocator.replace_pool(
                make_pool(allocator.pool.family, facts.pod_cidrs, facts.node_addresses)
            )
        if orphans := self.orphans():
            log.warning("addresses outside the node's pod CIDRs", extra={"count": len(orphans)})

    def pools(self, wish: Wish = ANY) -> tuple[PoolUse, ...]:
        """Return the numbers of each family that has a CIDR, as far as ``wish`` goes."""
        return tuple(
            PoolUse(
                name=part.name,
                size=part.size,
                in_use=each.in_use_of(part),
                reserved=part.reserved,
            )
            for each in (self._ipv4, self._ipv6)
            if _is_wanted(each, wish)
            for part in (self._part(each, wish),)
        )

    def orphans(self) -> tuple[tuple[Address, AttachmentKey], ...]:
        """Return the allocations outside every CIDR of the node."""
        return self._ipv4.orphans() + self._ipv6.orphans()

    def require_room(self, wish: Wish = ANY) -> None:
        """Raise what ``allocate`` would raise now for lack of addresses."""
        pools = self.pools(wish)
        if not pools:
            raise TryAgainLaterError("the node has no pod CIDR yet")
        for pool in pools:
            if pool.in_use >= pool.size:
                raise PoolExhaustedError(
                    f"pool {pool.name}: {pool.in_use} of {pool.size} usable addresses in use"
                    + (f", {pool.reserved} reserved" if pool.reserved else "")
                )

    def allocate(self, key: AttachmentKey, wish: Wish = ANY) -> Addresses:
        """Give ``key`` an address of each family; all or none.

        Raises PoolExhaustedError, AddressHeldError or AddressNotUsableError for an address asked
        for by name, or TryAgainLaterError when the node has no pod CIDR.
        """
        if not (self._ipv4.pool.size or self._ipv6.pool.size):
            raise TryAgainLaterError("the node has no pod CIDR yet")
        now_s = self._clock()
        given: list[Address] = []
        try:
            for address in wish.addresses:
                self._claim(address, key)
                given.append(address)
            for allocator in (self._ipv4, self._ipv6):
                named = any(each.version == allocator.pool.family for each in wish.addresses)
                if _is_wanted(allocator, wish) and not named:
                    given.append(allocator.allocate(key, now_s, self._part(allocator, wish)))
        except BaseException:
            for address in given:
                self._of(address).release(address, now_s)
            raise
        return Addresses.of(given)

    def _claim(self, address: Address, key: AttachmentKey) -> None:
        allocator = self._of(address)
        holder = allocator.owner(address)
        if holder is not None:
            raise AddressHeldError(address, holder)
        allocator.claim(address, key)

    def _part(self, allocator: Allocator[AttachmentKey], wish: Wish) -> Pool:
        if not (wish.subnets or wish.reserved):
            return allocator.pool
        name = (allocator.pool.family, wish.subnets, wish.reserved)
        part = self._parts.get(name)
        if part is None:
            if len(self._parts) >= _MAX_PARTS:
                self._parts.clear()
            part = narrow_pool(allocator.pool, wish.subnets, wish.reserved)
            self._parts[name] = part
        return part

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


def _is_wanted(allocator: Allocator[AttachmentKey], wish: Wish) -> bool:
    """Return whether the node has this family, and the wish does not leave it out."""
    family = allocator.pool.family
    return bool(allocator.pool.size) and (
        not wish.subnets or any(subnet.version == family for subnet in wish.subnets)
    )
