"""Put back what the hosts' ends of pod links have lost. SHELL.

A link that is set down loses its routes and neighbors, and nothing brings them back when it is set
up again; a node address that leaves takes the IPv4 routes that prefer it as source. What was done
in the sandbox is the pod's business: we are not in there any more.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cni.attachment.identity import MacAddress
from cni.attachment.plan import AddHostRoute, AddNeighbor, Address, LinkOperation, PodLinkPlan
from cni.server.dataplane import Restoration
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.refusal import Failure


def restore(host: Channel, plans: Mapping[int, PodLinkPlan]) -> Restoration:
    """Add the host's routes and neighbors that are missing; ``plans`` by the links' indexes.

    Nothing is done on a link that is down (it lost them for a reason, and is heard of again when it
    comes up) or that is leaving. A route whose preferred source the kernel refuses is added without
    it, and gets it when it is accepted. Any number of links costs one look.
    """
    try:
        links, seen = _look(host, plans)
        work = _Work(host)
        for index, plan in plans.items():
            link = links.get(index)
            if link is not None and link.up and link.is_pod_link and not link.is_condemned:
                work.compare(plan, link, seen)
        work.add()
        work.correct()
    except KernelError as error:
        return Restoration(refused=dict.fromkeys(plans, str(error)))
    return Restoration(
        restored=tuple(work.restored),
        refused=work.refused,
        sourceless=frozenset(work.sourceless),
    )


def host_routes(host: Channel) -> dict[int, dict[Address, Address | None]]:
    """Return link index -> destination -> preferred source of our host routes; raises KernelError.

    Only full-length ones.
    """
    found: dict[int, dict[Address, Address | None]] = {}
    for version in (4, 6):
        for _, payload in host.dump(listing.list_pod_routes(version), "list pod routes"):
            index, length, destination, _ = listing.parse_route(payload)
            if destination is not None and length == destination.max_prefixlen:
                source = listing.parse_preferred_source(payload)
                found.setdefault(index, {})[destination] = source
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """By link index: our routes with their preferred source, and the permanent neighbors."""

    routes: Mapping[int, Mapping[Address, Address | None]]
    neighbors: Mapping[int, set[Address]]


def _look(
    host: Channel, plans: Mapping[int, PodLinkPlan]
) -> tuple[dict[int, listing.LinkEntry], _Seen]:
    # The links first: reading them waits for whoever removes an address at this moment, since the
    # routes leave after its notification, but under the same lock.
    only = next(iter(plans)) if len(plans) == 1 else None
    links = _links(host, only)
    neighbors: dict[int, set[Address]] = {}
    for _, payload in host.dump(listing.list_neighbors(only), "list neighbors") if links else ():
        index, permanent, address, _ = listing.parse_neighbor(payload)
        if permanent:
            neighbors.setdefault(index, set()).add(address)
    return links, _Seen(routes=host_routes(host) if links else {}, neighbors=neighbors)


def _links(host: Channel, only: int | None) -> dict[int, listing.LinkEntry]:
    request = listing.list_veths() if only is None else listing.get_link_at(only)
    try:
        listed = host.dump(request, "read pod links")
    except KernelError as error:
        if error.errno == errno.ENODEV:
            return {}
        raise
    links = (listing.parse_link(each) for kind, each in listed if kind == listing.RTM_NEWLINK)
    return {link.index: link for link in links}


@dataclass(slots=True)
class _Work:
    """What is to be done, and what has become of it."""

    host: Channel
    missing: list[tuple[int, LinkOperation]] = field(default_factory=list)
    sources: list[tuple[int, AddHostRoute]] = field(default_factory=list)
    restored: list[tuple[int, str]] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    sourceless: set[int] = field(default_factory=set)

    def compare(self, plan: PodLinkPlan, link: listing.LinkEntry, seen: _Seen) -> None:
        """Note what the link lacks of its plan."""
        routes = seen.routes.get(link.index, {})
        neighbors = seen.neighbors.get(link.index, ())
        mac: MacAddress | None = None
        for operation in plan.host:
            match operation:
                case AddNeighbor(address=address) if address not in neighbors:
                    # The pod's real one: it may have been asked for, or changed since.
                    mac = mac or _peer_mac(self.host, link) or operation.mac
                    self.missing.append((link.index, replace(operation, mac=mac)))
                case AddHostRoute(destination=destination, preferred_source=source):
                    if destination not in routes:
                        self.missing.append((link.index, operation))
                    elif source is not None and routes[destination] != source:
                        self.sources.append((link.index, operation))
                case _:
                    pass

    def add(self) -> None:
        """Add what is missing; routes without their preferred source, if need be."""
        failures = self._send(self.missing)
        without_source: list[tuple[int, LinkOperation]] = []
        for number, (index, operation) in enumerate(self.missing):
            failure = failures.get(number)
            if failure is None:
                self.restored.append((index, operation.describe()))
            elif failure.errno == errno.EINVAL and isinstance(operation, AddHostRoute):
                without_source.append((index, replace(operation, preferred_source=None)))
            else:
                self._refuse(index, operation, failure)
        failures = self._send(without_source)
        for number, (index, operation) in enumerate(without_source):
            if (failure := failures.get(number)) is not None:
                self._refuse(index, operation, failure)
            else:
                self.restored.append((index, operation.describe()))
                self.sourceless.add(index)

    def correct(self) -> None:
        """Give routes of ours their preferred source, where no foreign route is before them."""
        ours = [each for each in self.sources if self._is_found(*each)]
        requests = [wire.replace_host_route(operation, index) for index, operation in ours]
        failed = {failure.index for failure in self.host.batch(requests)}
        done = {each for number, each in enumerate(ours) if number not in failed}
        self.sourceless.update(
            index for index, operation in self.sources if (index, operation) not in done
        )

    def _is_found(self, index: int, operation: AddHostRoute) -> bool:
        """Return whether a lookup finds our route: NLM_F_REPLACE takes the first, whose ever."""
        request = listing.get_route_to(operation.destination, entry=True)
        try:
            listed = self.host.read((request,), "find a host route")
        except KernelError:
            return False
        return any(
            kind == listing.RTM_NEWROUTE and listing.is_host_route(payload, index)
            for kind, payload in listed
        )

    def _send(self, wanted: Sequence[tuple[int, LinkOperation]]) -> dict[int, Failure]:
        requests = [wire.pack(operation, index) for index, operation in wanted]
        return {failure.index: failure for failure in self.host.batch(requests)}

    def _refuse(self, index: int, operation: LinkOperation, failure: Failure) -> None:
        self.refused[index] = str(KernelError(failure.errno, operation.describe(), failure.detail))


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
