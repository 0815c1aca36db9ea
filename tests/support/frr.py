"""Frr: a real FRR (zebra, bgpd) in a namespace; its files live in the namespace's own /run."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.netns import Namespace
from tests.support.router import Neighbor, RouterConfig, Seen
from tests.support.wait import wait_until

BINARIES = Path("/usr/lib/frr")
RUN = "/run/frr"


class Frr:
    """A `ForeignRouter`; sessions are eBGP or iBGP by ASN, both kinds of graceful restart on."""

    def __init__(self, namespace: Namespace, config: RouterConfig) -> None:
        self._namespace = namespace
        self._config = config
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start zebra and bgpd and return once bgpd has its configuration."""
        self._namespace.run(["install", "-d", "-o", "frr", "-g", "frr", RUN])
        self._write("zebra.conf", f"hostname {self._namespace.name}\n")
        self._write("bgpd.conf", self._render())
        daemons = ["zebra", "bgpd"]
        if intervals := {n.bfd_interval_ms for n in self._config.neighbors} - {None}:
            self._write("bfdd.conf", _profiles(intervals))
            daemons.insert(1, "bfdd")
        for daemon in daemons:
            argv = [str(BINARIES / daemon), "-f", f"{RUN}/{daemon}.conf", "--vty_socket", RUN]
            argv += ["-i", f"{RUN}/{daemon}.pid", "-z", f"{RUN}/zserv.api", "-A", "127.0.0.1"]
            argv += ["--log", f"file:{RUN}/{daemon}.log"]
            if daemon == "bfdd":
                argv += ["--bfdctl", f"{RUN}/bfdd.sock"]
            process = self._namespace.popen(
                argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            self._processes.append(process)
            wait_until(
                functools.partial(self._answers, daemon),
                deadline_s=10,
                what=f"{daemon} in {self._namespace.name}",
            )

    def stop(self) -> None:
        """Kill both daemons, bgpd first; idempotent."""
        for process in reversed(self._processes):
            if process.poll() is None:
                self._namespace.kill(process)
            process.wait(timeout=5)
        self._processes.clear()

    def wait_established(self, address: str, deadline_s: float = 15) -> None:
        """Wait until the session with the neighbor is established."""
        wait_until(
            lambda: self.neighbor(address)["bgpState"] == "Established",
            deadline_s=deadline_s,
            what=f"{self._namespace.name}: session with {address}",
        )

    def received(self, address: str) -> dict[str, str]:
        """Return prefix -> next hop of what the neighbor announced, stale paths included."""
        shown = self._json(f"show bgp {_family(address)} unicast neighbors {address} routes json")
        return {
            prefix: next(
                hop["ip"] for hop in paths[0]["nexthops"] if hop.get("scope", "global") == "global"
            )
            for prefix, paths in shown.get("routes", {}).items()
        }

    def table(self, family: str) -> set[str]:
        """Return the prefixes in the BGP table, as the import policy leaves them."""
        return set(self._json(f"show bgp {family} unicast json").get("routes", {}))

    def next_hops(self, family: str, address: str, prefix: str) -> list[str]:
        """Return the global next hops of what the neighbor announced of a prefix."""
        shown = self._json(f"show bgp {family} unicast neighbors {address} routes json")
        paths = shown.get("routes", {}).get(prefix, [])
        hops = [hop for path in paths for hop in path["nexthops"]]
        return [hop["ip"] for hop in hops if hop.get("scope", "global") == "global"]

    def is_stale(self, prefix: str) -> bool:
        """Tell whether the path to the prefix is kept over a graceful restart."""
        shown = self._json(f"show bgp {_family(prefix)} unicast {prefix} json")
        return any(path.get("stale", False) for path in shown.get("paths", []))

    def seen(self, prefix: str) -> Seen:
        """Return the attributes of the first path to the prefix."""
        shown = self._json(f"show bgp {_family(prefix)} unicast {prefix} json")
        if not shown.get("paths"):
            return Seen()
        path = shown["paths"][0]
        # FRR calls 65535:0 by its name.
        texts = path.get("community", {}).get("list", ())
        known = {"gracefulShutdown": (65535, 0), "graceful-shutdown": (65535, 0)}
        return Seen(
            as_path=tuple(map(int, path["aspath"]["string"].split())),
            med=path.get("metric"),
            communities=tuple(known.get(t) or _numbers(t) for t in texts),
            large_communities=tuple(
                _numbers(text) for text in path.get("largeCommunity", {}).get("list", ())
            ),
        )

    def shut_down(self, address: str, message: str = "") -> None:
        """End the session administratively, with a text as of RFC 9003."""
        self.configure(f"neighbor {address} shutdown" + (f" message {message}" if message else ""))

    def bring_up(self, address: str) -> None:
        """Undo `shut_down`."""
        self.configure(f"no neighbor {address} shutdown")

    def reset(self, address: str) -> None:
        """Reset the session administratively (cease, 6/4)."""
        self._run(f"clear bgp {address}")

    def configure(self, *lines: str) -> None:
        """Enter lines below `router bgp`."""
        commands = ["configure terminal", f"router bgp {self._config.asn}", *lines]
        done = self._run(*commands)
        assert done.returncode == 0, done.stdout + done.stderr

    def enter(self, *lines: str) -> None:
        """Enter lines of the top, such as a route-map."""
        done = self._run("configure terminal", *lines)
        assert done.returncode == 0, done.stdout + done.stderr

    def neighbor(self, address: str) -> Any:
        """Return what `show bgp neighbors` says about one."""
        return self._json(f"show bgp neighbors {address} json")[address]

    def bfd(self, address: str) -> Any:
        """Return what `show bfd peers` says of one; {} if it is not there."""
        shown = json.loads(self._run("show bfd peers json", daemon="bfdd").stdout or "[]")
        return next((peer for peer in shown if peer["peer"] == address), {})

    def shut_down_bfd(self) -> None:
        """Say AdminDown on every BFD session."""
        intervals = {n.bfd_interval_ms for n in self._config.neighbors} - {None}
        for interval_ms in intervals:
            commands = ("configure terminal", "bfd", f"profile every-{interval_ms}", "shutdown")
            done = self._run(*commands, daemon="bfdd")
            assert done.returncode == 0, done.stdout + done.stderr

    def log(self) -> str:
        """Return bgpd's log."""
        return self._namespace.run(["cat", f"{RUN}/bgpd.log"], check=False).stdout

    def _answers(self, daemon: str) -> bool:
        return self._run("show version", daemon=daemon).returncode == 0

    def _json(self, command: str) -> Any:
        return json.loads(self._run(command).stdout or "{}")

    def _run(self, *commands: str, daemon: str = "bgpd") -> subprocess.CompletedProcess[str]:
        argv = ["vtysh", "--vty_socket", RUN, "-d", daemon]
        for command in commands:
            argv += ["-c", command]
        return self._namespace.run(argv, check=False)

    def _write(self, name: str, text: str) -> None:
        self._namespace.run(["sh", "-c", f"cat > {RUN}/{name}"], input=text)
        self._namespace.run(["chown", "frr:frr", f"{RUN}/{name}"])

    def _render(self) -> str:
        config = self._config
        lines = [
            "log timestamp precision 3",
            f"router bgp {config.asn}",
            f" bgp router-id {config.router_id}",
            " no bgp ebgp-requires-policy",
            " no bgp default ipv4-unicast",
            " no bgp network import-check",
            " bgp graceful-restart",
            " coalesce-time 10",
        ]
        for neighbor in config.neighbors:
            lines += self._neighbor(neighbor)
        for family in ("ipv4", "ipv6"):
            lines.append(f" address-family {family} unicast")
            lines += [f"  network {n}" for n in config.networks if _family(n) == family]
            for neighbor in config.neighbors:
                if _family(neighbor.address) == family:
                    lines.append(f"  neighbor {neighbor.address} activate")
                    lines.append(f"  neighbor {neighbor.address} soft-reconfiguration inbound")
            lines.append(" exit-address-family")
        return "\n".join(lines) + "\n"

    def _neighbor(self, neighbor: Neighbor) -> list[str]:
        name = f" neighbor {neighbor.address}"
        hold = neighbor.hold_time_s
        lines = [
            f"{name} remote-as {neighbor.remote_asn}",
            f"{name} timers {max(1, hold // 3)} {hold}",
            f"{name} timers connect 1",
            f"{name} advertisement-interval 0",
        ]
        if neighbor.password is not None:
            lines.append(f"{name} password {neighbor.password}")
        if neighbor.bfd_interval_ms is not None:
            lines.append(f"{name} bfd profile every-{neighbor.bfd_interval_ms}")
        if not neighbor.graceful_restart:
            lines.append(f"{name} graceful-restart-disable")
        return lines


def _profiles(intervals_ms: Iterable[int | None]) -> str:
    lines = ["bfd"]
    for interval_ms in intervals_ms:
        lines += [f" profile every-{interval_ms}", "  detect-multiplier 3"]
        lines += [f"  {way}-interval {interval_ms}" for way in ("transmit", "receive")]
    return "\n".join(lines) + "\n"


def _numbers(text: str) -> Any:
    return tuple(map(int, text.split(":")))


def _family(text: str) -> str:
    return "ipv6" if ":" in text else "ipv4"


def is_available() -> bool:
    """Tell whether FRR can run here."""
    return os.geteuid() == 0 and shutil.which(str(BINARIES / "bgpd")) is not None
