"""Which chains of a ruleset drop forwarded packets of pods by policy. PURE: from `nft -j`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

Network = IPv4Network | IPv6Network
Json = Mapping[str, Any]


def dropping(ruleset: Iterable[Json], pods: Iterable[Network]) -> list[str]:
    """Return chains on the forward hook with policy drop that nothing in their table softens.

    A table that accepts everything somewhere, or any of the `pods`' networks, is taken as one that
    somebody has thought about. Rules that accept by mark, state or link do not count.
    """
    items = [*ruleset]
    networks = tuple(pods)
    accepting = {
        (rule["family"], rule["table"])
        for item in items
        if (rule := item.get("rule")) is not None and _accepts(rule["expr"], networks)
    }
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for item in items
        if (chain := item.get("chain")) is not None
        and (chain.get("hook"), chain.get("policy")) == ("forward", "drop")
        and (chain["family"], chain["table"]) not in accepting
    ]


def _accepts(expressions: list[Json], pods: tuple[Network, ...]) -> bool:
    if not any("accept" in each for each in expressions):
        return False
    matches = [each["match"] for each in expressions if "match" in each]
    return not matches or any(_is_about(match["right"], pods) for match in matches)


def _is_about(right: object, pods: tuple[Network, ...]) -> bool:
    """Tell whether the right side of a match has a network of pods, alone or in a set."""
    if isinstance(right, Mapping):
        if "prefix" in right:
            network = ip_network(
                f"{right['prefix']['addr']}/{right['prefix']['len']}", strict=False
            )
            return any(network.version == pod.version and network.overlaps(pod) for pod in pods)
        return any(_is_about(each, pods) for each in right.get("set", ()))
    return False
