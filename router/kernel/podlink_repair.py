"""Put back what the host's end of a pod link has lost. SHELL.

A link that is set down loses its routes and neighbors, and nothing brings them back when it is set
up again. What was done in the sandbox is the pod's business: we are not in there any more.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from cni.attachment.identity import MacAddress
from cni.attachment.plan import AddHostRoute, AddNeighbor, LinkOperation, PodLinkPlan
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.podlink_check import host_routes_on, neighbors_on

log = logging.getLogger(__name__)


def restore(host: Channel, plan: PodLinkPlan, index: int) -> tuple[str, ...]:
    """Add the host's routes and neighbors that are missing; return one line each.

    Nothing is done on a link that is down (it lost them for a reason, and is heard of again when it
    comes up) or that is leaving. What the kernel refuses is logged.
    """
    try:
        link = _link_at(host, index)
        if link is None or not link.up or not link.is_pod_link or link.is_condemned:
            return ()
        missing = _missing(host, plan, link)
        failures = {
            failure.index: failure
            for failure in host.batch([wire.pack(operation, index) for operation in missing])
        }
    except KernelError as error:
        log.warning("cannot restore", extra={"link": plan.create.host_name, "error": str(error)})
        return ()
    for number, failure in failures.items():
        refusal = KernelError(failure.errno, missing[number].describe(), failure.detail)
        log.warning("cannot restore", extra={"link": link.name, "error": str(refusal)})
    return tuple(
        operation.describe() for number, operation in enumerate(missing) if number not in failures
    )


def _missing(host: Channel, plan: PodLinkPlan, link: listing.LinkEntry) -> list[LinkOperation]:
    routes = host_routes_on(host, link.index)
    neighbors = neighbors_on(host, link.index)
    mac = _peer_mac(host, link)
    missing: list[LinkOperation] = []
    for operation in plan.host:
        match operation:
            case AddNeighbor(address=address) if address not in neighbors:
                # The pod's real one: it may have been asked for, or changed since.
                missing.append(operation if mac is None else replace(operation, mac=mac))
            case AddHostRoute(destination=destination) if destination not in routes:
                missing.append(operation)
            case _:
                pass
    return missing


def _link_at(host: Channel, index: int) -> listing.LinkEntry | None:
    try:
        listed = host.dump(listing.get_link_at(index), "read a pod link")
    except KernelError:
        return None
    return next(
        (listing.parse_link(payload) for kind, payload in listed if kind == listing.RTM_NEWLINK),
        None,
    )


def _peer_mac(host: Channel, link: listing.LinkEntry) -> MacAddress | None:
    """Return the pod's hardware address, read from here; None if the kernel does not tell."""
    if link.peer_namespace < 0:
        return None
    request = listing.get_link_elsewhere(link.peer_namespace, link.peer)
    try:
        listed = host.dump(request, "read the pod's end")
    except KernelError:
        return None
    return next(
        (
            MacAddress(listing.parse_link(payload).mac)
            for kind, payload in listed
            if kind == listing.RTM_NEWLINK
        ),
        None,
    )
