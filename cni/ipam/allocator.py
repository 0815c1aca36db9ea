"""Which address the next attachment gets. PURE: the clock comes in as an argument.

Next-fit: the search starts behind the address given last, so that a freed one comes back as late
as possible. On top of that a freed address rests: it is passed over for ``rest_s`` seconds, so that
what others still have cached of its former holder runs out. Rest is a preference, not a
reservation: a pool with nothing else left gives the address that has rested longest.

Invariant (property-tested): an address is taken by at most one owner; ``release`` undoes
``allocate``; an address of ``taken`` outside the pool (its CIDR was withdrawn from the node) keeps
its owner and is never given out again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from cni.ipam.pool import Address, Pool, to_address
from cni.spec.errors import AddressNotUsableError, PoolExhaustedError

DEFAULT_REST_S: Final = 30.0

Owner = TypeVar("Owner", bound=Hashable)


class AddressTakenError(ValueError):
    """Two owners claim one address."""


class Allocator(Generic[Owner]):
    """The allocations of one family."""

    def __init__(self, pool: Pool, *, rest_s: float = DEFAULT_REST_S) -> None:
        self._pool = pool
        self._rest_s = rest_s
        self._taken: dict[int, Owner] = {}
        # Insertion order is release order: the first key has rested longest.
        self._resting: dict[int, float] = {}
        self._last = -1

    @property
    def pool(self) -> Pool:
        """Return the pool addresses come from."""
        return self._pool

    @property
    def in_use(self) -> int:
        """Return how many of the pool's addresses are taken."""
        return self.in_use_of(self._pool)

    def in_use_of(self, pool: Pool) -> int:
        """Return how many of the addresses of ``pool``, a part of ours, are taken."""
        return sum(1 for number in self._taken if number in pool)

    def replace_pool(self, pool: Pool) -> None:
        """Take addresses from another pool from now on; owners keep what they have."""
        if pool.family != self._pool.family:
            raise ValueError(f"pool of family {pool.family} for family {self._pool.family}")
        self._pool = pool

    def orphans(self) -> tuple[tuple[Address, Owner], ...]:
        """Return the allocations whose address is in no CIDR of the node any more."""
        return tuple(
            (to_address(self._pool.family, number), owner)
            for number, owner in sorted(self._taken.items())
            if number not in self._pool
        )

    def owner(self, address: Address) -> Owner | None:
        """Return who has the address."""
        return self._taken.get(int(address))

    def allocate(self, owner: Owner, now_s: float, part: Pool | None = None) -> Address:
        """Give ``owner`` a free address; raise PoolExhaustedError with the pool's numbers.

        ``now_s`` is any monotonic clock, the same one as for ``release``. With ``part``, a part of
        the pool (``narrow_pool``), the address is out of it.
        """
        self._wake(now_s)
        pool = self._pool if part is None else part
        number = self._next_free(pool)
        if number is None:
            raise PoolExhaustedError(self._exhausted(pool))
        self._resting.pop(number, None)
        self._taken[number] = owner
        self._last = number
        return to_address(self._pool.family, number)

    def take(self, address: Address, owner: Owner) -> None:
        """Record an address found in the kernel; raise AddressTakenError if another has it."""
        number = int(address)
        holder = self._taken.get(number)
        if holder is not None and holder != owner:
            raise AddressTakenError(f"{address} belongs to {holder}, claimed by {owner}")
        self._resting.pop(number, None)
        self._taken[number] = owner
        if number in self._pool:
            self._last = max(self._last, number)

    def claim(self, address: Address, owner: Owner) -> None:
        """Give ``owner`` this very address, resting or not.

        Raises AddressNotUsableError outside the pool, AddressTakenError while another has it.
        """
        number = int(address)
        if number not in self._pool:
            raise AddressNotUsableError(
                f"{address} is none of the usable addresses of pool {self._pool.name}"
            )
        if self._taken.get(number, owner) != owner:
            raise AddressTakenError(f"{address} belongs to {self._taken[number]}")
        self._resting.pop(number, None)
        self._taken[number] = owner

    def release(self, address: Address, now_s: float) -> None:
        """Free the address; it rests from now on. Freeing a free one changes nothing."""
        number = int(address)
        if self._taken.pop(number, None) is not None:
            self._resting[number] = now_s

    def _next_free(self, pool: Pool) -> int | None:
        """Return the next address neither taken nor resting, else the one rested longest."""
        taken, resting = self._taken, self._resting
        for number in pool.after(self._last):
            if number not in taken and number not in resting:
                return number
        return next((number for number in resting if number in pool), None)

    def _wake(self, now_s: float) -> None:
        """Forget the rest of those that have rested long enough."""
        rested: list[int] = []
        for number, since_s in self._resting.items():
            if now_s - since_s < self._rest_s:
                break
            rested.append(number)
        for number in rested:
            del self._resting[number]

    def _exhausted(self, pool: Pool) -> str:
        kept = f", {pool.reserved} reserved" if pool.reserved else ""
        if not pool.size:
            return f"pool {pool.name} has no usable address{kept}"
        used = self.in_use_of(pool)
        return f"pool {pool.name}: {used} of {pool.size} usable addresses in use{kept}"
