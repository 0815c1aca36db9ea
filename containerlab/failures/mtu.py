"""Row 20: jumbo frames inside, 1500 bytes at the edge; large transfers find the path's MTU."""

from __future__ import annotations

import json
from ipaddress import ip_address

from containerlab.demo.fabric import FAMILIES, wait_for
from containerlab.demo.pod import Pod
from containerlab.failures.kernel import has
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import Scene
from containerlab.measure.bulk import echo_server, transfer
from containerlab.netlab.node import Node

INSIDE, EDGE = 9000, 1500
SIZE = 1 << 20
TIMEOUT_S = 8.0
BLOCKED_S = 2.0
FAR = {4: "198.51.100.20", 6: "2001:db8:51::20"}
"""A host behind the client's router, on a jumbo link of its own: only the middle is narrow."""
_NAME = "far"
_BLOCK = """
table inet nopmtu {
    chain forward {
        type filter hook forward priority 0;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
    chain out {
        type filter hook output priority 0;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}
"""


def _large_transfers(scene: Scene) -> Outcome:
    return _with_jumbo(scene, blocked=False)


def _without_icmp(scene: Scene) -> Outcome:
    return _with_jumbo(scene, blocked=True)


def _with_jumbo(scene: Scene, *, blocked: bool) -> Outcome:
    """Widen all links of node1, make a new pod, and transfer between it and a host far away."""
    host = scene.fabric.hosts[0]
    far = _far(scene.fabric.client)
    ends = [end for link in host.node.interfaces.values() for end in (link, link.other)]
    routers = (scene.fabric.client, *(tor.node for tor in scene.fabric.tors))
    pod = None
    try:
        for end in ends:
            end.node.run(["ip", "link", "set", end.name, "mtu", str(INSIDE)])
        wait_for(lambda: _not_told(host.node), deadline_s=40, what="node.json with the larger MTU")
        wait_for(lambda: _not_heard(host.node), deadline_s=20, what="routes to the far host")
        pod = host.runtime.make_pod("jumbo")
        if blocked:
            for node in routers:
                node.run(["nft", "-f", "-"], input=_BLOCK)
        return _transfers(pod, far, blocked=blocked)
    finally:
        if blocked:
            for node in routers:
                node.run(["nft", "delete", "table", "inet", "nopmtu"], check=False)
        if pod is not None:
            host.runtime.remove_pod(pod)
        for end in ends:
            end.node.run(["ip", "link", "set", end.name, "mtu", str(EDGE)])
        _remove_far(scene.fabric.client)


def _transfers(pod: Pod, far: Pod, *, blocked: bool) -> Outcome:
    timeout_s = BLOCKED_S if blocked else TIMEOUT_S
    done: list[str] = []
    short: list[str] = []
    with echo_server(far), echo_server(pod):
        for family in FAMILIES:
            for asker, target in ((pod, far), (far, pod)):
                address = target.address(family)
                came, segment = transfer(asker, address, size=SIZE, timeout_s=timeout_s)
                what = f"{asker.name} to {target.name}, IPv{family}: {came} of {SIZE} bytes"
                (done if came == SIZE else short).append(f"{what}, segments of {segment}")
                if came == SIZE and segment >= EDGE:
                    short.append(f"{what}: segments of {segment} cannot have passed")
    if blocked:
        faults = tuple(f"not stuck: {what}" for what in done)
        return Outcome(note="every transfer is stuck", faults=faults)
    mtu = f"pod link {INSIDE}; {len(done)} transfers of {SIZE >> 20} MiB there and back"
    return Outcome(note=mtu, faults=tuple(short))


def _not_told(node: Node) -> str:
    told = json.loads(node.run(["cat", "/run/podroute/node.json"]).stdout)
    return "" if told.get("mtu") == INSIDE else f"mtu {told.get('mtu')}"


def _not_heard(node: Node) -> str:
    return " ".join(cidr for cidr in _far_cidrs() if not has(node, cidr))


def _far_cidrs() -> tuple[str, ...]:
    return tuple(f"{address}/{128 if ':' in address else 32}" for address in FAR.values())


def _far(client: Node) -> Pod:
    """Make a host behind the client's router and have it announced."""
    client.run(["ip", "netns", "add", _NAME])
    client.run(["ip", "-n", _NAME, "link", "set", "lo", "up"])
    peer = ["peer", "name", "eth0", "mtu", str(INSIDE), "netns", _NAME]
    client.run(["ip", "link", "add", "far0", "mtu", str(INSIDE), "type", "veth", *peer])
    client.run(["ip", "link", "set", "far0", "up"])
    client.run(["ip", "-n", _NAME, "link", "set", "eth0", "up"])
    gateways = {4: "10.0.99.2/31", 6: "fd00:0:99::2/127"}
    for family, gateway in gateways.items():
        flag, nodad = f"-{family}", ["nodad"] if family == 6 else []
        own = gateway.replace("2/", "3/")
        client.run(["ip", flag, "address", "add", gateway, "dev", "far0", *nodad])
        inside = ["ip", flag, "-n", _NAME]
        client.run([*inside, "address", "add", own, "dev", "eth0", *nodad])
        client.run([*inside, "address", "add", FAR[family], "dev", "lo", *nodad])
        via = gateway.split("/")[0]
        client.run([*inside, "route", "add", "default", "via", via, "src", FAR[family]])
        client.run(["ip", flag, "route", "add", FAR[family], "via", own.split("/")[0]])
    _announce(client, add=True)
    addresses = tuple(map(ip_address, FAR.values()))
    return Pod(node=client, name=_NAME, container_id="", addresses=addresses)


def _announce(client: Node, *, add: bool) -> None:
    word = "network" if add else "no network"
    lines = ["configure terminal", "router bgp 65000"]
    lines += ["no bgp network import-check" if add else "bgp network import-check"]
    for family, cidr in zip(FAR, _far_cidrs(), strict=True):
        lines += [f"address-family ipv{family} unicast", f"{word} {cidr}"]
        lines += ["exit-address-family"]
    client.run(["vtysh", *(word for line in lines for word in ("-c", line))])


def _remove_far(client: Node) -> None:
    _announce(client, add=False)
    client.run(["ip", "link", "delete", "far0"], check=False)
    client.run(["ip", "netns", "delete", _NAME], check=False)


SCENARIOS = (
    Scenario(
        row="20",
        name="mtu_inside_and_edge",
        broken="links and pods with an MTU of 9000, 1500 between ToRs and the world",
        rule="large TCP transfers work both ways in both families",
        run=_large_transfers,
        control=_without_icmp,
        controlled="routers' ICMP errors dropped on their way",
        control_loses=False,
    ),
)
