"""Who learns routes in `./dev bench bgp`: podroute, BIRD and FRR, configured to do the same.

Two peers, ECMP, one import filter (the pod ranges up to /28 or /124, nothing of our own), timers as
each has them by default, best paths into the kernel of the namespace "node".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.support.netns import Namespace, inner_pid

ASN = 65201
TOR_ASNS = (65101, 65102)
PODS = {4: ("10.0.0.0/8", "11.0.0.0/8"), 6: ("fd00:244::/32",)}
LONGEST = {4: 28, 6: 124}
OWN = {4: "11.255.1.0/24", 6: "fd00:244:ffff:1::/64"}
PODROUTE = Path(sys.executable).with_name("podroute")
FRR = Path("/usr/lib/frr")
_FRR_OPTIONS = "-z /run/frr/zserv.api --vty_socket /run/frr -A 127.0.0.1"


def tor_address(family: int, index: int) -> str:
    """Return a ToR's address towards the node, 1 or 2."""
    return f"10.254.{index}.2" if family == 4 else f"fd02:0:{index}::2"


def node_address(family: int, index: int) -> str:
    """Return the node's."""
    return f"10.254.{index}.3" if family == 4 else f"fd02:0:{index}::3"


class Receiver(Protocol):
    """One of them."""

    name: str

    def start(self, namespace: Namespace, family: int) -> None:
        """Start it with both peers of a family."""

    def pids(self) -> list[int]:
        """Return its processes as we see them."""

    def stop(self) -> None:
        """Kill it."""


class Podroute:
    """The route agent with its speaker."""

    name = "podroute"

    def __init__(self, receive: str = "fast") -> None:
        self.receive = receive
        self._process: subprocess.Popen[str] | None = None

    def start(self, namespace: Namespace, family: int) -> None:
        peers = [
            {"name": f"tor{i}", "address": tor_address(family, i), "remote_asn": asn}
            for i, asn in enumerate(TOR_ASNS, 1)
        ]
        config: dict[str, Any] = {
            "node": "node1",
            "router_id": "10.255.1.1",
            "local_asn": ASN,
            "pod_cidrs": [OWN[family]],
            "cluster": {"pod_prefixes": list(PODS[family])},
            "speaker": {"receive": self.receive},
            "peers": peers,
        }
        namespace.run(["tee", "/run/podroute.yaml"], input=yaml.safe_dump(config))
        run = f"exec {PODROUTE} router --config /run/podroute.yaml >/run/podroute.log 2>&1"
        self._process = namespace.popen(["sh", "-c", run])

    def pids(self) -> list[int]:
        assert self._process is not None
        agent = inner_pid(self._process)
        children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
        return [agent, *map(int, children)]

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process)


class Bird:
    """BIRD 2; it follows the carrier of its links, which it does only if told to."""

    name = "bird"

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self, namespace: Namespace, family: int) -> None:
        accepted = ", ".join(f"{p}{{16,{LONGEST[family]}}}" for p in PODS[family])
        if family == 6:
            accepted = ", ".join(f"{p}{{32,{LONGEST[family]}}}" for p in PODS[family])
        lines = [
            "router id 10.255.1.1;",
            "protocol device { scan time 10; }",
            f"protocol kernel {{ merge paths on; ipv{family} {{ export all; }}; }}",
            f"filter pods {{ if net ~ [{OWN[family]}+] then reject;"
            f" if net ~ [{accepted}] then accept; reject; }}",
        ]
        lines += [
            f"protocol bgp tor{i} {{ local as {ASN}; neighbor {tor_address(family, i)} as {asn};"
            f" connect delay time 1; check link yes;"
            f" ipv{family} {{ import filter pods; export none; }}; }}"
            for i, asn in enumerate(TOR_ASNS, 1)
        ]
        namespace.run(["tee", "/run/bird.conf"], input="\n".join(lines) + "\n")
        self._process = namespace.popen(
            ["bird", "-f", "-c", "/run/bird.conf", "-s", "/run/bird.ctl"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def pids(self) -> list[int]:
        assert self._process is not None
        return [inner_pid(self._process)]

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process)


class FrrReceiver:
    """FRR's bgpd and zebra."""

    name = "frr"

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, namespace: Namespace, family: int) -> None:
        kind = "ip" if family == 4 else "ipv6"
        lists = [
            f"{kind} prefix-list PODS seq 5 deny {OWN[family]} le {32 if family == 4 else 128}",
            *(
                f"{kind} prefix-list PODS seq {10 + i} permit {p} le {LONGEST[family]}"
                for i, p in enumerate(PODS[family])
            ),
        ]
        peers = [(tor_address(family, i), asn) for i, asn in enumerate(TOR_ASNS, 1)]
        lines = [
            *lists,
            f"router bgp {ASN}",
            " bgp router-id 10.255.1.1",
            " no bgp ebgp-requires-policy",
            " no bgp default ipv4-unicast",
            " bgp bestpath as-path multipath-relax",
            *(f" neighbor {address} remote-as {asn}" for address, asn in peers),
            *(f" neighbor {address} timers connect 1" for address, _ in peers),
            f" address-family ipv{family} unicast",
            *(f"  neighbor {address} activate" for address, _ in peers),
            *(f"  neighbor {address} prefix-list PODS in" for address, _ in peers),
            "  maximum-paths 2",
            " exit-address-family",
        ]
        namespace.run(["sh", "-ec", "mkdir -p /run/frr; chown frr:frr /run/frr"])
        namespace.run(["tee", "/run/frr/bgpd.conf"], input="\n".join(lines) + "\n")
        for daemon in ("zebra", "bgpd"):
            config = ["-f", f"/run/frr/{daemon}.conf"]
            namespace.run(["touch", f"/run/frr/{daemon}.conf"])
            self._processes.append(
                namespace.popen(
                    [FRR / daemon, *config, *f"-i /run/{daemon}.pid {_FRR_OPTIONS}".split()],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )

    def pids(self) -> list[int]:
        return [inner_pid(process) for process in self._processes]

    def stop(self) -> None:
        for process in self._processes:
            _end(process)
        self._processes = []


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.kill(inner_pid(process), signal.SIGKILL)
    process.wait(timeout=10)


def kernel_routes(pid: int, family: int) -> int:
    """Count the routes in the main table of the namespace a process is in, cheaply.

    IPv4: the leaves of the trie (/proc/net/fib_triestat); IPv6: nodes of the tree that hold routes
    (/proc/net/rt6_stats). Both count a few of the kernel's own.
    """
    if family == 6:
        return int(Path(f"/proc/{pid}/net/rt6_stats").read_text().split()[1], 16)
    text = Path(f"/proc/{pid}/net/fib_triestat").read_text()
    return int(text.split("Prefixes:")[1].split()[0])


def legs(namespace: Namespace, prefix: str, family: int) -> int:
    """Count the next hops of the route to exactly this prefix."""
    shown = namespace.run(["ip", f"-{family}", "-j", "route", "show", "exact", prefix]).stdout
    return sum(len(route.get("nexthops", [route])) for route in json.loads(shown or "[]"))
