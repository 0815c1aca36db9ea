"""What operators get, and what it costs: metrics of 100 peers and 10,000 routes, false findings.

`./dev bench operators [--json] [--quick]`: scrapes over the agent's local socket while its loop
turns between models of kernel and speaker; each of 10,000 prefixes comes from two of 100 peers, all
of which have both families and BFD, and 110 pods run. `metrics_ms` is the 95th percentile of a
scrape, `loop_held_ms` of how long it keeps the loop from its work. `situations_named` are broken
situations (containerlab/situations, each with its judge beside it) whose cause `podroute doctor`
names first, `false_findings` what it finds on the nodes of every healthy fabric. `page_*` are the
status page in Chromium (`operators_page`): the median of first paints, the 95th percentile of
searches in 5,000 routes from the input event until the rows are laid out, texts below 4.5:1 in
either scheme over seven states; they fail where there is no chromium. `--quick` leaves out the
fabrics, and the situations and states but for a few.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any, cast

import yaml

from bgp.event import Change, Opened, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from cni.histogram import Histogram
from cni.server.meter import BOUNDS_S
from containerlab.measure.check import Check, all_ok, at_most, exactly, render_json, render_table
from containerlab.situations.table import SITUATIONS
from router.agent.api import LocalApi
from router.agent.control import Control
from router.agent.requests import Inbox, Wake
from router.agent.source import SettingsSource
from router.cli.client import UnixConnection
from tests.bench.operators_doctor import fabrics, false_findings, situations_named
from tests.bench.operators_page import page
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import establishing

ROOT = Path(__file__).resolve().parents[2]
PEERS = 100
ROUTES = 10_000
PODS = 110


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench operators", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    tried = tuple(each for each in SITUATIONS if each.fast or not options.quick)
    checks = [
        *metrics(scrapes=20 if options.quick else 200),
        alerts(),
        *situations_named(tried),
        false_findings(("single-rack",) if options.quick else fabrics()),
        *page(is_quick=options.quick),
    ]
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def metrics(*, scrapes: int) -> list[Check]:
    """Return what a scrape costs."""
    bench = _node()
    wake = Wake()
    held: list[float] = []
    inbox = _TimedInbox(wake, held)
    source = cast(SettingsSource, None)  # asked only while there is no agent
    control = Control(inbox=inbox, wake=wake, source=source, ask_cni=lambda: _pods(PODS))
    control.agent = bench.agent
    took: list[float] = []
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "router.sock"
        api = LocalApi(path, control.routes())
        stack.callback(api.close)
        loop = threading.Thread(target=_turn, args=(control,))
        loop.start()
        stack.callback(loop.join)
        stack.callback(control.end)
        page = b""
        for _ in range(scrapes):
            began = time.perf_counter()
            page = _scrape(path)
            took.append((time.perf_counter() - began) * 1000)
    lines = page.decode().splitlines()
    faults = tuple(
        f"the page has no {line}"
        for line in (
            f"podroute_routes_installed {ROUTES}",
            f'podroute_peers{{state="established"}} {PEERS}',
            f"podroute_pods {PODS}",
        )
        if line not in lines
    )
    return [
        _percentile("metrics_ms", took, 50, faults),
        _percentile("loop_held_ms", held, 50, faults),
        Check(
            name="metrics_kb",
            value=round(len(page) / 1000, 1),
            unit="kB",
            bound=at_most(200),
            samples={"series": sum(not line.startswith("#") for line in lines)},
            faults=faults,
        ),
    ]


def alerts() -> Check:
    """Count alerts that no promtool test sees fire and stay quiet."""
    rules = yaml.safe_load((ROOT / "deploy/alerts/podroute.rules.yaml").read_text())
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fires: set[str] = set()
    quiet: set[str] = set()
    for case in yaml.safe_load((ROOT / "tests/alerts/podroute.test.yaml").read_text())["tests"]:
        for each in case["alert_rule_test"]:
            (fires if each["exp_alerts"] else quiet).add(each["alertname"])
    missing = sorted(names - (fires & quiet))
    return Check(
        name="alerts_without_test",
        value=len(missing),
        unit="alerts",
        bound=exactly(0),
        samples={"alerts": len(names), "missing": missing},
    )


def _percentile(name: str, took: list[float], limit: int, faults: tuple[str, ...]) -> Check:
    return Check(
        name=name,
        value=round(statistics.quantiles(took, n=20)[-1], 1),
        unit="ms",
        bound=at_most(limit),
        samples={"median": round(statistics.median(took), 1), "max": round(max(took), 1)},
        faults=faults,
    )


class _TimedInbox(Inbox):
    """Notes how long each answer kept the loop."""

    def __init__(self, wake: Wake, held: list[float]) -> None:
        super().__init__(wake)
        self._held = held

    def ask(self, function: Callable[[], Any], timeout_s: float) -> Any:
        def timed() -> Any:
            began = time.perf_counter()
            answer = function()
            self._held.append((time.perf_counter() - began) * 1000)
            return answer

        return super().ask(timed, timeout_s)


def _turn(control: Control) -> None:
    while not control.ended:
        control.turn(0.05)


def _scrape(path: Path) -> bytes:
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()


def _node() -> Bench:
    """Return an agent whose 100 sessions are up and whose routes are in the model's kernel."""
    document = yaml.safe_load(CONFIG)
    first = IPv4Address("10.0.1.0")
    hosts = [first + 4 + n for n in range(PEERS)]
    document["peers"] = [
        {
            "name": f"rack{number:03}-tor-uplink",
            "address": str(address),
            "remote_asn": 65300 + number,
            "families": ["ipv4", "ipv6"],
            "multihop_ttl": 2,
            "bfd": {},
        }
        for number, address in enumerate(hosts)
    ]
    document["import"] = {"also_accept": [{"prefix": "10.64.0.0/10", "le": 32}]}
    bench = Bench(config=yaml.safe_dump(document))
    names = [str(peer.name) for peer in bench.agent.settings.peers]
    bench.establish()
    prefixes = [
        Prefix.from_network(network)
        for network, _ in zip(
            IPv4Network("10.64.0.0/10").subnets(new_prefix=26), range(ROUTES), strict=False
        )
    ]
    for number, name in enumerate(names):
        opened = [
            replace(event, families=frozenset({4, 6})) if isinstance(event, Opened) else event
            for event in establishing(name, 120)
        ]
        bench.step(*opened, *(_update(name, prefixes[at::PEERS]) for at in (number, number - 1)))
    return bench


def _update(name: str, prefixes: list[Prefix]) -> Updated:
    attributes = Attributes(next_hop=ip_address("10.0.1.2"), as_path=(65300, 65202))
    return Updated(peer=PeerId(name), changes=(Change(attributes, tuple(prefixes), ()),))


def _pods(count: int) -> Mapping[str, Any]:
    """Return an overview as the CNI server sends it, read anew each time."""
    calls = Histogram(BOUNDS_S)
    verbs = ("ADD", "DEL", "CHECK", "STATUS")
    return cast(
        Mapping[str, Any],
        json.loads(
            json.dumps(
                {
                    "pods": [{"orphaned": [], "no_host_route": []} for _ in range(count)],
                    "pools": [{"name": "10.244.1.0/24", "size": 254, "in_use": count}],
                    "restored": 0,
                    "restore_failures": 0,
                    "swept": 0,
                    "calls": [
                        {"plugin": "podroute", "verb": verb, "result": result, **calls.as_json()}
                        for verb in verbs
                        for result in ("ok", "error")
                    ],
                }
            )
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
