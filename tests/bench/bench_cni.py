"""What a pod start and stop cost, as a ratio to Debian's ptp plugin with host-local.

`./dev bench cni [--json] [--quick]`: the real shim and the real server in a node of their own, and
ptp in the same one, called in turn by the same program (``cni_driver.c``), timed from spawn to
reaped. Five paired blocks; the value is the median of the best three, so that what else runs on the
machine counts little. A run is void unless after each timed ADD the first packet passes both ways,
and after each DEL link, routes and address are gone when the call returns.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from containerlab.measure.check import (
    Check,
    Sample,
    all_ok,
    at_least,
    at_most,
    render_json,
    render_table,
)
from tests.bench.kernel_floor import write_messages
from tests.bench.plugin_driver import (
    ANCHOR,
    OURS,
    Driver,
    anchor_configuration,
    make_sandboxes,
    our_configuration,
    resident_mb,
    start_server,
)
from tests.support.cni_node import CniNode, build_shim
from tests.support.netns import Namespace

BLOCKS: Final = 5
BEST: Final = 3
_ROTATED: Final = 4
_RUN: Final = 10
_BURST: Final = 50
_PODS: Final = 1000
_FIRST_POD: Final = 100
_REPLAYED: Final = 1100
_FAULTS: Final = 5
"""One is enough to make a run void; more than a few help nobody."""
_STRETCH: Final = {
    "add_ratio": 0.15,
    "del_ratio": 0.05,
    "add50_ratio": 0.10,
    "del50_ratio": 0.10,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured per block: runs of ten calls one after the other, and bursts of 50."""

    runs: int
    bursts: int
    floor_rounds: int


FULL: Final = Effort(runs=7, bursts=10, floor_rounds=300)
QUICK: Final = Effort(runs=2, bursts=1, floor_rounds=60)

Times = dict[tuple[str, str], list[float]]
"""Milliseconds by (plugin, verb)."""


@dataclass(slots=True)
class Block:
    """The times of one block. ``alternating``: the plugin changes after each pod."""

    single: Times = field(default_factory=dict)
    alternating: Times = field(default_factory=dict)
    burst: Times = field(default_factory=dict)


class Bench:
    """One run: a node, a driver, and what was found wrong."""

    def __init__(self, driver: Driver, effort: Effort) -> None:
        self._driver = driver
        self._effort = effort
        self.faults: list[str] = []

    def timed(self, name: str, verb: str, first: int, count: int = 1) -> float:
        """Return the milliseconds of a batch of calls; its faults make the run void."""
        timed = self._driver.call(name, verb, first, count=count)
        if timed.fault and len(self.faults) < _FAULTS:
            self.faults.append(f"{name} {verb}: {timed.fault[:300]}")
        return timed.took_ms

    def block(self) -> Block:
        """Measure both plugins in turn, the order left to chance.

        One call after the other in runs of ten: a node has one plugin, and the first calls after
        the other's find none of their own in the processor's caches.
        """
        block = Block()
        for _ in range(self._effort.runs):
            self._turn(block.single, 1, _RUN)
        for _ in range(self._effort.runs):
            self._turn(block.alternating, 1, 1)
        for _ in range(self._effort.bursts):
            self._turn(block.burst, _BURST, 1)
        return block

    def _turn(self, into: Times, count: int, repeat: int) -> None:
        """Let each plugin add and remove ``count`` pods at once, ``repeat`` times."""
        for name in random.sample((OURS, ANCHOR), 2):
            for number in range(repeat):
                for verb in ("ADD", "DEL"):
                    took_ms = self.timed(name, verb, number % _ROTATED, count)
                    into.setdefault((name, verb), []).append(took_ms)

    def our_adds(self, count: int) -> list[float]:
        """Return the times of ADDs of ours, each followed by its DEL."""
        times = []
        for number in range(count):
            times.append(self.timed(OURS, "ADD", number % _ROTATED))
            self.timed(OURS, "DEL", number % _ROTATED)
        return times


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench cni", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    checks = measure(QUICK if options.quick else FULL)
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def measure(effort: Effort) -> list[Check]:
    """Return the checks of one run."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podroute-bench-")))
        node, driver = _start(stack, directory, "node1", "10.244.0.0/20", "fd00:244::/64")
        leases = directory / "leases"
        driver.plugin(ANCHOR, Path("/usr/lib/cni/ptp"), anchor_configuration(leases))
        make_sandboxes(node.namespace, _FIRST_POD, _PODS)
        make_sandboxes(node.namespace, _REPLAYED, 1)
        bench = Bench(driver, effort)
        bench.our_adds(_ROTATED)
        blocks = [bench.block() for _ in range(BLOCKS)]
        floor = [_floor(bench, driver, directory, effort.floor_rounds // BEST) for _ in range(BEST)]
        _, elsewhere = _start(stack, directory, "node2", "10.244.16.0/20", "fd00:245::/64")
        empty = Bench(elsewhere, effort)
        empty.our_adds(_ROTATED)
        crowded = _crowded(bench, node, empty, effort)
    return [
        _ratio("add_ratio", 0.20, blocks, "ADD", bench.faults),
        _ratio("del_ratio", 0.08, blocks, "DEL", bench.faults),
        _ratio("add50_ratio", 0.15, blocks, "ADD", bench.faults),
        _ratio("del50_ratio", 0.16, blocks, "DEL", bench.faults),
        *crowded,
        _over_floor(floor, bench.faults),
    ]


def _start(
    stack: contextlib.ExitStack, directory: Path, name: str, *cidrs: str
) -> tuple[CniNode, Driver]:
    """Start a node with our server and a driver that knows our plugin."""
    place = directory / name
    place.mkdir()
    namespace = stack.enter_context(contextlib.closing(Namespace(name)))
    node = stack.enter_context(contextlib.closing(CniNode(namespace, build_shim(place))))
    node.facts(*cidrs)
    start_server(node)
    driver = stack.enter_context(Driver(namespace, place))
    driver.plugin(OURS, node.shim, our_configuration())
    make_sandboxes(namespace, 0, _FIRST_POD)
    return node, driver


def _ratio(
    name: str, limit: float, blocks: Sequence[Block], verb: str, faults: Sequence[str]
) -> Check:
    """Return the median of the best three blocks' ratios of medians."""
    bursts = "50" in name
    measured = [_sample(block.burst if bursts else block.single, verb) for block in blocks]
    samples: dict[str, Sample] = {"stretch": _STRETCH[name], "blocks": measured}
    if not bursts:
        samples["alternating"] = [_sample(block.alternating, verb) for block in blocks]
    best = sorted(each["ratio"] for each in measured)[:BEST]
    return Check(
        name=name,
        value=round(statistics.median(best), 4),
        unit="of ptp",
        bound=at_most(limit),
        samples=samples,
        faults=tuple(faults),
    )


def _sample(times: Times, verb: str) -> dict[str, float]:
    ours = statistics.median(times[OURS, verb])
    anchor = statistics.median(times[ANCHOR, verb])
    return {
        "ratio": round(ours / anchor, 4),
        "podroute_ms": round(ours, 3),
        "ptp_ms": round(anchor, 3),
        "calls": len(times[OURS, verb]),
    }


def _floor(bench: Bench, driver: Driver, directory: Path, rounds: int) -> tuple[float, float]:
    """Return the medians of our ADD and of the replay, taken one after the other."""
    ours = statistics.median(bench.our_adds(rounds))
    timed = driver.replay(_REPLAYED, rounds, *write_messages(directory))
    if timed.fault:
        bench.faults.append(timed.fault)
    return ours, timed.took_ms


def _over_floor(floor: Sequence[tuple[float, float]], faults: Sequence[str]) -> Check:
    return Check(
        name="add_over_kernel_floor",
        value=round(statistics.median(ours / replay for ours, replay in floor), 3),
        unit="of the replay",
        bound=at_most(5),
        samples=[{"podroute_ms": ours, "replay_ms": replay} for ours, replay in floor],
        faults=tuple(faults),
    )


def _crowded(bench: Bench, node: CniNode, empty: Bench, effort: Effort) -> list[Check]:
    """Return the checks that need 1,000 pods.

    An ADD there and one at the same time on a node of its own without pods, in runs that take
    turns: one after the other they would differ by what else the machine does, more than by pods.
    """
    took_s = bench.timed(OURS, "ADD", _FIRST_POD, _PODS) / 1000
    pairs = []
    for _ in range(BLOCKS):
        full, none = [], []
        for _ in range(effort.runs):
            none += empty.our_adds(_RUN)
            full += bench.our_adds(_RUN)
        pairs.append((statistics.median(full), statistics.median(none)))
    memory = resident_mb(node)
    bench.timed(OURS, "DEL", _FIRST_POD, _PODS)
    faults = (*bench.faults, *empty.faults)
    best = sorted(full / none for full, none in pairs)[:BEST]
    return [
        Check(
            name="add_at_1000_pods",
            value=round(statistics.median(best), 3),
            unit="of an ADD at 0",
            bound=at_most(1.3),
            samples=[{"at_1000_ms": full, "at_0_ms": none} for full, none in pairs],
            faults=faults,
        ),
        Check(
            name="pods_per_s",
            value=round(_PODS / took_s, 1),
            unit="pods/s",
            bound=at_least(250),
            samples={"pods": _PODS, "window": _BURST, "took_s": round(took_s, 3)},
            faults=faults,
        ),
        Check(
            name="rss_1000_pods_mb",
            value=memory,
            unit="MB",
            bound=at_most(55),
            faults=faults,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
