"""What a ToR knows: its BGP table and its kernel's routes, asked and watched."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Self

from containerlab.netlab.node import Node

Network = IPv4Network | IPv6Network

LISTEN_S = 5
GROUP = 1 << (7 - 1)  # RTNLGRP_IPV4_ROUTE of linux/rtnetlink.h, as a bit of the group mask


class Tor:
    """An FRR router of the lab, seen through vtysh and iproute2."""

    def __init__(self, node: Node) -> None:
        """Look at *node*."""
        self.node = node

    def show(self, command: str) -> Any:
        """Return what ``show COMMAND json`` says."""
        return json.loads(self.node.run(["vtysh", "-c", f"show {command} json"]).stdout)

    def established(self) -> frozenset[str]:
        """Return the addresses of the neighbors whose session is established."""
        summary = self.show("bgp summary")
        return frozenset(
            address
            for family in summary.values()
            for address, peer in family.get("peers", {}).items()
            if peer.get("state") == "Established"
        )

    def kernel_has(self, network: Network) -> bool:
        """Whether the kernel has a BGP route to exactly this prefix."""
        return bool(self.kernel_routes(network))

    def kernel_routes(self, network: Network) -> list[dict[str, Any]]:
        """Return the kernel's BGP routes to exactly this prefix."""
        family = f"-{network.version}"
        command = ["ip", family, "-j", "route", "show", "exact", str(network), "proto", "bgp"]
        return list(json.loads(self.node.run(command).stdout or "[]"))

    def why_not_fresh(self, network: Network, origin_asn: int, *, since_epoch: float) -> str:
        """Return "" if the route is a BGP path learned anew after a moment, else what it is.

        Fresh means: straight from the node's own session (AS path of that one ASN), best, not
        stale (RFC 4724 section 4.2), updated at or after *since_epoch* (seconds, wall clock, FRR
        tells whole seconds), and in the kernel by exactly one such route.
        """
        family = "ipv4" if network.version == 4 else "ipv6"
        table = self.show(f"bgp {family} unicast {network}")
        direct = [
            path
            for path in table.get("paths", [])
            if path.get("aspath", {}).get("string") == str(origin_asn)
        ]
        where = f"{self.node.name} {network}"
        if not direct:
            return f"{where}: no path from AS {origin_asn} itself"
        path = direct[0]
        if path.get("stale"):
            return f"{where}: stale"
        if not path.get("bestpath", {}).get("overall"):
            return f"{where}: not best"
        if path.get("lastUpdate", {}).get("epoch", 0) < int(since_epoch):
            return f"{where}: last updated before the restart"
        if not self.kernel_has(network):
            return f"{where}: not in the kernel"
        return ""


class RouteWatch:
    """The kernel's route changes on a ToR, each with the moment we heard of it.

    ``ip monitor`` prints and flushes one line an event; a reader thread stamps it, so a moment is
    late by a scheduling delay and never early.
    """

    def __init__(self, tor: Tor) -> None:
        """Watch *tor* while entered."""
        self.tor = tor
        self._events: list[tuple[float, bool, str]] = []

    def __enter__(self) -> Self:
        """Start; returns when the monitor listens."""
        before = _route_listeners(self.tor.node.pid)
        self._process = self.tor.node.popen(
            ["ip", "monitor", "route"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._wait_listening(before)
        return self

    def __exit__(self, *_: object) -> None:
        """End the monitor."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def added(self, network: Network) -> float | None:
        """Return the first moment a BGP route to *network* was there, None if it never was."""
        return min(self._moments(network, there=True), default=None)

    def removed(self, network: Network) -> float | None:
        """Return the last moment a BGP route to *network* went, None if none did."""
        return max(self._moments(network, there=False), default=None)

    def _moments(self, network: Network, *, there: bool) -> Iterable[float]:
        # iproute2 writes a host route without its length.
        is_host = network.prefixlen == network.max_prefixlen
        wanted = str(network.network_address if is_host else network)
        return [at for at, added, prefix in self._events if added == there and prefix == wanted]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stdout:
                moment = time.monotonic()
                words = line.split()
                gone = words[:1] == ["Deleted"]
                if "bgp" in words:
                    self._events.append((moment, not gone, words[1 if gone else 0]))

    def _wait_listening(self, before: int) -> None:
        """Return once the monitor's netlink socket has joined its groups."""
        for _ in range(LISTEN_S * 200):
            if _route_listeners(self.tor.node.pid) > before:
                return
            time.sleep(0.005)
        raise RuntimeError(f"{self.tor.node.name}: ip monitor does not listen")


def _route_listeners(pid: int) -> int:
    """Count the rtnetlink sockets of a process's network namespace that hear route changes."""
    lines = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return sum(1 for _, kind, _, groups, *_ in fields if kind == "0" and int(groups, 16) & GROUP)


def packets_sent(node: Node) -> dict[str, int]:
    """Return how many packets each link end of a node has sent.

    A node mounts its own sysfs, which shows the devices of its network namespace.
    """
    root = Path(f"/proc/{node.pid}/root/sys/class/net")
    return {
        name: int((root / name / "statistics/tx_packets").read_text()) for name in node.interfaces
    }
