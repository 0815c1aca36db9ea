"""Rows 4 and 7: links that drop everything with their carrier kept; only the hold time helps.

Both at once, since both wait for hold timers: node1's link to tor1 falls silent in both directions
(a ToR that is lost behind a media converter, a broken fibre), and node3 loses power behind a
switch: its links fall silent, then its agent and speaker are killed. The flows to the address that
node2 and node3 share show, at the receivers, when the ToRs forget node3.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

from containerlab.demo.fabric import CLIENT_ADDRESSES, FAMILIES
from containerlab.demo.tor import RouteWatch, packets_sent
from containerlab.failures.scenario import Outcome, Scenario, lost_of, sent_of
from containerlab.failures.scene import BEFORE_S, START, Scene, worst_gap_s
from containerlab.measure.check import at_most
from containerlab.measure.flows import Group, GroupResult, Traffic

BOUND_S = 10.0
SILENT_S = 12.0
RATE = 50.0
LEAST_S = 3.0
"""No session can go sooner than 9 s after the last message, which is at most 3 s old; a gap well
below means that the silent links carried nothing that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What one silence did."""

    links: tuple[GroupResult, ...]
    """Flows between node1 and others, over its silent link."""
    power: tuple[GroupResult, ...]
    """Flows to the shared address of the node that lost power."""
    forgotten_s: dict[str, float]
    """When each ToR's kernel forgot each of its pod CIDRs."""
    faults: tuple[str, ...]


def fall_silent(scene: Scene) -> Silence:
    """Do it, and heal everything; the caller waits until all is whole again."""
    one, _, three = scene.fabric.hosts
    silent = [one.node.interface("eth1"), *three.node.interfaces.values()]
    with ExitStack() as stack:
        watches = [stack.enter_context(RouteWatch(tor)) for tor in scene.fabric.tors]
        shared = scene.to_shared(rate=RATE)
        traffic = stack.enter_context(Traffic([*_groups(scene), *shared]))
        speakers = three.agent.speaker_pids()
        traffic.go()
        time.sleep(2 * BEFORE_S)
        began = time.monotonic()
        for link in silent:
            link.drop()
            link.other.drop()
        three.agent.kill(*speakers)
        time.sleep(SILENT_S)
        before = packets_sent(one.node)["eth1"]
        results = traffic.stop()
        late = packets_sent(one.node)["eth1"] - before
        moments = {
            f"{network} on {watch.tor.node.name}": watch.removed(network)
            for watch in watches
            for network in three.pod_cidrs
        }
    for link in silent:
        link.heal()
        link.other.heal()
    three.agent.start(*START)
    faults = [fault for result in results for fault in result.faults()]
    faults += [f"never saw {name} go" for name, at in moments.items() if at is None]
    # A session that is tried again sends a few packets; flows would send hundreds.
    if late > RATE:
        faults.append(f"node1 still sends over its silent link at the end ({late} packets)")
    return Silence(
        links=results[: -len(shared)],
        power=results[-len(shared) :],
        forgotten_s={name: round(at - began, 2) for name, at in moments.items() if at is not None},
        faults=tuple(faults),
    )


def _groups(scene: Scene) -> list[Group]:
    one, two, _ = scene.fabric.hosts
    client = scene.fabric.client
    return [
        Group(
            name=f"{source.name} to {target.name}, IPv{family}",
            source=source,
            target=target,
            address=address,
            rate=RATE,
        )
        for family in FAMILIES
        for source, target, address in (
            (one.node, two.node, two.address(family)),
            (two.node, one.node, one.address(family)),
            (one.node, client, CLIENT_ADDRESSES[family]),
            (client, one.node, one.address(family)),
        )
    ]


def _silence(scene: Scene) -> Silence:
    """Return the one silence that both scenarios share."""
    found = scene.measured.get("silence")
    if not isinstance(found, Silence):
        found = scene.measured["silence"] = fall_silent(scene)
    return found


def _outcome(silence: Silence, results: tuple[GroupResult, ...], note: str) -> Outcome:
    gap_s = worst_gap_s(results)
    nothing = () if gap_s > LEAST_S else (f"{gap_s:.1f} s: nothing was silent",)
    return Outcome(
        seconds=round(gap_s, 2),
        lost=lost_of(results),
        sent=sent_of(results),
        note=note,
        faults=(*silence.faults, *nothing),
    )


def power_off(scene: Scene) -> Outcome:
    """Row 4."""
    silence = _silence(scene)
    latest = max(silence.forgotten_s.values(), default=0.0)
    note = f"its pod CIDRs left the last ToR's kernel after {latest:.1f} s"
    return _outcome(silence, silence.power, note)


def silent_tor(scene: Scene) -> Outcome:
    """Row 7, without carrier loss."""
    silence = _silence(scene)
    return _outcome(silence, silence.links, "")


SCENARIOS = (
    Scenario(
        row="4",
        name="power_off",
        broken="a node loses power behind a switch that keeps the ToRs' links up",
        rule="the ToRs forget it within its hold time of 9 s; graceful restart adds nothing",
        timed="worst flow to an address that another node has, too",
        run=power_off,
        seconds=at_most(BOUND_S),
    ),
    Scenario(
        row="7b",
        name="silent_tor",
        broken="a link to one ToR passes nothing in either direction, its carrier stays; no BFD",
        rule="both ends leave it within the hold time of 9 s",
        timed="worst flow",
        run=silent_tor,
        seconds=at_most(BOUND_S),
    ),
)
