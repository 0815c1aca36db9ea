"""Rows 10 and 14: what other programs do to a node's kernel, and addresses that nobody has."""

from __future__ import annotations

import time
from collections.abc import Callable

from containerlab.demo.fabric import FAMILIES, wait_for
from containerlab.demo.tor import packets_sent
from containerlab.failures.kernel import LEARNED, ours, repairs
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import START, Scene, worst_gap_s
from containerlab.measure.check import at_most
from containerlab.netlab.node import Node

REPAIR_S = 1.0
UNREPAIRED_S = 1.5
UPLINK = "eth1"
"""node1's and tor1's name of the link between them."""
LEAST_CARRIED = 100
"""Packets before it is disturbed, each way; all flows send 2000 in that time."""
UNUSED = {4: "10.244.1.250", 6: "fd00:244:1::fa11"}
# Not `ip route flush`: iproute2 sends back what it was told of a route, next hops and the id of the
# nexthop object, and the kernel refuses both in one message (rtm_to_fib_config: EINVAL).
_DELETE = f"""
for family in -4 -6; do
    ip $family route show proto {LEARNED} | sed -n 's/^\\([0-9a-f][^ ]*\\) .*/\\1/p' |
        sed "s/^/route delete /; s/$/ proto {LEARNED}/" | ip $family -batch -
done
"""
_FLUSH_ROUTES = (("sh", "-ec", _DELETE),)
_FLUSH_NEXTHOPS = (("ip", "nexthop", "flush", "proto", LEARNED),)


def _flushed(commands: tuple[tuple[str, ...], ...]) -> Callable[[Scene], Outcome]:
    """Remove the agent's objects from node1's kernel; time until all are as before, counted."""

    def run(scene: Scene) -> Outcome:
        host = scene.fabric.hosts[0]
        before, counted = ours(host.node), repairs(host)

        def breaking() -> float:
            for command in commands:
                host.node.run(command)
            began = time.monotonic()
            wait_for(
                lambda: "" if ours(host.node) == before else "not yet",
                deadline_s=10,
                what="all of the agent's routes as before",
            )
            return time.monotonic() - began

        outcome, _ = scene.under_traffic(breaking, may_not_send=True)
        more = repairs(host) - counted
        return Outcome(
            seconds=outcome.seconds,
            lost=outcome.lost,
            sent=outcome.sent,
            note=f"{more} repairs counted",
            faults=() if more > 0 else ("no repair was counted",),
        )

    return run


def _flushed_alone(scene: Scene) -> Outcome:
    """Do the same without an agent."""
    host = scene.fabric.hosts[0]
    scene.graceful(on=True)
    host.agent.terminate()

    def breaking() -> None:
        for command in _FLUSH_ROUTES:
            host.node.run(command)
        time.sleep(UNREPAIRED_S)

    outcome, _ = scene.under_traffic(breaking, may_not_send=True)
    host.agent.start(*START)
    return outcome


def _link_down_and_up(scene: Scene) -> Outcome:
    node = scene.fabric.hosts[0].node

    def breaking() -> None:
        node.run(["ip", "link", "set", UPLINK, "down"])
        time.sleep(REPAIR_S)
        node.run(["ip", "link", "set", UPLINK, "up"])

    return _disturbed(scene, breaking)


def _addresses_flushed(scene: Scene) -> Outcome:
    """Take the uplink's addresses and give them back, as networkd does when it reconfigures."""
    node = scene.fabric.hosts[0].node

    def breaking() -> None:
        found = _addresses(node)
        node.run(["ip", "address", "flush", "dev", UPLINK, "scope", "global"])
        for address in found:
            nodad = ["nodad"] if ":" in address else []
            node.run(["ip", "address", "add", address, "dev", UPLINK, *nodad])

    return _disturbed(scene, breaking)


def _addresses(node: Node) -> list[str]:
    text = node.run(["ip", "-o", "address", "show", "dev", UPLINK, "scope", "global"]).stdout
    return [line.split()[3] for line in text.splitlines()]


def _disturbed(scene: Scene, breaking: Callable[[], None]) -> Outcome:
    """Disturb an uplink; the worst flow counts, then all legs must come back."""
    host = scene.fabric.hosts[0]
    before = ours(host.node)
    ended: list[float] = []
    ends = (host.node, scene.fabric.tors[0].node)
    idle = [packets_sent(node)[UPLINK] for node in ends]
    carried: list[int] = []

    def whole() -> float | None:
        carried.extend(packets_sent(node)[UPLINK] for node in ends)
        breaking()
        ended.append(time.monotonic())
        scene.wait_whole()
        return None

    outcome, results = scene.under_traffic(whole, may_not_send=True)
    back_s = time.monotonic() - ended[0]
    after = ours(host.node)
    faults = [f"new {after - before}, gone {before - after}"] if after != before else []
    used = [now - then for now, then in zip(carried, idle, strict=True)]
    if min(used) < LEAST_CARRIED:
        faults.append(f"the uplink's ends had sent only {used} packets before")
    return Outcome(
        seconds=round(worst_gap_s(results), 2),
        lost=outcome.lost,
        sent=outcome.sent,
        note=f"all sessions and legs back {back_s:.1f} s after it ended",
        faults=tuple(faults),
    )


# --- addresses that nobody has -------------------------------------------------------------------


def _ping_unused(scene: Scene) -> Outcome:
    """Ping an unused address of node1's pod CIDRs from outside: the node says that it is none."""
    answers = _answers(scene)
    faults = [f"{address}: {text}" for address, text in answers.items() if "nreachable" not in text]
    return Outcome(note="unreachable, in both families", faults=tuple(faults))


def _ping_unused_in_a_loop(scene: Scene) -> Outcome:
    """Do so without the own CIDRs' routes, on a node whose default route points to the ToR."""
    host = scene.fabric.hosts[0]
    defaults = (("-4", "10.0.1.2"), ("-6", "fd00:0:1::2"))
    scene.graceful(on=True)
    host.agent.terminate()
    for cidr in map(str, host.pod_cidrs):
        host.node.run(["ip", "route", "delete", "unreachable", cidr])
    for family, gateway in defaults:
        host.node.run(["ip", family, "route", "add", "default", "via", gateway])
    try:
        answers = _answers(scene)
    finally:
        for family, gateway in defaults:
            host.node.run(["ip", family, "route", "delete", "default", "via", gateway])
        host.agent.start(*START)
    loops = [text for text in answers.values() if "exceeded" in text]
    faults = () if len(loops) == len(answers) else (f"no loop: {answers}",)
    return Outcome(note="the packets go round until their TTL is used up", faults=faults)


def _answers(scene: Scene) -> dict[str, str]:
    return {
        UNUSED[family]: scene.fabric.client.run(
            ["ping", "-n", "-c", "1", "-W", "2", UNUSED[family]], check=False
        ).stdout
        for family in FAMILIES
    }


SCENARIOS = (
    Scenario(
        row="10a",
        name="routes_flushed",
        broken="every route of protocol 74 is deleted, both families",
        rule="repaired within 1 s, and counted",
        timed="until every route is as before",
        run=_flushed(_FLUSH_ROUTES),
        seconds=at_most(REPAIR_S),
        control=_flushed_alone,
        controlled="without an agent, 1.5 s",
    ),
    Scenario(
        row="10b",
        name="nexthops_flushed",
        broken="`ip nexthop flush proto 74`",
        rule="repaired within 1 s, and counted",
        timed="until every route is as before",
        run=_flushed(_FLUSH_NEXTHOPS),
        seconds=at_most(REPAIR_S),
    ),
    Scenario(
        row="10c",
        name="link_down_up",
        broken="`ip link set` an uplink down, and up 1 s later",
        rule="no flow is silent for more than 1 s; every leg comes back",
        timed="worst flow",
        run=_link_down_and_up,
        seconds=at_most(REPAIR_S),
    ),
    Scenario(
        row="10d",
        name="addresses_flushed",
        broken="an uplink's addresses are flushed and set anew, as networkd does",
        rule="no flow is silent for more than 1 s; every leg comes back",
        timed="worst flow",
        run=_addresses_flushed,
        seconds=at_most(REPAIR_S),
    ),
    Scenario(
        row="14",
        name="unused_address",
        broken="ping from outside to an address of the pod CIDR that no pod has",
        rule="unreachable, the TTL is not used up",
        run=_ping_unused,
        control=_ping_unused_in_a_loop,
        controlled="without the CIDR's `unreachable` route, default route to the ToR",
        control_loses=False,
    ),
)
