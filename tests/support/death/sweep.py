"""One scenario with a death at every operation, and what must be true after each of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.cni_node import RUN_DIR, SERVER, Answer, CniNode, first_packet_passes
from tests.support.death.switch import DeathSwitch, Moment
from tests.support.wait import NotYetError, wait_until

# Counted from here on, where the test asks for the operations of a start.
PROGRAM: Final = SERVER.replace(
    "raise SystemExit",
    "import ctypes, os\n"
    "if os.path.exists('/run/count'): ctypes.CDLL(None).death_switch_begin()\n"
    "raise SystemExit",
)
CIDRS: Final = ("10.244.1.0/30", "10.244.1.8/32", "fd00:244:1::/127", "fd00:244:1::8/128")
"""Room for exactly three pods: an address that leaked is one that is missing."""

KEEP: Final = "keep"
"""The pod that is there all the time."""

# Only what changes something can make a difference between "after it" and "before the next one".
_CHANGING: Final = ("netlink", "unlink", "rename", "mkdir", "send", "bind", "write", "setns")
_SURVIVED_S: Final = 0.5
_MAX_POINTS: Final = 500


@dataclass(slots=True)
class Tally:
    """What a sweep found."""

    points: set[str] = field(default_factory=set)
    leaks: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    failed_dels: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the findings of another sweep."""
        self.points |= other.points
        self.leaks += other.leaks
        self.duplicates += other.duplicates
        self.failed_dels += other.failed_dels
        self.other += other.other

    @property
    def faults(self) -> list[str]:
        """Return everything that is wrong, one line each."""
        return [*self.leaks, *self.duplicates, *self.failed_dels, *self.other]

    def __str__(self) -> str:
        return (
            f"kill points = {len(self.points)}, leaks = {len(self.leaks)}, "
            f"duplicates = {len(self.duplicates)}, failed_dels = {len(self.failed_dels)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens around a death.

    ``act`` is what dies in the middle; it returns what the runtime saw, None where it saw nothing.
    ``settle`` runs with the next server and returns the pods that must be there then, beside KEEP.
    """

    name: str
    prepare: Callable[[CniNode], object]
    act: Callable[[CniNode], Answer | None]
    settle: Callable[[CniNode, Answer | None], Collection[str]]
    counts_start: bool = False


class Sweep:
    """Runs a scenario once for each point."""

    def __init__(self, node: CniNode, switch: DeathSwitch) -> None:
        self.node = node
        self.switch = switch
        self.tally = Tally()
        self._point = ""

    def run(self, scenario: Scenario, *, stride: int = 1) -> Tally:
        """Die at every ``stride``-th operation; return what was found."""
        self.tally = Tally()
        for number in range(1, _MAX_POINTS, stride):
            moments = [Moment.BEFORE]
            for moment in moments:
                if not self._die(scenario, number, moment):
                    return self.tally
                name = self.switch.name(number)
                self._point = f"{scenario.name} {number} {moment.name.lower()} {name}"
                if moment is Moment.BEFORE and name.startswith(_CHANGING):
                    moments.append(Moment.AFTER)
        raise AssertionError(f"{scenario.name}: no end after {_MAX_POINTS} operations")

    def _die(self, scenario: Scenario, number: int, moment: Moment) -> bool:
        """Run the scenario once; return whether anything died."""
        node = self.node
        self._point = f"{scenario.name} {number} {moment.name.lower()}"
        scenario.prepare(node)
        self.switch.arm(number, moment, counting=not scenario.counts_start)
        answer = scenario.act(node)
        died = self._died()
        self._point += f" {self.switch.name(number)}"
        self.switch.disarm()
        if died:
            self.tally.points.add(self._point)
        with self._noted(self.tally.other):
            if node.server is None:
                node.start()
            wanted = scenario.settle(node, answer)
            self._drained()
            self._compare(wanted)
        self._recover()
        return died

    def _died(self) -> bool:
        """Return whether the operation was reached: it may come after the caller's answer."""
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: self.switch.reached, deadline_s=_SURVIVED_S, what="the operation is reached"
            )
        if self.switch.reached and self.node.server is not None:
            self.node.server.wait(timeout=10)
            self.node.server = None
        return self.switch.reached

    @contextlib.contextmanager
    def _noted(self, faults: list[str]) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            faults.append(f"{self._point}: {str(error)[:2000]}")

    def _drained(self) -> None:
        node = self.node

        def empty() -> bool:
            if left := node.spooled():
                raise NotYetError(left)
            return True

        wait_until(empty, deadline_s=12, what="the spool is empty")

    def _compare(self, wanted: Collection[str]) -> None:
        """Look for anything in the kernel that belongs to no pod, or is missing."""
        pods = {KEEP, *wanted}
        state = look(self.node, ("a", "b"))
        numbers = {
            "links": len(state["links"]),
            "routes": len(state["routes"]) // 2,
            "neighbors": len(state["neighbors"]) // 2,
            "filter elements": state["elements"] // 2,
        }
        labels = len(list((self.node.root / RUN_DIR[1:] / "labels").iterdir()))
        # One may be lost with the server, behind the answer: it costs a name, no more.
        if labels > len(pods):
            self.tally.leaks.append(f"{self._point}: {labels} labels for {sorted(pods)}")
        for what, number in numbers.items():
            if number != len(pods):
                self.tally.leaks.append(f"{self._point}: {number} {what} for {sorted(pods)}")
        inside = {name for name in ("a", "b") if state["inside"][name]}
        if inside != pods - {KEEP}:
            self.tally.leaks.append(f"{self._point}: eth0 in {inside}, wanted {sorted(pods)}")

    def _recover(self) -> None:
        """DEL always works; then there is room for all pods, and no address is given twice."""
        node = self.node
        for name in ("a", "b", "a"):
            with self._noted(self.tally.failed_dels):
                node.delete(name)
        with self._noted(self.tally.other):
            self._compare(())
        given: list[str] = []
        for name in (KEEP, "a", "b"):
            if name == KEEP:
                given += look(node, ())["addresses"]
                continue
            with self._noted(self.tally.leaks):
                answer = node.add(name)
                given += answer.addresses
                first_packet_passes(node, name, answer.addresses[0])
        if len(set(given)) != len(given):
            self.tally.duplicates.append(f"{self._point}: {given}")
        for name in ("a", "b"):
            with self._noted(self.tally.failed_dels):
                node.delete(name)
        with self._noted(self.tally.other):
            self._compare(())


_LOOK = """
ip -j link show type veth; echo ,
ip -j -4 route show proto 73; echo ,
ip -j -6 route show proto 73; echo ,
ip -j neigh show nud permanent; echo ,
(nft -j list ruleset 2>/dev/null || echo '{"nftables":[]}')
for name in "$@"; do echo ,; ip netns exec "$name" ip -j link show; done
"""


def look(node: CniNode, sandboxes: Collection[str]) -> dict[str, Any]:
    """Return what of ours is in the kernel, in one go."""
    text = node.namespace.run(["sh", "-c", _LOOK, "sh", *sandboxes]).stdout
    parts = [json.loads(part) if part.strip() else [] for part in text.split("\n,\n")]
    links, routes_4, routes_6, neighbors, rules, *inside = parts
    names = {link["ifname"] for link in links}
    routes = [route["dst"] for route in (*routes_4, *routes_6)]
    return {
        "links": names,
        "routes": routes,
        "addresses": routes,
        "neighbors": [entry for entry in neighbors if entry["dev"] in names],
        "elements": sum(len(each.get("set", {}).get("elem", ())) for each in rules["nftables"]),
        "inside": {
            name: any(link.get("ifname") == "eth0" for link in listed)
            for name, listed in zip(sandboxes, inside, strict=True)
        },
    }
