"""What podroute shows of the pods of this node. PURE.

The server renders it from memory; without a server the command line renders the same from what the
kernel and /run have (``router.cli.pods``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.label import Label
from cni.attachment.lease import Lease
from cni.attachment.plan import Address
from cni.server.addressing import PoolUse
from cni.server.registry import Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """``restored``: routes and neighbors put back after somebody took them; None if not known.

    ``restore_failures``: how often the kernel refused to; each is tried again. ``orphans``:
    addresses that are in no pod CIDR of the node any more. ``unrouted``: (link, address) of pods
    whose host route is missing. ``swept``: attachments and leases removed since the start because
    their sandbox was gone without a DEL. ``calls``: see ``cni.server.meter``.
    ``lacking``: capabilities that the server needs and has not. ``filter_problem``: why pods cannot
    be held to their addresses on this node; "" if they can. None: not known.
    """

    attachments: tuple[Attachment, ...]
    leases: tuple[Lease, ...]
    labels: Mapping[str, Label]
    orphans: Collection[Address]
    pools: tuple[PoolUse, ...]
    restored: int | None
    restore_failures: int | None
    unrouted: Collection[tuple[str, Address]]
    swept: int | None = None
    calls: Sequence[Mapping[str, Any]] | None = None
    lacking: Sequence[str] | None = None
    filter_problem: str | None = None

    def render(self) -> bytes:
        """Render one JSON object; pods in the order of their addresses."""
        pods = [self._pod(each) for each in self.attachments]
        pods += [self._lease(each) for each in self.leases]
        pods.sort(key=lambda pod: (pod["network"], pod["container_id"], pod["ifname"]))
        body = {
            "pods": pods,
            "pools": [
                {
                    "name": pool.name,
                    "size": pool.size,
                    "in_use": pool.in_use,
                }
                for pool in self.pools
            ],
            "restored": self.restored,
            "restore_failures": self.restore_failures,
            "swept": self.swept,
            "calls": self.calls,
            "lacking": None if self.lacking is None else list(self.lacking),
            "filter_problem": self.filter_problem,
        }
        return json.dumps(body).encode()

    def _pod(self, attachment: Attachment) -> dict[str, Any]:
        label = self.labels.get(attachment.link, Label())
        return {
            **self._common(attachment.key, attachment.addresses),
            "kind": "pod link",
            "no_host_route": [
                str(each)
                for each in attachment.addresses.each()
                if (attachment.link, each) in self.unrouted
            ],
            "namespace": label.namespace or None,
            "pod": label.pod or None,
            "interface": attachment.link,
            "netns": label.netns or None,
            "since": label.since or None,
        }

    def _lease(self, lease: Lease) -> dict[str, Any]:
        return {
            **self._common(lease.key, lease.addresses),
            "kind": "gateway" if lease.key.is_gateway else "lease",
            "no_host_route": [],
            "namespace": None,
            "pod": None,
            "interface": None,
            "netns": None if lease.sandbox is None else lease.sandbox.path,
            "since": lease.since,
        }

    def _common(self, key: AttachmentKey, addresses: Addresses) -> dict[str, Any]:
        return {
            "network": key.network,
            "container_id": key.container_id,
            "ifname": key.ifname,
            "addresses": [str(address) for address in addresses.each()],
            "orphaned": [str(each) for each in addresses.each() if each in self.orphans],
        }


def unrouted(
    attachments: Iterable[Attachment], routes: Mapping[int, Collection[Address]]
) -> frozenset[tuple[str, Address]]:
    """Return (link, address) of what has no host route. ``routes``: link index -> destinations."""
    return frozenset(
        (each.link, address)
        for each in attachments
        for address in each.addresses.each()
        if address not in routes.get(each.index, ())
    )
