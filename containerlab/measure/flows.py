"""Traffic: UDP flows between places, what came of them, flow by flow.

A packet counts as lost when it was due by the sender's plan and never arrived, also when the
kernel refused to send it (no route is a loss to a pod). Everything is counted at the receiver.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from containerlab.measure.place import Place, Probe

PORT = 5005
FIRST_SOURCE_PORT = 40000
# What is under way when the senders stop still gets this long to arrive.
DRAIN_S = 0.25
LEAST_SENT = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Flows between two places: *flows* source ports, *rate* packets a second on each."""

    name: str
    source: Place
    target: Place
    address: str
    flows: int = 16
    rate: float = 100.0
    also: tuple[Place, ...] = ()
    """Other places that have the address, too (anycast); a packet counts wherever it arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowResult:
    """What came of one flow; ``gap_ms`` is the longest time without a packet, ends included."""

    attempted: int
    received: int
    twice: int
    gap_ms: float

    @property
    def lost(self) -> int:
        """Packets that were due and never arrived."""
        return self.attempted - self.received


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """What came of a group of flows; the sender's figures cover all groups of its place."""

    name: str
    flows: tuple[FlowResult, ...]
    planned: int
    sent: int
    send_errors: tuple[str, ...]
    late_ms: float

    @property
    def lost(self) -> int:
        """Packets lost in all flows."""
        return sum(flow.lost for flow in self.flows)

    @property
    def attempted(self) -> int:
        """Packets due in all flows."""
        return sum(flow.attempted for flow in self.flows)

    @property
    def worst_gap_ms(self) -> float:
        """The longest time that any of the flows saw no packet."""
        return max(flow.gap_ms for flow in self.flows)

    def faults(self) -> tuple[str, ...]:
        """Say why these numbers would prove nothing: too little of the plan was carried out."""
        if self.planned == 0 or self.sent < LEAST_SENT * self.planned:
            errors = f" ({', '.join(self.send_errors)})" if self.send_errors else ""
            return (f"{self.name}: only {self.sent} of {self.planned} packets sent{errors}",)
        return ()

    def to_sample(self) -> dict[str, int | float | str]:
        """Return the numbers for a report."""
        return {
            "flows": self.name,
            "planned": self.planned,
            "sent": self.sent,
            "attempted": self.attempted,
            "lost": self.lost,
            "twice": sum(flow.twice for flow in self.flows),
            "worst_gap_ms": _finite(self.worst_gap_ms),
            "sender_late_ms": round(self.late_ms, 1),
        }


class Traffic:
    """Running flows: made ready by entering, started by ``go``, ended by ``stop``."""

    def __init__(self, groups: Sequence[Group]) -> None:
        """Plan the flows; nothing runs yet."""
        self._groups = tuple(groups)
        self._ids: dict[str, range] = {}
        first = 0
        for group in groups:
            self._ids[group.name] = range(first, first + group.flows)
            first += group.flows

    def __enter__(self) -> Self:
        """Start receivers and senders; return when all are ready, nothing sent yet."""
        self._receivers = {
            place: Probe(place, "udp_probe", "receive", json.dumps({"port": PORT}))
            for place in {p for group in self._groups for p in (group.target, *group.also)}
        }
        self._senders = {
            (source, rate): Probe(source, "udp_probe", "send", self._plan(source, rate))
            for source, rate in {(group.source, group.rate) for group in self._groups}
        }
        for probe in (*self._receivers.values(), *self._senders.values()):
            probe.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave; programs that were not stopped end with their input."""
        for probe in (*self._senders.values(), *self._receivers.values()):
            probe.abandon()

    def _plan(self, source: Place, rate: float) -> str:
        flows = [
            {
                "id": flow_id,
                "source_port": FIRST_SOURCE_PORT + flow_id,
                "address": group.address,
                "port": PORT,
            }
            for group in self._groups
            if group.source is source and group.rate == rate
            for flow_id in self._ids[group.name]
        ]
        return json.dumps({"flows": flows, "rate": rate, "count": int(rate * 600)})

    def go(self) -> None:
        """Let the senders start."""
        for sender in self._senders.values():
            sender.tell()

    def stop(self) -> tuple[GroupResult, ...]:
        """Stop the senders, let the last packets arrive, and count."""
        for sender in self._senders.values():
            sender.tell("stop")
        sent = {key: sender.finish() for key, sender in self._senders.items()}
        time.sleep(DRAIN_S)
        received: dict[str, list[Any]] = {}
        for receiver in self._receivers.values():
            for flow_id, arrived in receiver.finish().items():
                received.setdefault(flow_id, []).append(arrived)
        return tuple(
            self._result(group, sent[group.source, group.rate], received) for group in self._groups
        )

    def _result(self, group: Group, sent: Any, received: dict[str, list[Any]]) -> GroupResult:
        flows = []
        for flow_id in map(str, self._ids[group.name]):
            flows.append(_flow(received.get(flow_id, []), sent, sent["attempted"][flow_id]))
        return GroupResult(
            name=group.name,
            flows=tuple(flows),
            planned=sent["planned"],
            sent=sent["sent"],
            send_errors=tuple(f"{count} x {text}" for text, count in sent["errors"].items()),
            late_ms=sent["late_s"] * 1000,
        )


def _flow(places: list[Any], sent: Any, attempted: int) -> FlowResult:
    """Put together what one flow was at every place it came to."""
    if not places:
        return FlowResult(attempted=attempted, received=0, twice=0, gap_ms=math.inf)
    places = sorted(places, key=lambda arrived: float(arrived["first"]))
    gaps = [_gap_of_all(arrived, places) for arrived in places]
    end = float(sent["start"])
    for arrived in places:
        gaps.append(arrived["first"] - end)
        end = max(end, arrived["last"])
    gaps.append(sent["end"] - end)
    return FlowResult(
        attempted=attempted,
        received=sum(arrived["received"] for arrived in places),
        twice=sum(arrived["twice"] for arrived in places),
        gap_ms=max(gaps) * 1000,
    )


def _gap_of_all(arrived: Any, places: list[Any]) -> float:
    """Return what is left of one place's longest gap, in seconds, where another had the flow."""
    start, end = arrived["gap_at"], arrived["gap_at"] + arrived["gap_s"]
    for other in places:
        if other is not arrived and start < other["first"] and other["last"] < end:
            return float(max(other["first"] - start, end - other["last"]))
    return float(arrived["gap_s"])


def _finite(milliseconds: float) -> float | str:
    """JSON knows no infinity: a flow of which nothing arrived says so in words."""
    return round(milliseconds, 1) if math.isfinite(milliseconds) else "nothing arrived"
