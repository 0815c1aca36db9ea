"""The overview of a node whose server is away: read, never written. SHELL."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from cni.attachment.label import parse_label
from cni.attachment.lease import Lease, MalformedLeaseError, parse_lease
from cni.ipam.allocator import AddressTakenError
from cni.server.addressing import Addressing
from cni.server.app import ServerSettings
from cni.server.dataplane import Dataplane
from cni.server.facts import FactsFile
from cni.server.overview import Overview, unrouted
from cni.server.records import read_records
from cni.server.registry import Attachment, classify


def read_overview(dataplane: Dataplane, run_dir: Path) -> Overview:
    """Return what a server would find at its start."""
    settings = ServerSettings.under(run_dir)
    facts_file = FactsFile(settings.node_facts_path)
    facts_file.refresh()
    addressing = Addressing(time.monotonic)
    if facts_file.facts is not None:
        addressing.follow(facts_file.facts)
    observed = dataplane.observe()
    found = map(classify, observed)
    attachments = tuple(each for each in found if isinstance(each, Attachment))
    leases: list[Lease] = []
    for content in read_records(settings.leases_dir).values():
        with contextlib.suppress(MalformedLeaseError):
            leases.append(parse_lease(content))
    holders: list[Attachment | Lease] = [*attachments, *leases]
    for each in holders:
        with contextlib.suppress(AddressTakenError):
            addressing.take(each.key, each.addresses)
    labels = read_records(settings.labels_dir)
    return Overview(
        attachments=attachments,
        leases=tuple(leases),
        labels={name: parse_label(content) for name, content in labels.items()},
        orphans=frozenset(address for address, _ in addressing.orphans()),
        pools=addressing.pools(),
        unrouted=unrouted(attachments, {link.index: link.routes for link in observed}),
        restored=None,
        restore_failures=None,
    )
