"""Random events through the agent's core onto the real kernel: a program for inside a namespace.

`python -m tests.support.rib_to_fib SEED EVENTS [TABLE [FORM]]` prints a JSON object: what was done,
how long the slowest event took to reach the kernel, and each after which it was wrong for 1 s.
The kernel is read by `ip`, which knows nothing of us.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

from bgp.event import Change, SpeakerStarted, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from router.agent.circumstances import Circumstances
from router.agent.core import RouteAgent
from router.agent.shells import Shells
from router.config.settings import AgentSettings
from router.kernel.channel import Channel
from router.kernel.fib import FibTable
from router.kernel.link import LinkTable
from router.kernel.monitor import Monitor
from router.kernel.rules import OwnTable, RuleTable
from router.model.fib import Form
from router.model.place import MAIN_TABLE
from router.reconcile.learned import Metrics
from tests.support.agent import ModelKernel, ScriptedSpeaker, SysctlModel, settings_of
from tests.support.bgp_events import down, end_of_rib, establishing
from tests.support.rib_model import PREFIXES, Chance, Model

CONFIG = """
node: node1
router_id: 10.255.1.1
local_asn: 65201
pod_cidrs: [10.244.5.0/24]
cluster: {pod_prefixes: [10.244.0.0/16], service_prefixes: [10.96.0.0/12]}
peers:
  - {name: tor1, address: 10.0.1.2, remote_asn: 65101}
  - {name: tor2, address: 10.0.2.2, remote_asn: 65102}
"""
DEADLINE_S = 1.0
Routes = dict[str, tuple[str, ...]]


class Run:
    """The agent, the model, and what happens to both."""

    def __init__(self, seed: int, table: int, form: Form) -> None:
        self.chance = Chance(seed)
        self.table = table
        place = f"fib: {{table: {table}, rule_priority: 1000}}\n" if table != MAIN_TABLE else ""
        self.settings: AgentSettings = settings_of(CONFIG + place)
        self.model = Model(self.settings.import_policy())
        self.model.peers = {peer.name: peer for peer in self.settings.peers}
        self.hops = {p.name: str(p.address) for p in self.settings.peers}
        self.down: set[str] = set()
        self.speaker = ScriptedSpeaker(ModelKernel())
        channel = Channel()
        fib = FibTable(channel, self.settings.place)
        self.agent = RouteAgent(
            self.settings,
            Shells(
                fib=fib,
                links=LinkTable(),
                monitor=Monitor(fib.port_id, lambda: None),
                sysctls=SysctlModel(ModelKernel()),
                speaker=self.speaker,
                publish=lambda _: None,
                place=OwnTable(RuleTable(channel), fib),
            ),
            Circumstances(metrics=Metrics(learned=120, default=4_000_000), form=form),
        )
        before = everything()
        self.tell(SpeakerStarted(pid=7))
        self.tell(*(event for name in self.hops for event in establishing(name)))
        self.found = len(before)
        self.kept = before <= everything()
        """Until End-of-RIB, nothing that an agent before us wrote is missing."""
        self.tell(*map(end_of_rib, self.hops))

    def tell(self, *events: object) -> None:
        self.speaker.events += events  # type: ignore[arg-type]
        self.agent.step()

    def event(self) -> str:
        """Let something happen; return what."""
        peer = self.chance.choice(list(self.hops))
        kinds = {
            self.announce: 50,
            self.withdraw: 20,
            self.flap: 4,
            self.change_filter: 6,
            self.change_policy: 5,
            self.delete_route: 6,
            self.flush_objects: 3,
            self.move_link: 6,
        }
        if self.table != MAIN_TABLE:
            kinds[self.delete_rule] = 6
        (what,) = self.chance.choices(list(kinds), weights=list(kinds.values()))
        what(peer)
        return str(what.__name__)

    def announce(self, peer: PeerId) -> None:
        attributes = self.chance.attributes().changed(next_hop=self.model.peers[peer].address)
        prefixes = self.chance.sample(PREFIXES, self.chance.randrange(1, 5))
        self.model.sent |= {(peer, prefix): attributes for prefix in prefixes}
        self.tell(Updated(peer=peer, changes=[Change(attributes, prefixes)]))

    def withdraw(self, peer: PeerId) -> None:
        prefixes = self.chance.sample(PREFIXES, self.chance.randrange(1, 4))
        for prefix in prefixes:
            self.model.sent.pop((peer, prefix), None)
        self.tell(Updated(peer=peer, changes=[Change(None, (), prefixes)]))

    def flap(self, peer: PeerId) -> None:
        self.model.sent = {k: v for k, v in self.model.sent.items() if k[0] != peer}
        self.tell(down(peer))
        self.tell(*establishing(peer), end_of_rib(peer))

    def change_filter(self, peer: PeerId) -> None:
        changed = replace(self.model.peers[peer], import_filter=self.chance.filter())
        self.model.peers[peer] = changed
        self._reconfigure()

    def change_policy(self, _: PeerId) -> None:
        self.model.selection = self.chance.selection()
        default = self.chance.random() < 0.4
        self.settings = replace(self.settings, accept_default=default)
        self._reconfigure()

    def _reconfigure(self) -> None:
        peers = tuple(self.model.peers.values())
        selection = self.model.selection
        self.settings = replace(self.settings, peers=peers, selection=selection)
        self.model.policy = self.settings.import_policy()
        self.agent.reconfigure(self.settings)
        self.agent.step()

    def delete_route(self, _: PeerId) -> None:
        present = sorted(self.seen())
        if present:
            gone = self.chance.choice(present)
            table = MAIN_TABLE if gone == "default" else self.table
            ip("route", "del", gone, "proto", "74", "table", str(table))

    def delete_rule(self, _: PeerId) -> None:
        ip(self.chance.choice(("-4", "-6")), "rule", "del", "pref", "1000")

    def flush_objects(self, _: PeerId) -> None:
        ip("nexthop", "flush", "proto", "74")

    def move_link(self, _: PeerId) -> None:
        name = self.chance.choice(("eth1", "eth2"))
        ip("link", "set", name, "up" if name in self.down else "down")
        self.down ^= {name}

    def end(self) -> None:
        """Leave some routes in the kernel for whoever comes next."""
        for name in sorted(self.down):
            ip("link", "set", name, "up")
        self.down.clear()
        for peer, settings in self.model.peers.items():
            self.model.peers[peer] = replace(settings, import_filter=None)
        self._reconfigure()
        for peer in self.hops:
            attributes = Attributes(next_hop=self.model.peers[peer].address, as_path=(65101,))
            self.tell(Updated(peer=peer, changes=[Change(attributes, PREFIXES[:4])]))

    def expected(self) -> Routes:
        """Return what the kernel has to have: the best of the paths whose link is up."""
        found: Routes = {}
        cut = {peer for peer, hop in self.hops.items() if f"eth{hop.split('.')[2]}" in self.down}
        self.model.held = frozenset(cut)
        for prefix in PREFIXES:
            hops = tuple(sorted(self.hops[peer] for peer, _ in self.model.best(prefix)))
            if hops:
                found["default" if prefix == DEFAULT else str(prefix)] = hops
        return found

    def settle(self) -> tuple[float, Routes, Routes]:
        """Turn the loop until the kernel is right, or the time is over."""
        began = time.monotonic()
        while True:
            self.agent.step()
            wanted, seen = self.expected(), self.seen()
            took_s = time.monotonic() - began
            if wanted == seen or took_s > DEADLINE_S:
                return took_s, wanted, seen

    def seen(self) -> Routes:
        """Return what the kernel has, the missing or too many rules among it."""
        found = kernel_routes(self.table)
        if self.table != MAIN_TABLE:
            found |= {k: v for k, v in kernel_routes(MAIN_TABLE).items() if k == "default"}
        here = () if self.table == MAIN_TABLE else (self.table,)
        return found if rules("-4") == rules("-6") == here else found | {"rules": ("wrong",)}


DEFAULT = Prefix.parse("0.0.0.0/0")


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    return done.stdout


def everything() -> set[tuple[str, str]]:
    """Return the learned routes of all tables."""
    shown = ip("-j", "-N", "-4", "route", "show", "proto", "74", "table", "all")
    return {(r["dst"], r.get("table", "main")) for r in json.loads(shown or "[]")}


def rules(family: str) -> tuple[int, ...]:
    """Return the tables that rules of ours lead to."""
    shown = json.loads(ip("-j", "-N", family, "rule", "show") or "[]")
    return tuple(int(r["table"]) for r in shown if r.get("protocol") == "74")


def kernel_routes(table: int) -> Routes:
    """Return our learned routes of a table with their gateways."""
    # Of a table that does not exist yet, `ip` says so in place of JSON.
    shown = json.loads(ip("-j", "-N", "-4", "route", "show", "proto", "74", "table", "all") or "[]")
    return {
        route["dst"]: tuple(sorted(h["gateway"] for h in route.get("nexthops", [route])))
        for route in shown
        if int(route.get("table", MAIN_TABLE)) == table
    }


def main() -> None:
    seed, events, table, form = (*sys.argv[1:], *(str(MAIN_TABLE), "objects")[len(sys.argv) - 3 :])
    run = Run(int(seed), int(table), Form(form))
    done: Counter[str] = Counter()
    slowest_s, violations, most = 0.0, [], 0
    for number in range(int(events)):
        what = run.event()
        done[what] += 1
        took_s, wanted, seen = run.settle()
        slowest_s = max(slowest_s, took_s)
        most = max(most, len(seen))
        if wanted != seen:
            violations.append({"event": number, "what": what, "wanted": wanted, "seen": seen})
    run.end()
    answer = {
        "events": done,
        "slowest_s": slowest_s,
        "most": most,
        "violations": violations,
        "kept": run.kept,
    }
    print(json.dumps(answer | {"found": run.found}))


if __name__ == "__main__":
    main()
