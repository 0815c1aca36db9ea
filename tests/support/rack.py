"""Rack: a node with the whole agent, two ToRs of one make, and a client behind both.

ToR i (1, 2) has 10.0.i.2/31 and fd00:0:i::2/127, the node one more; the client has 10.0.1i.3/31 and
fd00:0:1i::3/127. CLIENT is on the client's lo and static on the ToRs, which announce the networks
around it; POD is on the node's lo, inside its pod CIDRs: it stands for a pod. So every packet
between the two takes a route that BGP made.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from containerlab.demo.daemon import descendants
from tests.support.bgp_fabric import KINDS, NODE_ASN, OWN, THEIRS, Router
from tests.support.netns import Namespace, inner_pid, join
from tests.support.router import Neighbor, RouterConfig
from tests.support.wait import NotYetError, wait_until

CONFIG = "/run/rack.yaml"
LOG = "/run/router.log"
PODROUTE = Path(sys.executable).with_name("podroute")
POD = {4: "10.244.1.10", 6: "fd00:244:1::10"}
CLIENT = {4: "10.244.2.10", 6: "fd00:244:2::10"}
TORS = (1, 2)


class Rack:
    """See above; a context manager."""

    def __init__(self, kind: str) -> None:
        """Describe a rack whose ToRs are *kind*, a key of KINDS."""
        self.kind = kind
        self.tors: list[Namespace] = []
        self.routers: list[Router] = []
        self._stack = ExitStack()
        self._agent: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Bring all up but the agent."""
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._stack.close()

    def _build(self) -> None:
        self.node = self._make("node")
        self.client = self._make("client")
        for index in TORS:
            tor = self._make(f"tor{index}")
            self.tors.append(tor)
            self._join(tor, "node", self.node, index)
            self._join(tor, "client", self.client, 10 + index)
            for address in CLIENT.values():
                tor.run(["ip", "route", "add", address, "via", _peer(10 + index, address)])
            neighbors = [
                Neighbor(address=_address(index, family, 3), remote_asn=NODE_ASN) for family in POD
            ]
            config = RouterConfig(
                asn=65100 + index,
                router_id=f"10.255.0.{index}",
                neighbors=neighbors,
                networks=THEIRS,
            )
            router = KINDS[self.kind](tor, config)
            self._stack.callback(router.stop)
            router.start()
            self.routers.append(router)
        for family, network in zip(POD, OWN, strict=True):
            self.node.run(["ip", "address", "add", POD[family], "dev", "lo"])
            self.client.run(["ip", "address", "add", CLIENT[family], "dev", "lo"])
            hops = [("nexthop", "via", _address(10 + i, family, 2)) for i in TORS]
            words = [word for hop in hops for word in hop]
            self.client.run(["ip", "route", "add", network, *words])

    def _make(self, name: str) -> Namespace:
        namespace = Namespace(name)
        self._stack.callback(namespace.close)
        for key, value in (
            ("ipv4.ip_forward", 1),
            ("ipv6.conf.all.forwarding", 1),
            ("ipv4.fib_multipath_hash_policy", 1),
            ("ipv6.fib_multipath_hash_policy", 1),
            ("ipv4.conf.all.rp_filter", 0),
            ("ipv4.conf.default.rp_filter", 0),
        ):
            namespace.write_sysctl(f"net.{key}", value)
        return namespace

    @staticmethod
    def _join(tor: Namespace, link: str, other: Namespace, number: int) -> None:
        join(tor, link, other, f"eth{number}")
        for family, length in ((4, 31), (6, 127)):
            nodad = ["nodad"] if family == 6 else []
            for place, name, host in ((tor, link, 2), (other, f"eth{number}", 3)):
                address = f"{_address(number, family, host)}/{length}"
                place.run(["ip", "address", "add", address, "dev", name, *nodad])

    # --- the agent -----------------------------------------------------------------------------

    def start_agent(self, **settings: Any) -> None:
        """Start it, with *settings* in place of the usual ones."""
        peers = [
            {
                "name": f"tor{index}-v{family}",
                "address": _address(index, family, 2),
                "remote_asn": 65100 + index,
                "hold_time_s": 9,
            }
            for index in TORS
            for family in POD
        ]
        config: dict[str, Any] = {
            "node": "node",
            "router_id": "10.255.1.1",
            "local_asn": NODE_ASN,
            "pod_cidrs": list(OWN),
            "cluster": {"pod_prefixes": ["10.244.0.0/16", "fd00:244::/32"]},
            "peers": peers,
            **settings,
        }
        self.node.run(["tee", CONFIG], input=yaml.safe_dump(config))
        self._agent = self.node.popen(
            ["sh", "-c", f"exec {PODROUTE} router --config {CONFIG} >>{LOG} 2>&1"]
        )

    @property
    def agent_pid(self) -> int:
        """The agent's pid as we see it."""
        assert self._agent is not None
        return inner_pid(self._agent)

    @property
    def speaker_pid(self) -> int:
        """ExaBGP's."""
        pids = [pid for pid in descendants(self.agent_pid) if _is_speaker(pid)]
        if not pids:
            raise NotYetError("the agent has no speaker")
        return pids[0]

    def kill_all(self) -> None:
        """Kill agent and speaker with -9 at once, and return when they are gone."""
        assert self._agent is not None
        for pid in (self.agent_pid, *descendants(self.agent_pid)):
            os.kill(pid, signal.SIGKILL)
        self._agent.wait(timeout=5)

    def stop_agent(self) -> None:
        """End it for good: everything is withdrawn."""
        assert self._agent is not None
        self.node.run([PODROUTE, "stop", "--withdraw"], timeout_s=20)
        self._agent.wait(timeout=10)

    # --- what the ToRs and the kernels have -----------------------------------------------------

    def peer_states(self) -> list[str]:
        """Return the states of the sessions, as the agent says; NotYetError if it does not."""
        done = self.node.run([PODROUTE, "peers", "-o", "json"], check=False)
        if done.returncode:
            raise NotYetError(done.stderr)
        return [peer["state"] for peer in json.loads(done.stdout)["peers"]]

    def wait_established(self, deadline_s: float = 30) -> None:
        """Wait until the agent calls every session established."""

        def probe() -> bool:
            states = self.peer_states()
            if set(states) != {"established"}:
                raise NotYetError(states)
            return True

        wait_until(probe, deadline_s=deadline_s, what="all sessions of the agent")

    def wait_whole(self, deadline_s: float = 30) -> None:
        """Wait until ``why_not_whole`` has nothing to say."""
        end = time.monotonic() + deadline_s
        while reason := self.why_not_whole():
            if time.monotonic() > end:
                raise TimeoutError(f"rack of {self.kind}: {reason}\n{self.log()}")
            time.sleep(0.05)

    def why_not_whole(self) -> str:
        """Return "" if both ToRs have fresh paths to the node in use and it has both, else why."""
        for index, (tor, router) in enumerate(zip(self.tors, self.routers, strict=True), 1):
            for family, network in zip(POD, OWN, strict=True):
                node = _address(index, family, 3)
                if router.received(node).get(network) != node:
                    return f"{tor.name} has no {network}"
                if router.is_stale(network):
                    return f"{tor.name}: {network} is stale"
                hops = _hops(tor, network)
                if [hop.get("gateway") for hop in hops] != [node]:
                    return f"{tor.name}'s kernel has {network} by {hops}"
        for network in THEIRS:
            if len(hops := _hops(self.node, network)) != len(TORS):
                return f"the node has {network} by {hops}"
        return ""

    def log(self) -> str:
        """Return the end of the agent's log."""
        return self.node.run(["tail", "-n", "30", LOG], check=False).stdout


def _address(number: int, family: int, host: int) -> str:
    return f"10.0.{number}.{host}" if family == 4 else f"fd00:0:{number}::{host}"


def _peer(number: int, like: str) -> str:
    return _address(number, 6 if ":" in like else 4, 3)


def _hops(place: Namespace, network: str) -> list[dict[str, Any]]:
    family = "-6" if ":" in network else "-4"
    shown = place.run(["ip", family, "-j", "route", "show", "exact", network]).stdout
    routes = json.loads(shown or "[]")
    return [hop for route in routes for hop in route.get("nexthops", [route])]


def _is_speaker(pid: int) -> bool:
    try:
        return b"exabgp" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
