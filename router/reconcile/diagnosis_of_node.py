"""What is wrong with the node itself: its sysctls, firewall, addresses and pools. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from router.reconcile.finding import Finding, Seen
from router.reconcile.sysctl import FORWARDING_IPV4, FORWARDING_IPV6

Json = Mapping[str, Any]
_STRICT: Final = 1


def diagnose_node(seen: Seen) -> Iterator[Finding]:
    """Give what is wrong with the node itself."""
    facts = seen.agent or {}
    yield from _links_and_addresses(facts)
    for key, version in ((FORWARDING_IPV4, 4), (FORWARDING_IPV6, 6)):
        if seen.sysctls.get(key) == "0" and version in facts.get("families", (4, 6)):
            yield Finding(
                "forwarding-off",
                f"this node does not forward IPv{version} for its pods",
                f"{key} = 0",
                f"the agent sets it: see its log for what refuses; or sysctl -w {key}=1",
            )
    everywhere = _number(seen.sysctls.get("net/ipv4/conf/all/rp_filter"))
    for link in facts.get("uplinks", ()):
        key = f"net/ipv4/conf/{link}/rp_filter"
        if max(everywhere, _number(seen.sysctls.get(key))) == _STRICT:
            yield Finding(
                "rp-filter-strict",
                f"{link} drops what comes back over another ToR than it went out by",
                f"the larger of net/ipv4/conf/all/rp_filter and {key} is 1",
                f"sysctl -w {key}=2, and find who sets it",
            )
    for chain in seen.dropping:
        yield Finding(
            "forward-drop",
            "a firewall drops packets from and to pods that no rule of its accepts",
            f"{chain} has policy drop, and no rule that accepts the pod CIDRs",
            "accept the cluster's pod CIDRs there, both ways, or set the policy to accept",
        )
    for pool, size in seen.full_pools:
        yield Finding(
            "pool-exhausted",
            "no new pod gets an address",
            f"all {size} usable addresses of {pool} are in use",
            "`podroute pods` shows by what: delete pods, or give the node another pod CIDR",
        )
    if seen.before_ours:
        yield Finding(
            "conflist-shadowed",
            "runtimes use another network plugin than podroute",
            f"{seen.before_ours[0]} comes before podroute's configuration by name",
            f"remove or rename {seen.before_ours[0]}",
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _link_down(link: Json, peers: Sequence[Json]) -> Finding:
    name = link["name"]
    behind = ", ".join(p["name"] for p in peers if p.get("link") == name) or "peers"
    if not link["up"]:
        evidence, fix = f"{name} is set down", f"ip link set {name} up, and find who set it down"
    else:
        evidence = f"{name} is set up and has no carrier"
        fix = "cable, transceiver, the ToR's port (ethtool shows the link partner)"
    return Finding("link-down", f"the link {name} to {behind} is down", evidence, fix)


def _links_and_addresses(facts: Json) -> Iterator[Finding]:
    for link in facts.get("links", ()):
        if not (link["up"] and link["carrier"]):
            yield _link_down(link, facts["peers"])
    for prefix, why in facts.get("waiting", ()):
        if prefix.partition("/")[0] in facts["node_addresses"]:
            address = prefix.partition("/")[0]
            yield Finding(
                "node-address-missing",
                f"the node's own address {address} is not on it: nothing announces it, and routes"
                " that prefer it as source are refused",
                why,
                f"put {address} on lo, or correct node_addresses (in Kubernetes the Node's"
                " InternalIP)",
            )
