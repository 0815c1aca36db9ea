"""Scene: the dual-tor fabric with podroute's daemons, a pod on each node, and traffic to break."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import yaml

from containerlab.demo.fabric import FAMILIES, TOPOLOGY, Fabric, Host, wait_for
from containerlab.demo.pod import Pod
from containerlab.failures.scenario import Outcome, lost_of, sent_of
from containerlab.measure.flows import Group, GroupResult, Traffic
from containerlab.netlab import Lab

CONFIG = "/run/failures.yaml"
SHARED = {4: "10.244.9.9", 6: "fd00:244:9::9"}
"""An address that node2 and node3 both have (anycast): without one there is still the other."""
SHARED_CIDRS = ("10.244.9.0/24", "fd00:244:9::/64")
RATE = 250.0
FLOWS = 4
BEFORE_S = 0.5
AFTER_S = 0.7
START = ("router", "--config", CONFIG)


class Scene:
    """A running fabric; scenarios leave it whole."""

    def __init__(self, lab: Lab) -> None:
        """Take over a lab just brought up."""
        self.fabric = Fabric(lab)
        self.measured: dict[str, object] = {}
        """What one scenario measured for another."""
        self._changes: dict[str, dict[str, Any]] = {host.name: {} for host in self.fabric.hosts}

    @classmethod
    @contextmanager
    def up(cls) -> Iterator[Scene]:
        """Bring everything up for the time of the block."""
        with Lab.up(TOPOLOGY) as lab:
            scene = cls(lab)
            scene.fabric.wait_routers()
            for host in scene.fabric.hosts:
                if host is not scene.fabric.hosts[0]:
                    for address in SHARED.values():
                        host.node.run(["ip", "address", "add", address, "dev", "lo"])
                scene.write_config(host)
                host.cni.start()
                host.agent.start(*START)
            for host in scene.fabric.hosts:
                scene.make_pod(host)
            scene.wait_whole()
            yield scene

    def make_pod(self, host: Host) -> None:
        """Give a host its pod, once it knows what a pod needs."""
        facts = ["test", "-e", "/run/podroute/node.json"]
        wait_for(
            lambda: "none" if host.node.run(facts, check=False).returncode else "",
            deadline_s=20,
            what=f"{host.name}: facts for pods",
        )
        host.pods.append(host.runtime.make_pod(f"{host.name}-pod1"))

    # --- configuration ---------------------------------------------------------------------------

    def config(self, host: Host) -> dict[str, Any]:
        """Return what the host's agent is told now."""
        config = dict(host.config)
        if host is not self.fabric.hosts[0]:
            config["pod_cidrs"] = [*config["pod_cidrs"], *SHARED_CIDRS]
        return {**config, **self._changes[host.name]}

    def write_config(self, host: Host, **changes: Any) -> None:
        """Change fields of a configuration (None: as it was); the agent sees it by itself."""
        held = self._changes[host.name]
        for name, value in changes.items():
            held.pop(name, None)
            if value is not None:
                held[name] = value
        script = f"cat > {CONFIG}.new && mv {CONFIG}.new {CONFIG}"
        host.node.run(["sh", "-ec", script], input=yaml.safe_dump(self.config(host)))

    def graceful(self, *, on: bool) -> None:
        """Have graceful restart on node1 on or off, and its sessions up with it."""
        host = self.fabric.hosts[0]
        if on == ("graceful_restart_s" not in self._changes[host.name]):
            return
        since = time.time()
        self.write_config(host, graceful_restart_s=None if on else 0)
        self.restart_agent(host)
        self.fabric.wait_fresh(host, since_epoch=since)

    def restart_agent(self, host: Host) -> None:
        """End a host's agent (nothing is withdrawn) and start it again."""
        host.agent.terminate()
        host.agent.start(*START)

    # --- waiting ---------------------------------------------------------------------------------

    def ask(self, host: Host, what: str) -> Any:
        """Return what `podroute WHAT -o json` says on a host."""
        return json.loads(host.podroute(what, "-o", "json"))

    def why_not_whole(self) -> str:
        """Return "" if every session is up and every route has all its legs, else what lacks."""
        for host in self.fabric.hosts:
            reason = self.fabric.why_not_fresh(host, since_epoch=0)
            reason = reason or self.fabric.why_not_whole(host)
            if reason:
                return f"{host.name}: {reason}"
            states = {peer["name"]: peer["state"] for peer in self.ask(host, "peers")["peers"]}
            if set(states.values()) != {"established"}:
                return f"{host.name}: {states}"
        for tor in self.fabric.tors:
            for text in SHARED_CIDRS:
                routes = tor.kernel_routes(ip_network(text))
                if (ways := sum(len(r.get("nexthops", [r])) for r in routes)) != 2:
                    return f"{tor.node.name} has {ways} of 2 ways to {text}"
        return ""

    def wait_whole(self, *, deadline_s: float = 60) -> None:
        """Wait until ``why_not_whole`` has nothing to say."""
        wait_for(self.why_not_whole, deadline_s=deadline_s, what="all as it was")

    # --- traffic ---------------------------------------------------------------------------------

    def both_ways(self, *, rate: float = RATE) -> list[Group]:
        """Return flows between the pods of node1 and node2, both ways, both families."""
        one, two = (host.pods[0] for host in self.fabric.hosts[:2])
        return [
            pod_group(source, target, family, rate)
            for family in FAMILIES
            for source, target in ((one, two), (two, one))
        ]

    def to_shared(self, *, rate: float = RATE) -> list[Group]:
        """Return flows from the client to the address that node2 and node3 share."""
        _, two, three = self.fabric.hosts
        return [
            Group(
                name=f"client to a shared address, IPv{family}",
                source=self.fabric.client,
                target=two.node,
                also=(three.node,),
                address=SHARED[family],
                rate=rate,
            )
            for family in FAMILIES
        ]

    def under_traffic(
        self,
        breaking: Callable[[], float | None],
        groups: Iterable[Group] | None = None,
        *,
        after_s: float = AFTER_S,
        may_not_send: bool = False,
    ) -> tuple[Outcome, tuple[GroupResult, ...]]:
        """Break something under traffic (between node1 and node2 if not said) and count.

        ``seconds`` is what *breaking* returns, else how long it took. Senders that could not send
        are a fault unless *may_not_send*: a pod whose node has no route cannot.
        """
        with Traffic(list(groups or self.both_ways())) as traffic:
            traffic.go()
            time.sleep(BEFORE_S)
            began = time.monotonic()
            seconds = breaking()
            took = time.monotonic() - began
            time.sleep(after_s)
            results = traffic.stop()
        faults = () if may_not_send else tuple(f for r in results for f in r.faults())
        outcome = Outcome(
            seconds=round(took if seconds is None else seconds, 2),
            lost=lost_of(results),
            sent=sent_of(results),
            faults=faults,
        )
        return outcome, results


def pod_group(source: Pod, target: Pod, family: int, rate: float) -> Group:
    """Return flows from pod to pod."""
    return Group(
        name=f"{source.name} to {target.name}, IPv{family}",
        source=source,
        target=target,
        address=target.address(family),
        flows=FLOWS,
        rate=rate,
    )


def worst_gap_s(results: Iterable[GroupResult]) -> float:
    """Return the longest time that any flow saw no packet."""
    return max(result.worst_gap_ms for result in results) / 1000
