"""How fast routes get from two peers into the kernel, and ours out, beside BIRD and FRR.

`./dev bench bgp [--json] [--quick]`: two raw speakers send prepared messages to one receiver at a
time, over both sessions at once; the clock runs from the first byte to the moment when the
receiver's kernel has all prefixes (`same`: one AS path for all; `distinct`: one for each). All
receivers filter alike and use both peers together, which is checked at the end of each run. Ratios
are of medians, from runs that took turns. `--quick` leaves out everything with 100,000 routes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from containerlab.measure.check import Check, all_ok, at_most, render_json, render_table
from tests.bench.bgp_announcing import announcing
from tests.support.bgp_receivers import (
    TOR_ASNS,
    Bird,
    FrrReceiver,
    Podroute,
    Receiver,
    kernel_routes,
    legs,
    node_address,
    tor_address,
)
from tests.support.netns import Namespace, join
from tests.support.raw_speaker import RawSpeaker, prefixes

ROUNDS = 3
DEADLINE_S = 60.0
OTHERS = 20
"""Routes of the kernel's own that may come meanwhile (addresses after their detection, IPv6)."""
RECEIVERS: dict[str, Callable[[], Receiver]] = {
    "podroute": Podroute,
    "bird": Bird,
    "frr": FrrReceiver,
}


class Load(NamedTuple):
    """What the peers send."""

    family: int
    routes: int
    distinct: bool

    @property
    def name(self) -> str:
        """A short name."""
        kind = "distinct" if self.distinct else "same"
        return f"{self.routes // 1000}k_{kind}" + ("_v6" if self.family == 6 else "")


SMALL = Load(4, 10_000, True)
SAME, DISTINCT, SAME6 = Load(4, 100_000, False), Load(4, 100_000, True), Load(6, 100_000, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One load by one receiver."""

    load_s: float
    withdraw_s: float
    rss_mb: float
    cpu_s: float


class Tors:
    """Two raw speakers, kept over all runs with one family."""

    def __init__(self, family: int, stack: ExitStack) -> None:
        self.family = family
        self.namespaces = [Namespace(f"tor{i}") for i in (1, 2)]
        for namespace in self.namespaces:
            stack.callback(namespace.close)
        self.raws: list[RawSpeaker] = []

    @contextmanager
    def node(self) -> Iterator[Namespace]:
        """Make the receiver's node, joined to both."""
        node = Namespace("node")
        try:
            for index, namespace in enumerate(self.namespaces, 1):
                join(namespace, "node", node, f"eth{index}")
                self._address(namespace, "node", tor_address(self.family, index))
                self._address(node, f"eth{index}", node_address(self.family, index))
            for family in ("ipv4", "ipv6"):
                node.write_sysctl(f"net.{family}.conf.all.forwarding", 1)
            if not self.raws:
                self.raws = [
                    RawSpeaker(namespace, tor_address(self.family, index), asn)
                    for index, (namespace, asn) in enumerate(
                        zip(self.namespaces, TOR_ASNS, strict=True), 1
                    )
                ]
            yield node
        finally:
            # The kernel takes links out with a namespace, but not before its last process is gone.
            for namespace in self.namespaces:
                namespace.run(["ip", "link", "delete", "node"], check=False)
            node.close()

    def _address(self, namespace: Namespace, link: str, address: str) -> None:
        length = "31" if self.family == 4 else "127"
        words = ["ip", "address", "add", f"{address}/{length}", "dev", link]
        namespace.run([*words, "nodad"] if self.family == 6 else words)


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench bgp", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    checks = receiving(quick=options.quick) + announcing(quick=options.quick)
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def receiving(*, quick: bool) -> list[Check]:
    """Return the checks of the loads."""
    loads = [SMALL] if quick else [SMALL, SAME, DISTINCT]
    runs: dict[tuple[str, str], list[Run]] = {}
    with ExitStack() as stack:
        four = Tors(4, stack)
        six = Tors(6, stack)
        for _ in range(1 if quick else ROUNDS):
            for load in loads:
                for name, make in RECEIVERS.items():
                    runs.setdefault((load.name, name), []).append(run(four, make(), load))
            if not quick:
                runs.setdefault((SAME6.name, "podroute"), []).append(run(six, Podroute(), SAME6))
    checks = []
    for load, limit in ((SMALL, 1.0), (SAME, 0.9), (DISTINCT, 1.0)):
        if load in loads:
            checks.append(ratio(f"load_{load.name}_bird", runs, load, "bird", limit))
            checks.append(ratio(f"load_{load.name}_frr", runs, load, "frr", 0.6))
    if not quick:
        checks += bulk(runs)
    return checks


def bulk(runs: dict[tuple[str, str], list[Run]]) -> list[Check]:
    """Return the checks that only 100,000 routes give."""
    ours = {load: runs[load.name, "podroute"] for load in (SAME, DISTINCT, SAME6)}
    birds = [one.withdraw_s for one in runs[SAME.name, "bird"]]
    gone = [one.withdraw_s for one in ours[SAME]]
    four, six = ([one.load_s for one in ours[load]] for load in (SAME, SAME6))
    rss = {load.name: [one.rss_mb for one in found] for load, found in ours.items()}
    return [
        Check(
            name="withdraw_100k_bird",
            value=round(median(gone) / median(birds), 2),
            unit="x",
            bound=at_most(0.9),
            samples={"podroute_s": gone, "bird_s": birds},
        ),
        Check(
            name="load_100k_v6_over_v4",
            value=round(median(six) / median(four), 2),
            unit="x",
            bound=at_most(1.3),
            samples={"v6_s": six, "v4_s": four},
        ),
        Check(
            name="rss_100k_mb",
            value=max(median(values) for values in rss.values()),
            unit="MB",
            bound=at_most(140),
            samples=rss,
        ),
    ]


def ratio(
    name: str, runs: dict[tuple[str, str], list[Run]], load: Load, other: str, limit: float
) -> Check:
    """Return the check of our median against another's."""
    ours, theirs = runs[load.name, "podroute"], runs[load.name, other]
    return Check(
        name=name,
        value=round(median(r.load_s for r in ours) / median(r.load_s for r in theirs), 2),
        unit="x",
        bound=at_most(limit),
        samples={
            "podroute_s": [round(r.load_s, 3) for r in ours],
            f"{other}_s": [round(r.load_s, 3) for r in theirs],
            "podroute_cpu_s": [r.cpu_s for r in ours],
            f"{other}_cpu_s": [r.cpu_s for r in theirs],
        },
    )


def run(tors: Tors, receiver: Receiver, load: Load) -> Run:
    """Let one receiver take a load and lose it again."""
    with tors.node() as node:
        raws = tors.raws
        for raw in raws:
            raw.prepare(load.name, count=load.routes, distinct=load.distinct)
            raw.prepare("withdraw", count=load.routes, withdraw=True)
        receiver.start(node, load.family)
        try:
            for raw in raws:
                raw.wait_established()
            time.sleep(0.5)  # the session's first messages are no part of the load
            pids = receiver.pids()
            before, cpu = kernel_routes(node.pid, load.family), cpu_s(pids)
            began = [raw.send(load.name) for raw in raws]
            load_s = until(node, load, lambda n: n >= before + load.routes) - began[0]
            pids = receiver.pids()
            settle(node, load)
            spent, rss = cpu_s(pids) - cpu, sum(map(rss_mb, pids))
            began = [raw.send("withdraw") for raw in raws]
            withdraw_s = until(node, load, lambda n: n <= before + OTHERS) - began[0]
        except TimeoutError as error:
            states = [raw.state() for raw in raws]
            raise TimeoutError(f"{receiver.name}: {error}; peers: {states}") from error
        finally:
            receiver.stop()
    return Run(load_s=load_s, withdraw_s=withdraw_s, rss_mb=round(rss, 1), cpu_s=round(spent, 2))


def until(node: Namespace, load: Load, done: Callable[[int], bool]) -> float:
    """Return the time at which the kernel's count was first seen so.

    Counting 100,000 IPv4 routes takes 30 ms: a quarter of the time goes into it, so that the
    answer is right to 0.1 s; it was a tenth, and right to 0.4 s.
    """
    end = time.monotonic() + DEADLINE_S
    while True:
        began = time.monotonic()
        count = kernel_routes(node.pid, load.family)
        now = time.monotonic()
        if done(count):
            return now
        if now > end:
            raise TimeoutError(f"{load.name}: {count} routes after {DEADLINE_S:g} s")
        time.sleep(max(0.005, 3 * (now - began)))


def settle(node: Namespace, load: Load) -> None:
    """Wait until the first and the last route use both peers: they did the same work."""
    every = prefixes(load.family, load.routes)
    end = time.monotonic() + DEADLINE_S
    for prefix in (every[0], every[-1]):
        while legs(node, str(prefix), load.family) != len(TOR_ASNS):
            if time.monotonic() > end:
                raise TimeoutError(f"{load.name}: {prefix} does not use both peers")
            time.sleep(0.02)


def cpu_s(pids: list[int]) -> float:
    """Return the processor time of processes."""
    total = 0.0
    for pid in pids:
        # utime and stime are fields 14 and 15; the second field may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


def rss_mb(pid: int) -> float:
    """Return the resident set of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
