"""Rows 13, 15 and 18: what a node is told changes, or another is told the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

from containerlab.demo.fabric import wait_for
from containerlab.failures.kernel import PODS, ours
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import Scene
from containerlab.measure.check import exactly

DUPLICATE_S = 1.5
WITHOUT_S = 0.5
NEW_NODE = ("10.255.1.101", "fd00:255:1::101")
OLD_UPLINK, NEW_UPLINK = ("10.0.1.2", "10.0.1.3"), ("10.0.9.2", "10.0.9.3")
"""The ToR's address and node1's, on node1's link to tor1."""


# --- 13: two nodes with the same pod CIDR --------------------------------------------------------


def _duplicate_cidr(scene: Scene) -> Outcome:
    """Give node2 node1's pod CIDRs as well, then take them away again."""
    one, two, _ = scene.fabric.hosts
    before = ours(one.node)
    mine = list(map(str, one.pod_cidrs))
    also = [*scene.config(two)["pod_cidrs"], *mine]
    wrong: list[str] = []

    def breaking() -> None:
        scene.write_config(two, pod_cidrs=also)
        wait_for(lambda: _unannounced(scene, mine), deadline_s=15, what="node2's duplicates")
        time.sleep(DUPLICATE_S)
        if (during := ours(one.node)) != before:
            wrong.append(f"node1's routes: gone {before - during}, new {during - before}")
        scene.write_config(two, pod_cidrs=None)
        wait_for(
            lambda: "" if _unannounced(scene, mine) else "still there",
            deadline_s=15,
            what="node2's duplicates gone",
        )

    outcome, _ = scene.under_traffic(breaking, may_not_send=True)
    return Outcome(
        lost=outcome.lost,
        sent=outcome.sent,
        note="the ToRs send part of the flows to the wrong node as long as it lasts: without an API"
        " no agent knows whose they are; in a cluster the younger node is silent (ADR 0171;"
        " `./dev bench kubernetes` counts the packets)",
        faults=tuple(wrong),
    )


def _unannounced(scene: Scene, cidrs: list[str]) -> str:
    """Return which of node1's CIDRs a ToR has no path to by node2."""
    two = scene.fabric.hosts[1]
    missing = []
    for tor in scene.fabric.tors:
        for text in cidrs:
            network = ip_network(text)
            table = tor.show(f"bgp ipv{network.version} unicast {network}")
            strings = [path["aspath"]["string"] for path in table.get("paths", [])]
            if str(two.asn) not in strings:
                missing.append(f"{tor.node.name} {network}")
    return ", ".join(missing)


# --- 15: one peer's settings ---------------------------------------------------------------------


def _change_one_peer(scene: Scene) -> Outcome:
    """Change one peer's hold time; the other sessions must not notice."""
    return _change_peers(scene, 1)


def _change_every_peer(scene: Scene) -> Outcome:
    return _change_peers(scene, 4)


def _change_peers(scene: Scene, number: int) -> Outcome:
    host = scene.fabric.hosts[0]
    peers = [dict(peer) for peer in host.config["peers"]]
    for peer in peers[:number]:
        peer["hold_time_s"] = 30
    changed = [peer["name"] for peer in peers[:number]]
    before = sessions_of(scene)

    def breaking() -> None:
        scene.write_config(host, peers=peers)
        wait_for(
            lambda: "" if are_anew(scene, changed, before) else str(sessions_of(scene)),
            deadline_s=20,
            what=f"{', '.join(changed)} anew",
        )

    outcome, _ = scene.under_traffic(breaking, may_not_send=number > 1)
    after = sessions_of(scene)
    others = [n for n in before if n not in changed and before[n] != after.get(n)]
    scene.write_config(host, peers=None)
    return replace(outcome, faults=(*outcome.faults, *(f"{name} was disturbed" for name in others)))


def sessions_of(scene: Scene) -> dict[str, tuple[str, str]]:
    """Return state and beginning of each of node1's sessions, in the order of its configuration."""
    peers = scene.ask(scene.fabric.hosts[0], "peers")["peers"]
    return {peer["name"]: (peer["state"], peer["since"]) for peer in peers}


def are_anew(scene: Scene, names: Sequence[str], before: dict[str, tuple[str, str]]) -> bool:
    """Whether these sessions are established, and not as they were *before*."""
    now = sessions_of(scene)
    return all(now[name][0] == "established" and now[name] != before[name] for name in names)


# --- 18: the node's addresses --------------------------------------------------------------------


def _change_addresses(scene: Scene) -> Outcome:
    """Move node1 to other addresses, new before old: its own on lo, and those of one link."""
    return _move(scene, old_first=False)


def _change_addresses_abruptly(scene: Scene) -> Outcome:
    return _move(scene, old_first=True)


def _move(scene: Scene, *, old_first: bool) -> Outcome:
    host = scene.fabric.hosts[0]
    old = (host.address(4), host.address(6))
    peers = [dict(peer) for peer in host.config["peers"]]
    peers[0]["address"] = NEW_UPLINK[0]
    hops: set[str] = set()
    took_s: list[float] = []

    def breaking() -> float:
        began = time.monotonic()
        if old_first:
            _addresses(scene, "delete", old, OLD_UPLINK)
            time.sleep(WITHOUT_S)
        _addresses(scene, "add", NEW_NODE, NEW_UPLINK)
        _neighbor(scene, add=True)
        scene.write_config(host, node_addresses=list(NEW_NODE), peers=peers)
        wait_for(lambda: _not_moved(scene), deadline_s=30, what="the ToRs follow")
        moved_s = time.monotonic() - began
        wait_for(lambda: _not_preferred(scene), deadline_s=30, what="routes to pods follow")
        took_s.append(time.monotonic() - began)
        if not old_first:
            _addresses(scene, "delete", old, OLD_UPLINK)
        hops.update(hop for route in ours(host.node) for hop in route.split() if "%eth1" in hop)
        return moved_s

    outcome, _ = scene.under_traffic(breaking, may_not_send=True)
    _addresses(scene, "add", old, OLD_UPLINK)
    scene.write_config(host, node_addresses=None, peers=None)
    scene.wait_whole()
    _neighbor(scene, add=False)
    _addresses(scene, "delete", NEW_NODE, NEW_UPLINK)
    moved = f"{NEW_UPLINK[0]}%eth1" in hops and f"{OLD_UPLINK[0]}%eth1" not in hops
    wrong = () if moved else (f"next hops on eth1: {sorted(hops)}",)
    note = f"routes to pods prefer the new address after {took_s[0]:.1f} s"
    return replace(outcome, note=note, faults=(*outcome.faults, *wrong))


def _addresses(scene: Scene, verb: str, own: Sequence[str], link: Sequence[str]) -> None:
    """Add or delete node1's own addresses, and both ends' on its link to tor1."""
    node, tor = scene.fabric.hosts[0].node, scene.fabric.tors[0].node
    for address in own:
        nodad = ["nodad"] if ":" in address and verb == "add" else []
        length = "128" if ":" in address else "32"
        node.run(["ip", "address", verb, f"{address}/{length}", "dev", "lo", *nodad])
    for place, address in zip((tor, node), link, strict=True):
        place.run(["ip", "address", verb, f"{address}/31", "dev", "eth1"])


def _neighbor(scene: Scene, *, add: bool) -> None:
    """Let tor1 expect node1 at its new address."""
    lines = ["configure terminal", "router bgp 65101"]
    if add:
        lines += [f"neighbor {NEW_UPLINK[1]} remote-as 65201"]
        lines += [f"neighbor {NEW_UPLINK[1]} peer-group NODES4"]
    else:
        lines += [f"no neighbor {NEW_UPLINK[1]}"]
    scene.fabric.tors[0].node.run(["vtysh", *(w for line in lines for w in ("-c", line))])


def _not_preferred(scene: Scene) -> str:
    """Return which of node1's new addresses its routes to pods do not prefer as source yet.

    An address that leaves takes the IPv4 routes that prefer it along.
    """
    for flag, text in zip(("-4", "-6"), NEW_NODE, strict=True):
        shown = scene.fabric.hosts[0].node.run(["ip", flag, "route", "show", "proto", PODS]).stdout
        if f" src {text} " not in shown:
            return f"{text}: {shown}"
    return ""


def _not_moved(scene: Scene) -> str:
    """Return what of node1's new addresses the ToRs and node1 do not use yet."""
    host = scene.fabric.hosts[0]
    for tor in scene.fabric.tors:
        for text in NEW_NODE:
            if not tor.kernel_has(ip_network(text)):
                return f"{tor.node.name} has no {text}"
        for family, text in zip((4, 6), (host.address(4), host.address(6)), strict=True):
            if tor.kernel_has(ip_network(text)):
                return f"{tor.node.name} still has {text} (IPv{family})"
    routes = scene.fabric.tors[0].kernel_routes(host.pod_cidrs[0])
    gateways = {hop.get("gateway") for r in routes for hop in r.get("nexthops", [r])}
    if gateways != {NEW_UPLINK[1]}:
        return f"tor1 sends pod traffic to {gateways}"
    states = sessions_of(scene)
    return "" if {state for state, _ in states.values()} == {"established"} else str(states)


SCENARIOS = (
    Scenario(
        row="13",
        name="duplicate_cidr",
        broken="another node announces the same pod CIDRs, then no longer",
        rule="the first node's kernel keeps its routes; all is as before when the other stops",
        run=_duplicate_cidr,
    ),
    Scenario(
        row="15",
        name="one_peer_changed",
        broken="one peer's hold time is changed in the configuration",
        rule="the other sessions keep their uptime; no packet lost",
        timed="until that session is up anew",
        run=_change_one_peer,
        lost=exactly(0),
        control=_change_every_peer,
        controlled="all peers' hold times at once",
    ),
    Scenario(
        row="18",
        name="node_addresses_changed",
        broken="the node's own addresses and those of one uplink are replaced, new before old",
        rule="the ToRs have the new ones only, the next hop has moved; no packet lost",
        timed="until the ToRs use the new ones",
        run=_change_addresses,
        lost=exactly(0),
        control=_change_addresses_abruptly,
        controlled="old before new",
    ),
)
