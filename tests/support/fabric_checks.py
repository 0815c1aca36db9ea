"""RunningFabric: a fabric of `containerlab/` that runs podroute, and what must hold on all of them.

The nodes are those with a `config.yaml`; everything is looked at from outside: the kernels' routes,
packets at the receiver, `podroute peers`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.fabric import Host, host_of, usable_legs
from containerlab.demo.pod import Pod
from containerlab.demo.populate import configured
from containerlab.demo.tor import Network, packets_sent
from containerlab.measure.flows import Group, GroupResult, Traffic
from containerlab.measure.pings import ping_all
from containerlab.measure.place import Place
from containerlab.measure.sources import Question, ask, servers
from containerlab.netlab import Lab
from containerlab.netlab.__main__ import fabrics
from containerlab.netlab.node import Interface, Node
from tests.support.wait import NotYetError, wait_until

FAMILIES = (4, 6)
START_S = 40.0
# A flow sends every 10 ms; the receiver sees the first packet that much later at the latest.
BEFORE_S = 1.0
# Of the 3200 packets of that second.
LEAST_CARRIED = 200


class RunningFabric:
    """A lab that is up, podroute on its nodes; `routers` forward and must know every pod CIDR."""

    def __init__(
        self,
        lab: Lab,
        *,
        routers: Iterable[str],
        legs: int,
        ways: Callable[[str, str], int] = lambda _router, _node: 1,
    ) -> None:
        """Take over a lab just brought up; *legs*: next hops of a route to another node's pods.

        *ways* gives how many a router needs at least, by its name, to the pods of the node named.
        """
        self.lab = lab
        self.legs = legs
        self._ways = ways
        self.routers = tuple(lab.nodes[name] for name in routers)
        self.hosts = tuple(host_of(node) for node in configured(lab))

    def host(self, name: str) -> Host:
        """Return one of the nodes that run podroute."""
        return next(host for host in self.hosts if host.name == name)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods."""
        return tuple(pod for host in self.hosts for pod in host.pods)

    def start(self) -> None:
        """Start agents and CNI servers, wait until all is learned, make a pod on each node."""
        self.start_agents()
        self.start_pods()

    def start_agents(self) -> None:
        """Start the agents, and nothing else; wait until all is learned."""
        for host in self.hosts:
            host.agent.start()
        self.wait_whole()

    def start_pods(self) -> None:
        """Start the CNI servers and attach a pod on each node, by the plugin's executable."""
        for host in self.hosts:
            host.cni.start()
        for host in self.hosts:
            host.pods.append(host.runtime.make_pod(f"{host.name}-pod1"))

    def wait_whole(self, *, deadline_s: float = START_S) -> None:
        """Wait until all sessions are established and every kernel has every way."""
        for host in self.hosts:
            wait_until(
                lambda host=host: all_established(host),  # type: ignore[misc]
                deadline_s=deadline_s,
                what=f"{host.name}: all sessions",
            )
        wait_until(self._is_whole, deadline_s=deadline_s, what="every kernel has every way")

    def _is_whole(self) -> bool:
        lacking = [
            f"{host.name}: {legs} of {self.legs} legs to {network}"
            for host in self.hosts
            for network in self._others(host)
            if (legs := usable_legs(host.node, network)) != self.legs
        ]
        lacking += [
            f"{router.name}: {ways} of {least} ways to {network}"
            for router in self.routers
            for host in self.hosts
            for network in host.pod_cidrs
            if (ways := usable_legs(router, network))
            < (least := self._ways(router.name, host.name))
        ]
        if lacking:
            raise NotYetError("; ".join(lacking))
        return True

    def _others(self, host: Host) -> tuple[Network, ...]:
        return tuple(n for other in self.hosts if other is not host for n in other.pod_cidrs)

    # --- what must hold --------------------------------------------------------------------------

    def check_first_packets(self) -> None:
        """Every pod and every node pings every pod; not one packet is lost, the first included."""
        addresses = [pod.address(family) for family in FAMILIES for pod in self.pods]
        askers: list[Place] = [*self.pods, *(host.node for host in self.hosts)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            rows = list(pool.map(lambda asker: ping_all(asker, addresses), askers))
        lossy = [result for row in rows for result in row if result.lost]
        assert not lossy
        assert sum(len(row) for row in rows) == len(askers) * len(addresses)

    def check_that_pings_can_fail(self) -> None:
        """Ping addresses that no pod has, the control: everything must be lost."""
        unused = [str(network[-2]) for network in self.hosts[0].pod_cidrs]
        answers = ping_all(self.hosts[-1].node, unused)
        assert [answer.received for answer in answers] == [0] * len(unused)

    def check_sources(self, outside: dict[Node, dict[int, str]] | None = None) -> None:
        """Whoever connects to a pod is seen there under its own address.

        *outside*: more askers, with the address each must be seen under per family.
        """
        questions = list(self._questions())
        for node, seen in (outside or {}).items():
            questions += [
                Question(name=f"{node.name} IPv{f}", asker=node, address=p.address(f), expected=a)
                for f, a in seen.items()
                for p in self.pods
            ]
        with servers(self.pods):
            answers = ask(questions)
        assert len(answers) == len(questions) > 0
        assert not [answer.to_sample() for answer in answers if not answer.kept]

    def _questions(self) -> Iterator[Question]:
        for family in FAMILIES:
            for host in self.hosts:
                for pod in self.pods:
                    askers: list[tuple[Place, str]] = [(host.node, host.address(family))]
                    askers += [(one, one.address(family)) for one in host.pods if one is not pod]
                    for asker, own in askers:
                        name = f"{asker.name} to {pod.name}, IPv{family}"
                        yield Question(
                            name=name, asker=asker, address=pod.address(family), expected=own
                        )

    def check_withdrawal(self, name: str, *, seen_by: str, deadline_s: float = 5) -> None:
        """`podroute stop --withdraw` on a node takes its pod CIDRs out of every other kernel.

        *seen_by*: the node whose pod sends to the leaving node's pod meanwhile and must lose
        packets, the control for "nothing lost" elsewhere.
        """
        leaving = self.host(name)
        others = [host.node for host in self.hosts if host is not leaving] + list(self.routers)

        def leave() -> None:
            leaving.podroute("stop", "--withdraw")
            leaving.agent.wait_ended("stop --withdraw")

        def gone() -> bool:
            left = [
                f"{n.name}: {c}" for n in others for c in leaving.pod_cidrs if usable_legs(n, c)
            ]
            if left:
                raise NotYetError(str(left))
            return True

        source, target = self.host(seen_by).pods[0], leaving.pods[0]
        assert self.lost_while(source, target, leave, s=1) > 0
        wait_until(gone, deadline_s=deadline_s, what=f"{name}'s routes gone everywhere")
        leaving.agent.start()
        self.wait_whole()
        self.check_first_packets()

    @contextmanager
    def traffic(self, source: Place, target: Pod, results: list[GroupResult]) -> Iterator[None]:
        """Send 16 flows in each family for the time of the block; append what came of them.

        The flows run for a second before the block begins.
        """
        groups = [
            Group(
                name=f"{source.name} to {target.name}, IPv{family}",
                source=source,
                target=target,
                address=target.address(family),
            )
            for family in FAMILIES
        ]
        with Traffic(groups) as traffic:
            traffic.go()
            time.sleep(BEFORE_S)
            yield
            results += traffic.stop()
        assert not [fault for result in results for fault in result.faults()]

    def lost_while(self, source: Pod, target: Pod, what: Callable[[], None], *, s: float) -> int:
        """Return how many packets were lost while *what* was done and for *s* seconds after."""
        results: list[GroupResult] = []
        with self.traffic(source, target, results):
            what()
            time.sleep(s)
        return sum(result.lost for result in results)

    def worst_gap_ms(
        self,
        source: Pod,
        target: Pod,
        what: Callable[[], None],
        *,
        s: float,
        over: Sequence[Interface],
    ) -> float:
        """Return the longest silence of any flow while *what* was done and for *s* s after.

        *over* are ends that must have sent some of the packets just before, else the cut of their
        links would prove nothing.
        """
        results: list[GroupResult] = []
        before = _sent(over)
        with self.traffic(source, target, results):
            carried = _sent(over) - before
            assert carried > LEAST_CARRIED, f"{over} sent only {carried} packets before"
            what()
            time.sleep(s)
        gap_ms = max(result.worst_gap_ms for result in results)
        lost = sum(result.lost for result in results)
        names = ", ".join(f"{end.node.name}:{end.name}" for end in over)
        print(f"{source.name} to {target.name} without {names}: {gap_ms:.0f} ms, {lost} lost")
        return gap_ms


def _sent(ends: Iterable[Interface]) -> int:
    return sum(packets_sent(end.node)[end.name] for end in ends)


def ask_agent(host: Host, what: str) -> Any:
    """Return what `podroute WHAT -o json` says on a node."""
    return json.loads(host.podroute(what, "-o", "json"))


def all_established(host: Host) -> bool:
    """True when a node's agent has sessions, all established; else NotYetError says which not."""
    assert host.agent.pid  # an agent that ended says so now, not at the deadline
    done = host.node.run([PODROUTE, "peers", "-o", "json"], check=False, timeout_s=20)
    if done.returncode:
        raise NotYetError(done.stderr)
    peers = json.loads(done.stdout)["peers"]
    lacking = [p for p in peers if p["state"] != "established"]
    if lacking or not peers:
        told = [
            f"{p['name']} {p['state']}: {p.get('reason') or p.get('last_down')}" for p in lacking
        ]
        raise NotYetError("; ".join(told) or "no peers")
    return True


def ways_between_racks(router: str, node: str) -> int:
    """Return the ways of a spine or ToR in a fabric of racks of two ToRs: node12 is in rack 1."""
    rack = node.removeprefix("node")[0]
    return 1 if router.startswith(f"tor{rack}") else 2


def bring_up(name: str) -> Lab:
    """Bring up the fabric of this name."""
    return Lab.up(fabrics()[name], {})
