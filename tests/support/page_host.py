"""The status page of an agent between models: `python -m tests.support.page_host [ROUTES]`.

Serves at 127.0.0.1:9180 of the network namespace it runs in, and obeys lines on standard input,
each answered by "ok": `down PEER`, `refuse PEER TEXT`, `up PEER`, `drain`, `empty`, `hang SECONDS`,
`finding` (before the first look), `nothing`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, ip_address
from typing import Any, Final, cast

from bgp.event import Change, Direction, EndOfRib, Notified, Opened, Sent, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from router.agent import drain_requests
from router.agent.control import Control
from router.agent.page.answers import Answers
from router.agent.page.door import page_door
from router.agent.requests import Inbox, Wake
from router.agent.source import SettingsSource
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, establishing

ADDRESS: Final = ("127.0.0.1", 9180)
URL: Final = "http://127.0.0.1:9180/"
_ASN: Final = {"tor1": 65101, "tor2": 65102}
_AGE_S: Final = 5400
_MORE: Final = "import: {also_accept: [{prefix: 10.64.0.0/10, le: 32}]}\n"
_FINDING: Final = {
    "name": "rp-filter-strict",
    "text": "eth1 drops what comes back over another ToR than it went out by",
    "evidence": "the larger of net/ipv4/conf/all/rp_filter and net/ipv4/conf/eth1/rp_filter is 1",
    "fix": "sysctl -w net/ipv4/conf/eth1/rp_filter=2, and find who sets it",
}


class PageHost:
    """A model agent, its loop in a thread, and the page in front of it."""

    def __init__(self, routes: int) -> None:
        """Learn so many routes from both ToRs."""
        self.bench = Bench(config=CONFIG + _MORE)
        self.bench.now = self.bench.agent.started_at = time.time() - _AGE_S
        self.findings: list[Mapping[str, Any]] = []
        self.pods = _pods(12)
        wake = Wake()
        source = cast(SettingsSource, None)  # asked only while there is no agent
        self.control = Control(
            inbox=Inbox(wake), wake=wake, source=source, ask_cni=lambda: self.pods
        )
        self.control.agent = self.bench.agent
        self.hung_until = 0.0
        self._commands: list[str] = []
        self._lock = threading.Lock()
        self.bench.establish()
        for name in _ASN:
            self.bench.now += 40
            self._up(name, routes)
        self._routes = routes
        self.door = page_door(Answers(self.control, self._examine))

    def _examine(self) -> Mapping[str, Any]:
        return {"findings": self.findings, "not_looked_at": []}

    def _up(self, name: str, routes: int) -> None:
        opened = [
            replace(event, asn=_ASN[name], router_id=f"10.0.0.{name[-1]}")
            if isinstance(event, Opened)
            else event
            for event in establishing(name, 120)
        ]
        peer = PeerId(name)
        self.bench.step(*opened, *_updates(name, routes), EndOfRib(peer=peer, family=4))
        told = tuple(self.bench.agent.announcer.networks)
        self.bench.step(Sent(peer=peer, announced=told, end_of_rib=4))

    def turn(self) -> None:
        """Do one round of the loop."""
        self.control.turn(0.05)
        self.bench.now = time.time()
        if time.monotonic() < self.hung_until:
            time.sleep(self.hung_until - time.monotonic())

    def obey(self, line: str) -> None:
        """Carry out one command; in any thread."""
        word, _, rest = line.strip().partition(" ")

        def do(_: object) -> None:
            if word == "down":
                self.bench.step(down(rest))
            elif word == "refuse":
                peer, _, text = rest.partition(" ")
                self.bench.step(_notified(peer, text), down(peer))
            elif word == "up":
                self._up(rest, self._routes)
            elif word == "finding":
                self.findings = [_FINDING]
            elif word == "drain":
                order = drain_requests.begin({}, lambda: self.bench.now, time.time)
                order(self.bench.agent)
                self.bench.step()
            elif word == "empty":
                self.bench.reconfigure(CONFIG.partition("peers:")[0] + "peers: []\n")
                self.bench.step()
                self.pods = {"pods": [], "pools": []}
            elif word == "hang":
                self.hung_until = time.monotonic() + float(rest)

        self.control.look(do)


def _notified(peer: str, text: str) -> Notified:
    """Return an administrative shutdown with what the peer says about it (RFC 9003)."""
    received = Direction.RECEIVED
    return Notified(peer=PeerId(peer), direction=received, code=6, subcode=2, text=text)


def _updates(name: str, routes: int) -> list[Updated]:
    number = name[-1]
    nets = IPv4Network("10.64.0.0/10").subnets(new_prefix=26)
    prefixes = [Prefix.from_network(net) for net, _ in zip(nets, range(routes), strict=False)]
    changes = []
    for rack in range(12):
        attributes = Attributes(
            next_hop=ip_address(f"10.0.{number}.2"),
            as_path=(_ASN[name], 65000, 65110 + rack // 3, 65210 + rack),
        )
        changes.append(Change(attributes, tuple(prefixes[rack::12]), ()))
    own = Attributes(next_hop=ip_address(f"10.0.{number}.2"), as_path=(_ASN[name], 65202))
    told = tuple(Prefix.parse(text) for text in ("10.244.2.0/24", "192.0.2.0/24"))
    changes.append(Change(own, told, ()))
    return [Updated(peer=PeerId(name), changes=tuple(changes))]


def _pods(count: int) -> Mapping[str, Any]:
    pods = [
        {
            "kind": "pod link",
            "network": "podroute",
            "container_id": f"{number:064x}",
            "ifname": "eth0",
            "namespace": "shop",
            "pod": f"web-{number:02}",
            "addresses": [f"10.244.1.{number + 2}"],
            "interface": f"pod{number:08x}",
            "since": time.time() - 3600 * number,
            "orphaned": [f"10.244.1.{number + 2}"] if number == 3 else [],
            "no_host_route": [f"10.244.1.{number + 2}"] if number == 5 else [],
        }
        for number in range(count)
    ]
    return {"pods": pods, "pools": [{"name": "10.244.1.0/24", "size": 254, "in_use": count}]}


def main() -> None:
    """Serve until standard input ends."""
    host = PageHost(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
    host.door.want(ADDRESS)

    def loop() -> None:
        while not host.control.ended:
            host.turn()

    threading.Thread(target=loop, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        host.obey(line)
        print("ok", flush=True)


if __name__ == "__main__":
    main()
