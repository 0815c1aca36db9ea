"""The demo in its order: fabric, daemons, pods, checks, and everything taken away again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from containerlab.demo import failure, steady
from containerlab.demo.fabric import TOPOLOGY, Fabric
from containerlab.demo.leftovers import Snapshot, left_behind, namespaces_of
from containerlab.measure.check import Check, exactly, failed
from containerlab.netlab import Lab, keeper
from router.kernel.protocols import POD_LINK_GROUP

PODS_PER_NODE = 2

# name of the check, how it is done; in this order, since some need what an earlier one left.
_STEPS: tuple[tuple[str, str, Callable[[Fabric], Check]], ...] = (
    ("sessions_established", "every BGP session", steady.check_sessions),
    ("ping_lost", "ping from every pod to every pod", steady.check_pings),
    ("source_kept", "whom the receiver of a connection sees", steady.check_sources),
    ("ecmp_legs_used", "both uplinks carry traffic", steady.check_legs),
    ("link_cut_gap_ms", "a ToR's link goes down", failure.check_link_cut),
    ("speaker_agent_kill_lost", "kill -9 of speaker and agent", failure.check_kill),
    ("control_lost", "the same without graceful restart", failure.check_control),
    ("withdraw_ms", "a node leaves for good", failure.check_withdraw),
)
_QUICK_LEAVES_OUT = frozenset({"control_lost"})


class Demo:
    """One run; ``run`` returns its checks."""

    def __init__(self, *, keep: bool, quick: bool) -> None:
        """Keep the lab up at the end, or leave the slowest check out."""
        self._keep = keep
        self._quick = quick
        self._checks: list[Check] = []

    def run(self) -> tuple[Check, ...]:
        """Do everything; a check that cannot be made is a failed check, not an exception."""
        before = Snapshot.take()
        with _told("fabric dual-tor: 2 ToRs, 3 nodes, a client"):
            lab = self._bring_up()
        spaces = namespaces_of(node.pid for node in lab.nodes.values())
        try:
            self._work(lab)
        finally:
            if self._keep:
                lab.down()  # gives up our handles; the keeper holds the lab
            else:
                with _told("everything taken away"):
                    lab.down()
        if not self._keep:
            self._checks.append(_left_behind(before, spaces))
        return tuple(self._checks)

    def _bring_up(self) -> Lab:
        if not self._keep:
            return Lab.up(TOPOLOGY)
        keeper.start(TOPOLOGY)
        return Lab.attach(TOPOLOGY)

    def _work(self, lab: Lab) -> None:
        fabric = Fabric(lab)
        ready = self._step("start_to_tor_fib_ms", "daemons start, node by node", _start, fabric)
        if ready and not self._make_pods(fabric):
            ready = False
        for name, what, check in _STEPS:
            if self._quick and name in _QUICK_LEAVES_OUT:
                continue
            if ready:
                self._step(name, what, check, fabric)
            else:
                fault = "not measured: the daemons or pods before it failed"
                self._checks.append(failed(name, "", exactly(0), fault))
        if ready and self._keep:
            with _told("the node that left comes back"):
                _rejoin(fabric)
        elif ready:
            self._remove_pods(fabric)

    def _step(self, name: str, what: str, check: Callable[[Fabric], Check], fabric: Fabric) -> bool:
        try:
            with _told(what):
                made = check(fabric)
        except Exception as error:  # whatever went wrong is this check's failure
            made = failed(name, "", exactly(0), f"{type(error).__name__}: {error}")
            _say(f"  failed: {error}")
        self._checks.append(made)
        return made.value == made.value  # a number at all

    def _make_pods(self, fabric: Fabric) -> bool:
        try:
            with _told(f"{PODS_PER_NODE} pods on each node, by the CNI plugin"):
                for host in fabric.hosts:
                    for number in range(1, PODS_PER_NODE + 1):
                        name = f"{host.name}-pod{number}"
                        host.pods.append(host.runtime.make_pod(name))
                for host in fabric.hosts:
                    fabric.wait_whole(host)
        except Exception as error:
            self._checks.append(failed("pods_attached", "pods", exactly(6), str(error)))
            return False
        return True

    def _remove_pods(self, fabric: Fabric) -> None:
        """Detach all pods; what a DEL leaves in its node is a failed check."""
        try:
            with _told("pods detached"):
                for host in fabric.hosts:
                    for pod in host.pods:
                        host.runtime.remove_pod(pod)
                    left = host.node.run(
                        ["ip", "-o", "link", "show", "group", str(POD_LINK_GROUP)]
                    ).stdout
                    if left:
                        raise RuntimeError(f"{host.name}: pod links after DEL: {left}")
                for host in fabric.hosts:
                    host.agent.terminate()
                    host.cni.terminate()
        except Exception as error:
            self._checks.append(failed("pods_detached", "pods", exactly(6), str(error)))


def _start(fabric: Fabric) -> Check:
    fabric.wait_routers()
    return steady.start_daemons(fabric)


def _rejoin(fabric: Fabric) -> None:
    """Start the agent of the node that left again, so that a kept lab is whole."""
    host = fabric.hosts[-1]
    since = time.time()
    host.agent.start()
    fabric.wait_fresh(host, since_epoch=since)
    for other in fabric.hosts:
        fabric.wait_whole(other)


def _left_behind(before: Snapshot, spaces: frozenset[str]) -> Check:
    left = left_behind(before, spaces)
    return Check(
        name="left_behind", value=len(left), unit="things", bound=exactly(0), samples=list(left)
    )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say on standard error what is being done, and how long it took."""
    start = time.monotonic()
    sys.stderr.write(f"demo: {what} ... ")
    sys.stderr.flush()
    try:
        yield
    finally:
        _say(f"{time.monotonic() - start:.1f} s")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
