"""What a node's kernel has: routes as words that can be compared, repairs as the agent counts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from containerlab.demo.fabric import Host
from containerlab.netlab.node import Node

PODS, LEARNED, OWN = "73", "74", "75"
"""Route protocols of the CNI server and of the agent (docs/architecture.md)."""


def routes_of(
    node: Node, *, protocol: str | None = None, leaving_out: Sequence[str] = ()
) -> frozenset[str]:
    """Return every route of the main tables with its gateways; group ids do not matter."""
    shown: set[str] = set()
    only = ["proto", protocol] if protocol else []
    for family in ("-4", "-6"):
        text = node.run(["ip", "-j", family, "route", "show", *only]).stdout
        for route in json.loads(text or "[]"):
            if route["dst"] in leaving_out:
                continue
            hops = sorted(
                f"{hop.get('gateway', '')}%{hop.get('dev', '')}"
                for hop in route.get("nexthops", [route])
            )
            kind = f"{route.get('type', 'unicast')} {route['dst']} {route.get('metric', 0)}"
            shown.add(f"{family} {kind} {route.get('protocol', '')} {' '.join(hops)}")
    return frozenset(shown)


def ours(node: Node) -> frozenset[str]:
    """Return the agent's routes."""
    return routes_of(node, protocol=LEARNED) | routes_of(node, protocol=OWN)


def has(node: Node, cidr: str) -> bool:
    """Whether there is a route to exactly this prefix."""
    family = "-6" if ":" in cidr else "-4"
    return bool(node.run(["ip", family, "route", "show", "exact", cidr]).stdout.strip())


def repairs(host: Host) -> int:
    """Return how many repairs the agent has counted."""
    return int(json.loads(host.podroute("status", "-o", "json"))["routes"]["repairs"])
