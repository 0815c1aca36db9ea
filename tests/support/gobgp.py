"""Gobgp: a real GoBGP in a namespace (RIB only, it writes no kernel routes)."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.support.netns import Namespace
from tests.support.router import Neighbor, RouterConfig
from tests.support.wait import wait_until

CONFIG = "/run/gobgpd.json"


class Gobgp:
    """A `ForeignRouter`."""

    def __init__(self, namespace: Namespace, config: RouterConfig) -> None:
        self._namespace = namespace
        self._config = config
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start gobgpd and return once it answers and originates its networks."""
        self._namespace.run(["sh", "-c", f"cat > {CONFIG}"], input=json.dumps(self._render()))
        self._process = self._namespace.popen(
            ["gobgpd", "-f", CONFIG, "-t", "json", "--api-hosts", "127.0.0.1:50051"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: self._run("neighbor", check=False).returncode == 0,
            deadline_s=10,
            what=f"gobgpd in {self._namespace.name}",
        )
        for network in self._config.networks:
            self._run("global", "rib", "add", network, "-a", _family(network))

    def stop(self) -> None:
        """Kill the daemon; idempotent."""
        if self._process is not None:
            if self._process.poll() is None:
                self._namespace.kill(self._process)
            self._process.wait(timeout=5)
            self._process = None

    def wait_established(self, address: str, deadline_s: float = 20) -> None:
        """Wait until the session with the neighbor is established (its idle hold timer is 5 s)."""
        wait_until(
            lambda: (
                "state = established" in self._run("neighbor", address).stdout.lower()
                or "BGP state = ESTABLISHED" in self._run("neighbor", address).stdout
            ),
            deadline_s=deadline_s,
            what=f"{self._namespace.name}: session with {address}",
        )

    def received(self, address: str) -> dict[str, str]:
        """Return prefix -> next hop of what the neighbor announced, stale paths included."""
        return {prefix: _next_hop(paths[0]) for prefix, paths in self._adj_in(address).items()}

    def is_stale(self, prefix: str) -> bool:
        """Tell whether the path to the prefix is kept over a graceful restart."""
        return any(
            path.get("stale", False)
            for neighbor in self._config.neighbors
            for path in self._adj_in(neighbor.address).get(prefix, [])
        )

    def shut_down(self, address: str, message: str = "") -> None:
        """Disable the neighbor, with a text as of RFC 9003."""
        self._run("neighbor", address, "disable", *([message] if message else []))

    def bring_up(self, address: str) -> None:
        """Undo `shut_down`."""
        self._run("neighbor", address, "enable")

    def reset(self, address: str) -> None:
        """Reset the session administratively."""
        self._run("neighbor", address, "reset")

    def _adj_in(self, address: str) -> dict[str, list[Any]]:
        shown = self._run("-j", "neighbor", address, "adj-in", "-a", _family(address)).stdout
        loaded: dict[str, list[Any]] = json.loads(shown or "{}")
        return loaded

    def _run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._namespace.run(["gobgp", *words], check=check)

    def _render(self) -> dict[str, Any]:
        return {
            "global": {"config": {"as": self._config.asn, "router-id": self._config.router_id}},
            "neighbors": [self._neighbor(neighbor) for neighbor in self._config.neighbors],
        }

    def _neighbor(self, neighbor: Neighbor) -> dict[str, Any]:
        name = f"{_family(neighbor.address)}-unicast"
        restart = neighbor.graceful_restart
        config = {"neighbor-address": neighbor.address, "peer-as": neighbor.remote_asn}
        if neighbor.password is not None:
            config["auth-password"] = neighbor.password
        hold = neighbor.hold_time_s
        return {
            "config": config,
            "timers": {"config": {"hold-time": hold, "keepalive-interval": max(1, hold // 3)}},
            "transport": {"config": {"passive-mode": True}},
            "graceful-restart": {"config": {"enabled": restart, "restart-time": 120}},
            "afi-safis": [
                {
                    "config": {"afi-safi-name": name},
                    "mp-graceful-restart": {"config": {"enabled": restart}},
                }
            ],
        }


def _family(text: str) -> str:
    return "ipv6" if ":" in text else "ipv4"


def _next_hop(path: Any) -> str:
    for attribute in path["attrs"]:
        if "nexthop" in attribute:
            return str(attribute["nexthop"])
    return ""
