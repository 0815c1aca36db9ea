"""The page for Prometheus: right numbers, bounded series, and a form that promtool accepts."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from bgp.event import EndOfRib
from bgp.peer_id import PeerId
from cni.histogram import Histogram
from router.agent import view
from router.agent.control import Control
from router.agent.exposition import Kind, Page, labels
from router.agent.metrics import render
from router.agent.requests import Inbox, Wake
from router.agent.view_api import api as api_view
from router.config.document import ConfigError
from router.kube.view import ClusterView
from tests.support.agent import CONFIG, Bench, settings_of
from tests.support.bgp_events import down, update

SAMPLE = re.compile(r"([a-z_:]+)(\{[^}]*\})? ([0-9.e+-]+)")
CALLS = Histogram((0.005, 0.5))
CALLS.observe(0.004)
CALLS.observe(0.2)
CALLS.observe(7.0)
CNI: dict[str, Any] = {
    "pods": [
        {"orphaned": ["10.1.0.9"], "no_host_route": []},
        {"orphaned": [], "no_host_route": []},
    ],
    "pools": [
        {"name": "10.244.1.0/24", "size": 254, "in_use": 3},
        {"name": "10.244.9.0/24", "size": 254, "in_use": 1},
        {"name": "fd00:244:1::/64", "size": 2**64 - 1, "in_use": 3},
    ],
    "restored": 2,
    "restore_failures": 0,
    "swept": 1,
    "calls": [{"plugin": "podroute", "verb": "ADD", "result": "ok", **CALLS.as_json()}],
}


def page(bench: Bench, cni: dict[str, Any] | None = CNI, api: bool = True) -> str:
    status = view.status(bench.agent, bench.now)
    status["api"] = api_view(ClusterView(requests=9, failures=4)) if api else None
    peers = view.peers(bench.agent, bench.now) | {"drain": {"phase": "waiting"}}
    return render(status, peers, cni)


def values(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


@pytest.fixture
def bench() -> Bench:
    made = Bench(config=CONFIG.replace("65102}", "65102, bfd: {}}"))
    made.establish("tor1", "tor2")
    made.step(update("tor1", "10.244.2.0/24", "192.0.2.0/24"), update("tor2", "10.244.2.0/24"))
    made.step(EndOfRib(peer=PeerId("tor1"), family=4))
    made.step(down("tor2"), after_s=10)
    made.now += 30
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ('podroute_peers{state="established"}', 1),
        ('podroute_peers{state="connect"}', 1),
        ('podroute_peer_established{peer="tor1"}', 1),
        ('podroute_peer_established{peer="tor2"}', 0),
        ('podroute_peer_wanted{peer="tor2"}', 1),
        ('podroute_peer_flaps_total{peer="tor2"}', 1),
        ('podroute_peer_last_down_age_seconds{peer="tor2"}', 30),
        ('podroute_peer_state_age_seconds{peer="tor1"}', 40),
        ('podroute_peer_routes_received{peer="tor1",family="ipv4"}', 2),
        ('podroute_peer_routes_accepted{peer="tor1",family="ipv4"}', 1),
        ('podroute_peer_routes_rejected{peer="tor1",family="ipv4"}', 1),
        ('podroute_peer_routes_stale{peer="tor1",family="ipv4"}', 0),
        ('podroute_peer_routes_announced{peer="tor1",family="ipv4"}', 0),
        ('podroute_peer_end_of_rib_awaited{peer="tor1",family="ipv4"}', 0),
        ('podroute_peer_end_of_rib_awaited{peer="tor2",family="ipv4"}', 0),
        ("podroute_end_of_rib_awaited", 1),
        ("podroute_routes_learned", 1),
        ("podroute_routes_installed", 1),
        ("podroute_routes_refused", 0),
        ("podroute_route_repairs_total", 0),
        ("podroute_prefixes_announced", 2),
        ("podroute_speaker_up", 1),
        ("podroute_speaker_restarts_total", 0),
        ('podroute_peer_bfd_up{peer="tor2"}', 0),
        ('podroute_drain_phase{phase="waiting"}', 1),
        ('podroute_drain_phase{phase="none"}', 0),
        ("podroute_api_connected", 0),
        ("podroute_api_failures_total", 4),
        ("podroute_cni_up", 1),
        ('podroute_ipam_addresses_used{family="ipv4"}', 4),
        ('podroute_ipam_addresses_free{family="ipv4"}', 504),
        ("podroute_pods", 2),
        ("podroute_pods_orphaned", 1),
        ("podroute_cni_restored_total", 2),
        ("podroute_cni_swept_total", 1),
        (
            "podroute_cni_call_duration_seconds_bucket"
            '{plugin="podroute",verb="ADD",result="ok",le="0.5"}',
            2,
        ),
        (
            "podroute_cni_call_duration_seconds_bucket"
            '{plugin="podroute",verb="ADD",result="ok",le="+Inf"}',
            3,
        ),
        ('podroute_step_duration_seconds_bucket{le="0.001"}', 6),
    ],
)
def test_the_numbers(bench: Bench, name: str, value: float) -> None:
    assert values(page(bench))[name] == value


def test_no_prefix_address_or_pod_is_a_label(bench: Bench) -> None:
    text = page(bench)
    assert not re.search(r'="[^"]*(/|\d+\.\d+\.\d+\.\d+|::)', text)
    before = text.count("\n")
    bench.step(update("tor1", *(f"10.244.{n}.0/24" for n in range(20, 200))))
    assert page(bench).count("\n") == before


def test_without_api_or_cni_server(bench: Bench) -> None:
    found = values(page(bench, cni=None, api=False))
    assert found["podroute_cni_up"] == 0
    assert not any(name.startswith(("podroute_api", "podroute_ipam")) for name in found)


def test_a_failing_part_is_named(bench: Bench) -> None:
    assert "podroute_part_failing" not in page(bench)
    bench.kernel.broken = True
    bench.step(update("tor1", "10.244.7.0/24"))
    assert values(page(bench))['podroute_part_failing{part="forwarding"}'] == 1


def test_labels_are_escaped() -> None:
    written = Page()
    written.family(Kind.GAUGE, "x", "Help.", [(labels(peer='a"b\\c\nd'), 1)])
    assert r'x{peer="a\"b\\c\nd"} 1' in str(written)


@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say(bench: Bench) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page(bench),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_an_agent_without_settings_says_so_and_gives_no_numbers() -> None:
    class Source:
        waiting, problem = "no ConfigMap", ""

    wake = Wake()
    control = Control(inbox=Inbox(wake), wake=wake, source=Source())  # type: ignore[arg-type]
    with pytest.raises(Exception, match="no ConfigMap"):
        control.metrics()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9179", ("127.0.0.1", 9179)),
        ("0.0.0.0:9179", ("0.0.0.0", 9179)),
        ('"[::1]:9179"', ("::1", 9179)),
    ],
)
def test_where_to_listen(text: str, expected: tuple[str, int]) -> None:
    assert settings_of(CONFIG + f"metrics: {{listen: {text}}}\n").metrics_listen == expected


@pytest.mark.parametrize("text", ["localhost:9179", "70000", "'127.0.0.1:'", "9179x", '"0"'])
def test_where_not_to_listen(text: str) -> None:
    with pytest.raises(ConfigError, match=r"line 12: metrics.listen: "):
        settings_of(CONFIG + f"metrics: {{listen: {text}}}\n")
