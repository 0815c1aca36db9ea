"""Who reaches an address of a Service: `vip_reached` of `./dev bench kubernetes`.

The dual-tor fabric with FRR, an agent on each of three nodes, pods on two of them behind Services,
one with traffic policy Local, one with Cluster, in both families, announced one by one and as one.
On the nodes are the rules of kube-proxy's modes, one after the other. Asked are, for each of these:
the client outside, through each ToR; a process on each node; a pod on each node. What IPVS mode is
here says `tests/support/kube_proxy.py`: the kernel's IPVS is not run.

Controls: the same askers with no rules at all, and for an address of the aggregate that no Service
has, which has to be refused at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from containerlab.demo.fabric import CLIENT_ADDRESSES, usable_legs
from containerlab.measure.check import Check, at_most, exactly
from containerlab.netlab.node import Node
from tests.support.fabric_routes import TO_TOR, teach_routes
from tests.support.kube_proxy import Mode
from tests.support.services import PORT, VIPS, Offer, Shop, shop
from tests.support.wait import NotYetError, wait_until
from tests.support.who_answers import Asked, ask_often

LOCAL: Final = Offer(name="local", vips=VIPS)
CLUSTER: Final = Offer(
    name="cluster", vips={4: "203.0.113.130", 6: "2001:db8:cafe::1:7"}, policy="Cluster"
)
AGGREGATES: Final = {4: "203.0.113.128/25", 6: "2001:db8:cafe::1:0/112"}
UNUSED: Final = {4: "203.0.113.200", 6: "2001:db8:cafe::1:200"}
SETTINGS: Final[dict[str, Any]] = {
    "announce": {"services": {"load_balancer": True, "aggregate": {"ipv4": 25, "ipv6": 112}}},
    "cluster": {"service_prefixes": ["203.0.113.0/24", "2001:db8:cafe::/48"]},
}
TIMES: Final = 4
REFUSED_S: Final = 0.5


class Asker(NamedTuple):
    """Somewhere a connection can begin."""

    name: str
    place: Node
    enter: Sequence[str] = ()
    tor: int | None = None
    """Index of the ToR that the client is to go through."""

    def ask(self, address: str, *, times: int = TIMES, timeout_s: float = 1.5) -> list[Asked]:
        return ask_often(
            self.place, address, PORT, times=times, timeout_s=timeout_s, enter=self.enter
        )


def measure_vips() -> list[Check]:
    """Return the checks of one run."""
    with shop(nodes=3, settings=SETTINGS) as lab:
        prepare(lab)
        reached, missed = {}, []
        for mode in Mode:
            lab.use_rules(mode)
            found = [each for offer in (LOCAL, CLUSTER) for each in reach(lab, offer)]
            reached[mode.value] = f"{sum(not why for _, why in found)} of {len(found)}"
            missed += [f"{mode.value}: {who}: {why}" for who, why in found if why]
            total = len(found) * len(Mode)
        refused_ms, unrefused = refuse(lab)
        lab.use_rules(None)
        without = [asker for offer in (LOCAL, CLUSTER) for asker in reached_without(lab, offer)]
        packets = [rejected(lab, host.name) for host in lab.hosts]
    return [
        Check(
            name="vip_reached",
            value=round((total - len(missed)) / total, 4),
            unit="of all",
            bound=exactly(1.0),
            samples={**reached, "ipvs": f"{reached['ipvs']}, without the kernel's IPVS"},
            faults=tuple(missed[:10]),
        ),
        Check(
            name="vip_reached_without_rules",
            value=len(without),
            unit="askers",
            bound=exactly(0),
            samples=without[:10],
        ),
        Check(
            name="vip_unused_refused_ms_max",
            value=round(max(refused_ms, default=float("nan")), 1),
            unit="ms",
            bound=at_most(REFUSED_S * 1e3),
            samples={"asked": len(refused_ms), "packets rejected by node": packets},
            faults=tuple(unrefused[:10]),
        ),
    ]


def prepare(lab: Shop) -> None:
    """Make the Services, and the routes that a fabric has and this one has not."""
    for offer in (LOCAL, CLUSTER):
        lab.make_service(offer)
        lab.set_endpoints(offer.name, node1="ready", node2="ready")
    lab.wait_announced_by(*lab.hosts[:2])
    lab.wait_announced_by(*lab.hosts, prefixes=AGGREGATES.values())
    teach_routes(lab)
    wait_until(lambda: settled(lab), deadline_s=15, what="the fabric has ways to all nodes")


def settled(lab: Shop) -> bool:
    for tor in lab.fabric.tors:
        for prefix, ways in (
            *((f"{vip}/{32 if family == 4 else 128}", 2) for family, vip in VIPS.items()),
            *((aggregate, 3) for aggregate in AGGREGATES.values()),
        ):
            if (found := usable_legs(tor.node, ip_network(prefix))) != ways:
                raise NotYetError(f"{tor.node.name}: {found} ways to {prefix}")
    return True


def askers(lab: Shop) -> list[Asker]:
    """Return everybody who asks."""
    return [
        *(Asker(f"client by tor{i + 1}", lab.client, tor=i) for i in range(len(lab.fabric.tors))),
        *(Asker(f"process on {host.name}", host.node) for host in lab.hosts),
        *(
            Asker(f"pod on {host.name}", host.node, ("ip", "netns", "exec", "web"))
            for host in lab.hosts
        ),
    ]


def asking(lab: Shop, addresses: dict[int, str]) -> Iterator[tuple[Asker, int, str]]:
    """Yield everybody for each address; the client's way is as the asker says meanwhile."""
    for family, address in addresses.items():
        for asker in askers(lab):
            if asker.tor is not None:
                route = [address, "via", TO_TOR[family][asker.tor], "metric", "1"]
                route += ["src", CLIENT_ADDRESSES[family]]
                lab.client.run(["ip", "route", "replace", *route])
            yield asker, family, address
            if asker.tor is not None:
                lab.client.run(["ip", "route", "delete", address, "metric", "1"])


def reach(lab: Shop, offer: Offer) -> Iterator[tuple[str, str]]:
    """Yield who asked which Service, and why it was not reached: "" if it was, every time."""
    for asker, family, address in asking(lab, dict(offer.vips)):
        answers = asker.ask(address)
        failures = [each.failure for each in answers if each.failure]
        why = failures[0] if failures else ""
        if not why and asker.tor is not None and offer.policy == "Local":
            strangers = {each.client for each in answers} - {CLIENT_ADDRESSES[family]}
            why = f"taken for {', '.join(strangers)}" if strangers else ""
        yield f"{asker.name}, {offer.name}, IPv{family}", why


def reached_without(lab: Shop, offer: Offer) -> list[str]:
    """Return who reached a Service although no rule leads there."""
    return [
        f"{asker.name}, {offer.name}, IPv{family}"
        for asker, family, address in asking(lab, dict(offer.vips))
        if not asker.ask(address, times=1, timeout_s=0.5)[0].failure
    ]


def refuse(lab: Shop) -> tuple[list[float], list[str]]:
    """Return how long each took to hear that nobody has an address, and who did not hear it.

    Processes on nodes are not asked: their packets go to a ToR, and one that comes back to its own
    node is dropped there for its source.
    """
    took_ms, problems = [], []
    refusal = os.strerror(errno.ECONNREFUSED)
    for asker, family, address in asking(lab, dict(UNUSED)):
        if asker.tor is None and not asker.enter:
            continue
        for each in asker.ask(address, times=2, timeout_s=2):
            took_ms.append(each.took_s * 1e3)
            if refusal not in each.failure:
                problems.append(f"{asker.name}, IPv{family}: {each.text}")
    return took_ms, problems


def rejected(lab: Shop, name: str) -> int:
    """Return how many packets a node has rejected, by its own table."""
    (host,) = (each for each in lab.hosts if each.name == name)
    shown = host.node.run(["nft", "list", "table", "inet", "podroute-services"]).stdout
    words = shown.split()
    return sum(int(words[i + 2]) for i, word in enumerate(words) if word == "counter")
