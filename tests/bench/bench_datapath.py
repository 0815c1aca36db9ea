"""What a packet between pods costs, as a ratio to a bridge and to a VXLAN overlay.

`./dev bench datapath [--json] [--quick]`: two nodes joined by a cable, with the real CNI server and
anti-spoofing on, beside two nodes of the same make with Debian's bridge plugin and a VXLAN device
between them in flannel's shape (a route per node, static neighbor and forwarding entries, MTU less
50). All are probed in turn by the same program (``path_probe.c``), over IPv4. The cable is like a
wire and its network cards: MTU 1500, packets cut before they enter it, and joined again (GRO) where
they leave it. The value is the median of the paired ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from containerlab.measure.check import (
    Bound,
    Check,
    all_ok,
    at_least,
    at_most,
    render_json,
    render_table,
)
from tests.bench.plugin_driver import start_server
from tests.support.cni_node import CniNode, build_shim
from tests.support.netns import Namespace, join

PROBE_SOURCE: Final = Path(__file__).with_name("path_probe.c")
BRIDGE_PLUGIN: Final = Path("/usr/lib/cni/bridge")
# SIOCETHTOOL: ETHTOOL_STSO and _SGSO off, _SGRO on (include/uapi/linux/ethtool.h).
OFFLOADS: Final = """
import ctypes, fcntl, socket, struct, sys
for command, value in ((0x1F, 0), (0x24, 0), (0x2C, 1)):
    wanted = ctypes.create_string_buffer(struct.pack("=II", command, value))
    request = struct.pack("@16sP16x", sys.argv[1].encode(), ctypes.addressof(wanted))
    fcntl.ioctl(socket.socket(), 0x8946, request)
"""
_VXLAN_MAC: Final = "02:00:00:00:00:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often each pair is measured, round trips in one measurement, length of a stream."""

    pairs: int
    rounds: int
    stream_ms: int


FULL: Final = Effort(pairs=31, rounds=3000, stream_ms=200)
QUICK: Final = Effort(pairs=9, rounds=1500, stream_ms=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From one pod to another: namespaces as paths, and the other's address."""

    client: str
    server: str
    address: str


class Probe:
    """The probing program."""

    def __init__(self, directory: Path) -> None:
        """Compile it into ``directory``."""
        self._program = directory / "path_probe"
        flags = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")
        subprocess.run(["gcc", *flags, "-o", self._program, PROBE_SOURCE], check=True)

    def round_trip_us(self, path: Way, rounds: int) -> float:
        """Return the median of UDP round trips in microseconds."""
        return self._run("rtt", path, rounds) / 1000

    def gigabits_per_s(self, path: Way, stream_ms: int) -> float:
        """Return the throughput of one TCP stream."""
        return self._run("stream", path, stream_ms) * 8 / 1e9

    def _run(self, what: str, path: Way, amount: int) -> int:
        done = subprocess.run(
            [self._program, what, path.client, path.server, path.address, str(amount)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return int(done.stdout)


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench datapath", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    checks = measure(QUICK if options.quick else FULL)
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def measure(effort: Effort) -> list[Check]:
    """Return the checks of one run."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podroute-bench-")))
        nodes = [
            stack.enter_context(contextlib.closing(Namespace(name)))
            for name in ("node1", "node2", "overlay1", "overlay2")
        ]
        probe = Probe(directory)
        shim = build_shim(directory)
        routed = [
            stack.enter_context(contextlib.closing(CniNode(node, shim))) for node in nodes[:2]
        ]
        same, across = _routed(routed)
        bridge, overlay = _overlay(nodes[2:], directory)
        faults = tuple(fault for node in nodes[:2] for fault in _filter_faults(node))
        trips: list[tuple[float, ...]] = []
        streams: list[tuple[float, ...]] = []
        for _ in range(effort.pairs):
            each = (same, bridge, across, overlay)
            trips.append(tuple(probe.round_trip_us(path, effort.rounds) for path in each))
            streams.append(
                tuple(probe.gigabits_per_s(path, effort.stream_ms) for path in (across, overlay))
            )
    return [
        _check("latency_same_node", at_most(1.03), [t[:2] for t in trips], "us", faults),
        _check("latency_across", at_most(0.85), [t[2:] for t in trips], "us", faults),
        _check("throughput_across", at_least(1.1), streams, "Gbit/s", faults),
    ]


def _check(
    name: str,
    bound: Bound,
    pairs: Sequence[tuple[float, ...]],
    unit: str,
    faults: tuple[str, ...],
) -> Check:
    return Check(
        name=name,
        value=round(statistics.median(ours / other for ours, other in pairs), 3),
        unit="of the bridge" if name == "latency_same_node" else "of the overlay",
        bound=bound,
        samples={
            f"podroute, {unit}": [round(ours, 3) for ours, _ in pairs],
            f"other, {unit}": [round(other, 3) for _, other in pairs],
        },
        faults=faults,
    )


def _cable(one: Namespace, two: Namespace) -> None:
    """Join two nodes, 192.0.2.1 and 192.0.2.2."""
    join(one, "up0", two, "up0")
    for number, node in enumerate((one, two), 1):
        node.run(["ip", "addr", "add", f"192.0.2.{number}/24", "dev", "up0"])
        node.run(["python3", "-c", OFFLOADS, "up0"])


def _pod(node: Namespace, name: str) -> str:
    return f"/proc/{node.pid}/root/run/netns/{name}"


def _routed(nodes: Sequence[CniNode]) -> tuple[Way, Way]:
    """Make our pods: two on the first node, one on the second; (same node, across)."""
    _cable(nodes[0].namespace, nodes[1].namespace)
    addresses = []
    for number, node in enumerate(nodes, 1):
        node.facts(f"10.244.{number}.0/24", f"fd00:244:{number}::/64")
        start_server(node)
        other = 3 - number
        node.namespace.run(
            ["ip", "route", "add", f"10.244.{other}.0/24", "via", f"192.0.2.{other}"]
        )
        for name in ("a", "b"):
            node.sandbox(name)
            addresses.append(node.add(name).addresses[0])
    first, second = nodes[0].namespace, nodes[1].namespace
    return (
        Way(client=_pod(first, "a"), server=_pod(first, "b"), address=addresses[1]),
        Way(client=_pod(first, "a"), server=_pod(second, "a"), address=addresses[2]),
    )


def _overlay(nodes: Sequence[Namespace], directory: Path) -> tuple[Way, Way]:
    """Make the others' pods: bridges of the real plugin, VXLAN between; (same node, across)."""
    _cable(nodes[0], nodes[1])
    addresses = []
    for number, node in enumerate(nodes, 1):
        node.write_sysctl("net.ipv4.ip_forward", 1)
        addresses += [_bridge_add(node, number, name, directory) for name in ("a", "b")]
        other = 3 - number
        script = f"""
        ip link add vx0 mtu 1450 address {_VXLAN_MAC}{number} type vxlan id 1 dstport 8472 \
            local 192.0.2.{number} dev up0 nolearning
        ip addr add 10.245.{number}.0/32 dev vx0
        ip link set vx0 up
        ip neigh add 10.245.{other}.0 lladdr {_VXLAN_MAC}{other} dev vx0 nud permanent
        bridge fdb append {_VXLAN_MAC}{other} dev vx0 dst 192.0.2.{other}
        ip route add 10.245.{other}.0/24 via 10.245.{other}.0 dev vx0 onlink
        """
        node.run(["sh", "-ec", script])
    first, second = nodes
    return (
        Way(client=_pod(first, "a"), server=_pod(first, "b"), address=addresses[1]),
        Way(client=_pod(first, "a"), server=_pod(second, "a"), address=addresses[2]),
    )


def _bridge_add(node: Namespace, number: int, name: str, directory: Path) -> str:
    """Attach a pod with Debian's bridge plugin; return its address."""
    configuration = {
        "cniVersion": "1.0.0",
        "name": "overlay",
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "mtu": 1450,
        "ipam": {
            "type": "host-local",
            "dataDir": str(directory / f"leases{number}"),
            "ranges": [[{"subnet": f"10.245.{number}.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    node.run(["ip", "netns", "add", name])
    done = node.run(
        [BRIDGE_PLUGIN],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": name,
            "CNI_NETNS": f"/run/netns/{name}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(BRIDGE_PLUGIN.parent),
        },
        input=json.dumps(configuration),
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return str(result["ips"][0]["address"]).split("/", maxsplit=1)[0]


def _filter_faults(node: Namespace) -> list[str]:
    """Return a line if anti-spoofing is not in force for both pods of a node."""
    listed = node.run(["nft", "-j", "list", "set", "inet", "podroute", "sources4"], check=False)
    sets = [
        entry["set"]
        for entry in json.loads(listed.stdout or '{"nftables": []}')["nftables"]
        if "set" in entry
    ]
    admitted = sum(len(each.get("elem", ())) for each in sets)
    return [] if admitted == 2 else [f"anti-spoofing of {node.name} admits {admitted}, not 2"]


if __name__ == "__main__":
    sys.exit(main())
