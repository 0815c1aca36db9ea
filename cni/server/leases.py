"""The leases of podroute-ipam, in memory and as records. No I/O of its own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from cni.attachment.lease import (
    Lease,
    LeaseKey,
    MalformedLeaseError,
    lease_name,
    parse_lease,
    render_lease,
)
from cni.ipam.allocator import AddressTakenError
from cni.server.addressing import Addressing
from cni.server.records import Records
from cni.spec.errors import IoError

log = logging.getLogger(__name__)


class Leases:
    """All leases. An address is taken while its lease is kept."""

    def __init__(self, records: Records, addressing: Addressing) -> None:
        self._records = records
        self._addressing = addressing
        self._by_key: dict[LeaseKey, Lease] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._by_key.values()))

    def get(self, key: LeaseKey) -> Lease | None:
        """Return the lease with this key."""
        return self._by_key.get(key)

    def rebuild(self) -> None:
        """Read the records. One that is malformed, or whose address a pod link has, is dropped."""
        for name, content in self._records.each().items():
            try:
                lease = parse_lease(content)
                self._addressing.take(lease.key, lease.addresses)
            except (MalformedLeaseError, AddressTakenError) as error:
                log.error("lease dropped", extra={"file": name, "error": str(error)})
                with contextlib.suppress(OSError):
                    self._records.drop(name)
                continue
            self._by_key[lease.key] = lease

    def keep(self, lease: Lease) -> None:
        """Record a lease whose addresses are allocated. Raises IoError; then nothing is kept."""
        try:
            self._records.put(lease_name(lease.key), render_lease(lease))
        except OSError as error:
            raise IoError(f"cannot keep the lease: {error}") from error
        self._by_key[lease.key] = lease

    def end(self, lease: Lease) -> None:
        """Drop a lease and free its addresses. Raises IoError; then it stays."""
        try:
            self._records.drop(lease_name(lease.key))
        except OSError as error:
            raise IoError(f"cannot end the lease: {error}") from error
        del self._by_key[lease.key]
        self._addressing.release(lease.addresses)
