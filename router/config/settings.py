"""What the route agent is told, frozen after validation. PURE.

Each field says its unit and why its default is what it is; the configuration reference in
docs/operations.md follows this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from bgp.advertisement import Advertisement
from bgp.decision import RELAXED, Selection
from bgp.nlri import Prefix
from bgp.peer import PeerSettings, Receive
from bgp.peer_rules import LOWEST_FREE_PORT
from bgp.policy import AcceptRule, ImportPolicy, cluster_rule
from router.model.fib import Nexthops
from router.model.link import Address
from router.model.place import MAIN, Place
from router.reconcile.drain import DrainSettings
from router.reconcile.node_status import StatusSettings
from router.reconcile.readiness import ReadinessSettings
from router.reconcile.services import Reserved, ServiceSettings

_FIXED: Final = ("node", "place", "nexthops", "speaker_uid", "speaker_gid", "speaker_receive")


class WaitingPeer(NamedTuple):
    """A peer by interface that was not found at the other end of its link yet."""

    peer: PeerSettings
    """As configured; its addresses mean nothing."""
    reason: str

    @property
    def interface(self) -> str:
        """The link."""
        return self.peer.interface or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Everything `podroute router` reads from its file."""

    node: str
    """Name of this node; default: the host name."""
    router_id: IPv4Address
    """BGP identifier; default: the first IPv4 node address."""
    local_asn: int
    node_addresses: tuple[Address, ...]
    """Addresses by which other nodes reach this one; the first of a family is the source of
    host-network traffic to pods."""
    pod_cidrs: tuple[Prefix, ...]
    announce_pod_cidrs: bool
    announce_node_addresses: bool
    """Announced as /32 and /128, each only while it stands on a link of the node."""
    pod_prefixes: tuple[Prefix, ...]
    """Cluster-wide: every node's pod CIDRs lie inside. Accepted down to /28 and /124."""
    node_prefixes: tuple[Prefix, ...]
    """Cluster-wide: every node's addresses lie inside. Accepted as /32 and /128 only."""
    service_prefixes: tuple[Prefix, ...]
    """kube-proxy's: never accepted from a peer."""
    also_accept: tuple[AcceptRule, ...]
    accept_default: bool
    graceful_restart_s: int
    """Restart time told to peers (RFC 4724): longer than replacing the agent takes."""
    deferral_s: int
    """How long routes found at start, or stale ones, wait for a peer's End-of-RIB."""
    mtu: int | None
    """MTU of pod links in bytes; None takes the smallest of the links toward the peers."""
    peers: tuple[PeerSettings, ...]
    speaker_uid: int
    speaker_gid: int
    speaker_receive: Receive = Receive.AUTO
    readiness: ReadinessSettings = field(default_factory=ReadinessSettings)
    status: StatusSettings = field(default_factory=StatusSettings)
    """Which signals are given on the Node, in cluster mode."""
    waiting: tuple[WaitingPeer, ...] = ()
    """Peers by interface of which one end is not known yet; not among `peers`."""
    selection: Selection = RELAXED
    """Which of equal paths are used together."""
    place: Place = MAIN
    """The routing table of learned routes."""
    nexthops: Nexthops = Nexthops.AUTO
    """Whether learned routes go through nexthop objects."""
    drain: DrainSettings = field(default_factory=DrainSettings)
    services: ServiceSettings = field(default_factory=ServiceSettings)
    """Which addresses of Services are announced."""
    extra_prefixes: tuple[Prefix, ...] = ()
    """Announced besides, each while a link of the node is connected to it."""
    advertisements: tuple[Advertisement, ...] = ()
    """Which peer gets what of it all, and how; none gives every peer everything."""
    metrics_listen: tuple[str, int] | None = None
    """Where metrics are served besides the local socket: address and TCP port."""
    page_listen: tuple[str, int] | None = None
    """Where the status page is served; None: nowhere."""
    notes: tuple[str, ...] = ()
    """What of the document waits for something outside, in words; the rest is in force."""

    def fixed_since_start(self, before: AgentSettings) -> list[str]:
        """Return the fields that only a new process can take and that differ from `before`."""
        return [field for field in _FIXED if getattr(self, field) != getattr(before, field)]

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Links of peers by interface, sorted."""
        known = {peer.interface for peer in self.peers if peer.interface}
        return tuple(sorted(known.union(one.interface for one in self.waiting)))

    @property
    def enabled_peers(self) -> tuple[PeerSettings, ...]:
        """The peers that shall have a session."""
        return tuple(peer for peer in self.peers if peer.is_enabled)

    @property
    def asns(self) -> frozenset[int]:
        """Our AS toward any peer."""
        return frozenset((self.local_asn, *(peer.local_asn for peer in self.peers)))

    @property
    def listens_low(self) -> bool:
        """Whether a peer is waited for at a port below 1024."""
        return any(peer.passive and peer.port < LOWEST_FREE_PORT for peer in self.peers)

    @property
    def sessions_wanted(self) -> int:
        """How many sessions there should be, those included that cannot begin yet."""
        waiting = sum(one.peer.is_enabled for one in self.waiting)
        return len(self.enabled_peers) + waiting

    def reserved(self) -> Reserved:
        """Return what no Service may have for an address."""
        hosts = (*self.node_addresses, *(peer.address for peer in self.peers))
        return Reserved(
            own=frozenset((*self.pod_cidrs, *map(Prefix.from_address, hosts))),
            ranges=(*self.pod_prefixes, *self.node_prefixes),
            services=self.service_prefixes,
        )

    @property
    def announced_cidrs(self) -> frozenset[Prefix]:
        """The pod CIDRs that are announced, each once it has its `unreachable` route."""
        return frozenset(self.pod_cidrs) if self.announce_pod_cidrs else frozenset()

    def import_policy(self, services: frozenset[Prefix] = frozenset()) -> ImportPolicy:
        """Return the import guard (design, invariant 11); `services` are addresses of Services.

        Those that no rule takes anyway are left out: a new Service is no reason to judge every
        path anew.
        """
        cluster = (
            *(cluster_rule(prefix) for prefix in self.pod_prefixes),
            *(cluster_rule(prefix, hosts_only=True) for prefix in self.node_prefixes),
        )
        taken = [rule.prefix for rule in (*cluster, *self.also_accept)]
        return ImportPolicy(
            cluster=cluster,
            service_addresses=frozenset(
                host for host in services if any(prefix.covers(host) for prefix in taken)
            ),
            own=(*self.pod_cidrs, *(Prefix.from_address(a) for a in self.node_addresses)),
            services=self.service_prefixes,
            also_accept=self.also_accept,
            accept_default=self.accept_default,
        )
