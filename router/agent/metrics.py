"""What the agent knows, as numbers for Prometheus. PURE: from the views of `view` and the CNI
server's overview.

The number of series is bounded: labels are peers, families and words of ours, never prefixes,
addresses or pods. Each HELP says what the number is; docs/operations.md says what to do about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from router.agent.exposition import Kind, Page, Value, labels
from router.reconcile.drain import Phase
from router.reconcile.duplicates import Phase as Claimed

Json = Mapping[str, Any]

STATES: Final = (
    *("idle", "connect", "active", "open_sent", "established"),
    *("waiting", "shutdown", "disabled", "held"),
)
_DOWN_BY_WISH: Final = "shutdown"


def render(status: Json, peers: Json, cni: Json | None) -> str:
    """Return the page; `cni` is None when the CNI server did not answer."""
    page = Page()
    _agent(page, status)
    _routes(page, status)
    _pod_cidrs(page, status["pod_cidr_claims"])
    _drain(page, peers["drain"])
    _api(page, status["api"])
    _sessions(page, peers["peers"])
    _families(page, peers["peers"])
    _bfd(page, peers["peers"])
    _cni(page, cni)
    return str(page)


def _agent(page: Page, status: Json) -> None:
    ready = status["readiness"]["state"] == "ready"
    page.gauge(
        "podroute_ready", "Whether pods of this node can be reached, as /readyz says.", ready
    )
    page.gauge(
        "podroute_complaints",
        "Lines that podroute status gives as reasons for not being ok.",
        len(status["reasons"]),
    )
    page.family(
        Kind.GAUGE,
        "podroute_part_failing",
        "1 for each part of the work that does not succeed now; absent while all succeed.",
        [(labels(part=part), 1) for part in status["failing"]],
    )
    page.gauge(
        "podroute_speaker_up", "Whether the BGP speaker runs.", bool(status["speaker"]["pid"])
    )
    page.counter(
        "podroute_speaker_restarts_total",
        "Times the BGP speaker was started again since the agent started.",
        status["speaker"]["restarts"],
    )
    page.histograms(
        "podroute_step_duration_seconds",
        "Duration of one round of the agent's loop.",
        [({}, status["steps"])],
    )


def _routes(page: Page, status: Json) -> None:
    routes = status["routes"]
    page.gauge(
        "podroute_routes_learned", "Prefixes with at least one accepted path.", routes["learned"]
    )
    page.gauge(
        "podroute_routes_installed", "Learned prefixes in the kernel's table.", routes["installed"]
    )
    page.gauge(
        "podroute_routes_refused", "Prefixes that the kernel did not take.", routes["refused"]
    )
    page.counter(
        "podroute_route_repairs_total",
        "Routes written or removed because somebody else had changed them.",
        routes["repairs"],
    )
    page.gauge(
        "podroute_prefixes_announced",
        "Own prefixes that the speaker is to announce.",
        len(status["announcing"]),
    )
    page.gauge(
        "podroute_end_of_rib_awaited",
        "Peers whose End-of-RIB holds back the removal of routes found at the start.",
        len(status["waiting_for_end_of_rib"]),
    )


def _pod_cidrs(page: Page, claims: list[Json]) -> None:
    counted = Counter(claim["state"] for claim in claims)
    page.family(
        Kind.GAUGE,
        "podroute_pod_cidrs",
        "Pod CIDRs that are to be announced, by whether somebody else has them, too.",
        [(labels(state=phase.value), counted[phase.value]) for phase in Claimed],
    )


def _drain(page: Page, drain: Json) -> None:
    page.family(
        Kind.GAUGE,
        "podroute_drain_phase",
        "1 for the phase in which the drain of this node is.",
        [(labels(phase=phase.value), phase.value == drain["phase"]) for phase in Phase],
    )


def _api(page: Page, api: Json | None) -> None:
    if api is None:
        return
    page.gauge(
        "podroute_api_connected",
        "Whether all watches of the API server are open.",
        api["connected"],
    )
    page.gauge(
        "podroute_api_status_failing",
        "Whether the Node does not say what it shall.",
        bool(api["status_problem"]),
    )
    page.counter("podroute_api_requests_total", "Requests sent by watches.", api["requests"])
    page.counter("podroute_api_failures_total", "Times a watch failed.", api["failures"])


def _sessions(page: Page, peers: list[Json]) -> None:
    counted = Counter(peer["state"] for peer in peers)
    page.family(
        Kind.GAUGE,
        "podroute_peers",
        "Configured peers by the state of their session, as podroute peers shows it.",
        [(labels(state=state), counted[state]) for state in STATES],
    )
    named = [(labels(peer=peer["name"]), peer) for peer in peers]

    def each(kind: Kind, name: str, text: str, values: list[Value]) -> None:
        where = [label for label, _ in named]
        page.family(kind, name, text, list(zip(where, values, strict=True)))

    each(
        Kind.GAUGE,
        "podroute_peer_wanted",
        "Whether the peer shall have a session; 0 for one that is shut down.",
        [peer["state"] != _DOWN_BY_WISH for peer in peers],
    )
    each(
        Kind.GAUGE,
        "podroute_peer_established",
        "Whether the session is established.",
        [peer["state"] == "established" for peer in peers],
    )
    each(
        Kind.GAUGE,
        "podroute_peer_state_age_seconds",
        "For how long the session has been in its state.",
        [peer["for_s"] for peer in peers],
    )
    each(
        Kind.COUNTER,
        "podroute_peer_flaps_total",
        "Established sessions lost since the agent started.",
        [peer["times_down"] for peer in peers],
    )
    page.family(
        Kind.GAUGE,
        "podroute_peer_last_down_age_seconds",
        "How long ago the session went down last; absent if it never did.",
        [(w, p["last_down_for_s"]) for w, p in named if p["last_down_for_s"] is not None],
    )


_COUNTS: Final = {
    "received": "Prefixes the peer announces.",
    "accepted": "Prefixes of the peer that import guard and filter let through.",
    "rejected": "Prefixes of the peer that import guard or filter reject.",
    "stale": "Accepted prefixes kept over a restart and not learned again yet.",
    "announced": "Own prefixes that the peer has from us.",
    "limit": "Prefixes that the peer may announce (max_prefixes).",
}


def _families(page: Page, peers: list[Json]) -> None:
    found = [
        (labels(peer=peer["name"], family=family.partition(" ")[0]), peer, counts)
        for peer in peers
        for family, counts in peer["families"].items()
    ]
    for key, text in _COUNTS.items():
        samples = [(where, counts[key]) for where, _, counts in found]
        page.family(Kind.GAUGE, f"podroute_peer_routes_{key}", text, samples)
    page.family(
        Kind.GAUGE,
        "podroute_peer_end_of_rib_awaited",
        "Whether the session is established and the peer has not sent its End-of-RIB.",
        [
            (
                where,
                peer["state"] == "established"
                and counts["negotiated"]
                and not counts["end_of_rib_received"],
            )
            for where, peer, counts in found
        ],
    )


def _bfd(page: Page, peers: list[Json]) -> None:
    watched = [(labels(peer=p["name"]), p["bfd"]) for p in peers if p["bfd"] is not None]
    page.family(
        Kind.GAUGE,
        "podroute_peer_bfd_up",
        "Whether the BFD session with the peer is up; peers with bfd only.",
        [(where, bfd["state"] == "up") for where, bfd in watched],
    )
    page.family(
        Kind.GAUGE,
        "podroute_peer_bfd_trusted",
        "Whether paths of the peer are used, as far as BFD is concerned.",
        [(where, bfd["trusted"]) for where, bfd in watched],
    )
    page.family(
        Kind.COUNTER,
        "podroute_peer_bfd_flaps_total",
        "Times the BFD session went down, since the BFD daemon started.",
        [(where, bfd["times_down"]) for where, bfd in watched],
    )


def _cni(page: Page, cni: Json | None) -> None:
    page.gauge("podroute_cni_up", "Whether the CNI server answers.", cni is not None)
    if cni is None:
        return
    _ipam(page, cni["pools"])
    pods = cni["pods"]
    page.gauge("podroute_pods", "Pod links and leases of this node.", len(pods))
    page.gauge(
        "podroute_pods_orphaned",
        "Of these, with an address in no pod CIDR of the node.",
        sum(bool(pod["orphaned"]) for pod in pods),
    )
    page.gauge(
        "podroute_pods_unrouted",
        "Of these, with an address without a host route.",
        sum(bool(pod["no_host_route"]) for pod in pods),
    )
    for key, name, text in (
        ("restored", "restored", "Host routes and neighbors put back after somebody took them."),
        ("restore_failures", "restore_failures", "Times the kernel refused to put one back."),
        ("swept", "swept", "Attachments and leases removed because a DEL was lost."),
    ):
        # A server of the release before says nothing of some.
        if (value := cni.get(key)) is not None:
            page.counter(f"podroute_cni_{name}_total", text, value)
    page.histograms(
        "podroute_cni_call_duration_seconds",
        "CNI calls, from the request's arrival to its answer.",
        [
            ({key: call[key] for key in ("plugin", "verb", "result")}, call)
            for call in cni.get("calls") or ()
        ],
    )


def _ipam(page: Page, pools: list[Json]) -> None:
    used: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for pool in pools:
        family = "ipv6" if ":" in pool["name"] else "ipv4"
        used[family] += pool["in_use"]
        size[family] += pool["size"]
    page.family(
        Kind.GAUGE,
        "podroute_ipam_addresses_used",
        "Addresses of the node's pod CIDRs in use.",
        [(labels(family=family), used[family]) for family in sorted(size)],
    )
    page.family(
        Kind.GAUGE,
        "podroute_ipam_addresses_free",
        "Addresses of the node's pod CIDRs that can be given to pods.",
        [(labels(family=family), size[family] - used[family]) for family in sorted(size)],
    )
