"""The real agent and speaker on the dual-tor fabric: repaired, reconfigured, asked, stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from containerlab.demo.fabric import CONFIG, TOPOLOGY, Fabric, Host
from containerlab.netlab import Lab
from tests.support.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
POD_CIDR = "10.244.2.0/24"
CHANGING = "/run/agent.yaml"


@pytest.fixture(scope="module")
def fabric() -> Iterator[Fabric]:
    with Lab.up(TOPOLOGY) as lab:
        made = Fabric(lab)
        made.wait_routers()
        for host in made.hosts[:2]:
            host.agent.start()
        third = made.hosts[2]
        write_config(third, yaml.safe_dump(dict(third.config)))
        third.agent.start("router", "--config", CHANGING)
        for host in made.hosts:
            made.wait_whole(host)
        yield made


def legs(host: Host, cidr: str) -> int:
    routes = json.loads(host.node.run(["ip", "-j", "route", "show", cidr]).stdout or "[]")
    return sum(len(route.get("nexthops", [route])) for route in routes)


def ask(host: Host, what: str) -> Any:
    return json.loads(host.podroute(what, "-o", "json"))


def sessions(host: Host) -> dict[str, tuple[str, str]]:
    return {p["name"]: (p["state"], p["since"]) for p in ask(host, "peers")["peers"]}


def write_config(host: Host, text: str) -> None:
    script = 'cat > "$1.new" && mv "$1.new" "$1"'
    host.node.run(["sh", "-ec", script, "sh", CHANGING], input=text)


def all_established(host: Host) -> bool:
    return all(state == "established" for state, _ in sessions(host).values())


@pytest.mark.parametrize(
    "breaking",
    [
        pytest.param(["ip", "route", "del", POD_CIDR, "proto", "74"], id="one-route"),
        pytest.param(["ip", "nexthop", "flush", "proto", "74"], id="all-nexthop-objects"),
        pytest.param(["ip", "-6", "route", "del", "fd00:244:2::/64"], id="ipv6-route"),
        pytest.param(["ip", "route", "del", "unreachable", "10.244.1.0/24"], id="own-cidr"),
    ],
)
def test_what_others_break_is_repaired_within_a_second(fabric: Fabric, breaking: list[str]) -> None:
    host = fabric.hosts[0]
    before = _ours(host)
    host.node.run(breaking)
    broken = time.monotonic()
    wait_until(lambda: _ours(host) == before or None, deadline_s=5, what=f"repair after {breaking}")
    assert time.monotonic() - broken < 1


def _ours(host: Host) -> set[str]:
    """Return our routes with their gateways; group ids may differ after a repair."""
    shown: set[str] = set()
    for family in ("-4", "-6"):
        for protocol in ("74", "75"):
            listed = host.node.run(["ip", "-j", family, "route", "show", "proto", protocol]).stdout
            for route in json.loads(listed or "[]"):
                hops = sorted(f"{h['gateway']} {h['dev']}" for h in route.get("nexthops", []))
                shown.add(f"{route.get('type', '')} {route['dst']} {hops}")
    return shown


def test_repairs_are_counted(fabric: Fabric) -> None:
    host = fabric.hosts[0]
    before = ask(host, "status")["routes"]["repairs"]
    host.node.run(["ip", "route", "del", POD_CIDR, "proto", "74"])
    wait_until(
        lambda: ask(host, "status")["routes"]["repairs"] > before,
        deadline_s=5,
        what="one more repair",
    )


def test_a_second_agent_leaves_the_first_alone(fabric: Fabric) -> None:
    host = fabric.hosts[0]
    second = host.node.run(["podroute", "router", "--config", CONFIG], check=False, timeout_s=20)
    assert second.returncode == 1
    assert "another route agent (pid " in second.stderr
    assert all_established(host)


def test_a_live_change_disturbs_one_session_and_an_error_none(fabric: Fabric) -> None:
    host = fabric.hosts[2]
    before = sessions(host)

    write_config(host, yaml.safe_dump({**host.config, "hold_time": 3}))
    wait_until(
        lambda: "unknown key" in " ".join(ask(host, "status")["reasons"]),
        deadline_s=10,
        what="the error in podroute status",
    )
    assert sessions(host) == before

    peers = [dict(peer) for peer in host.config["peers"]]
    changed = peers[2]["name"]
    peers[2]["hold_time_s"] = 30
    write_config(host, yaml.safe_dump({**host.config, "peers": peers}))
    wait_until(
        lambda: sessions(host)[changed] != before[changed] and all_established(host),
        deadline_s=30,
        what=f"{changed} established anew",
    )
    after = sessions(host)
    assert {name: after[name] for name in after if name != changed} == {
        name: before[name] for name in before if name != changed
    }
    assert ask(host, "status")["ok"], ask(host, "status")["reasons"]


def test_sigterm_keeps_routes_on_both_sides_and_the_next_agent_takes_over(
    fabric: Fabric,
) -> None:
    host, other = fabric.hosts[0], fabric.hosts[1]
    before = _ours(host)
    since = time.time()
    host.agent.terminate()
    assert _ours(host) == before
    assert legs(other, "10.244.1.0/24") == 2
    down = host.node.run(["podroute", "peers"], check=False)
    assert down.returncode == 1
    assert "the route agent does not run on this node" in down.stderr
    host.agent.start()
    fabric.wait_fresh(host, since_epoch=since)
    assert _ours(host) == before
    assert legs(other, "10.244.1.0/24") == 2


def test_a_hung_speaker_is_replaced_without_losing_a_route(fabric: Fabric) -> None:
    host, other = fabric.hosts[0], fabric.hosts[1]
    pid = ask(host, "status")["speaker"]["pid"]
    since = time.time()
    host.node.run(["kill", f"-{signal.SIGSTOP.value}", str(pid)])
    stopped = time.monotonic()
    wait_until(
        lambda: ask(host, "status")["speaker"]["pid"] not in (pid, None),
        deadline_s=15,
        what="another speaker",
    )
    assert time.monotonic() - stopped < 4.5 + 2  # half the hold time, and its back-off
    fabric.wait_fresh(host, since_epoch=since)
    assert legs(other, "10.244.1.0/24") == 2
    assert legs(host, POD_CIDR) == 2


def test_bad_input_of_the_command_gets_one_clear_line(fabric: Fabric) -> None:
    node = fabric.hosts[0].node
    missing = node.run(["podroute", "router", "--config", "/nowhere.yaml"], check=False)
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "/nowhere.yaml" in missing.stderr
    node.run(["tee", "/run/bad.yaml"], input="peers: 3\n")
    bad = node.run(["podroute", "router", "--config", "/run/bad.yaml", "--check"], check=False)
    assert bad.returncode == 2
    assert "/run/bad.yaml: line 1: peers: must be a list" in bad.stderr
    unknown = node.run(["podroute", "routes", "192.0.2.0/24"], check=False)
    assert unknown.returncode == 1
    assert "no peer has announced 192.0.2.0/24" in unknown.stderr


def why(host: Host, subject: str) -> tuple[int, Any]:
    done = host.node.run(["podroute", "why", subject, "-o", "json"], check=False)
    return done.returncode, json.loads(done.stdout)


def test_why_says_what_the_kernel_does(fabric: Fabric) -> None:
    host, other = fabric.hosts[:2]
    fabric.wait_whole(host)
    status, learned = why(host, "10.244.2.9")
    assert (status, learned["outcome"]) == (0, "works")
    assert {path["peer"] for path in learned["learned"]["paths"]} == {"tor1-v4", "tor2-v4"}
    got = host.node.run(["ip", "-j", "route", "get", "10.244.2.9"]).stdout
    (hop,) = json.loads(got)
    assert f"{hop['gateway']} dev {hop['dev']}" in learned["kernel"]["next_hops"]

    host.cni.start()
    pod = host.runtime.make_pod("why-pod")
    status, mine = why(host, pod.address(4))
    assert status == 0
    dev = json.loads(host.node.run(["ip", "-j", "route", "get", pod.address(4)]).stdout)[0]["dev"]
    assert mine["pod"]["interface"] == dev
    told = {each["peer"]: each for each in mine["announced"]["peers"]}
    assert told["tor1-v4"]["announced"]
    assert told["tor1-v4"]["since"]
    assert told["tor1-v6"]["why_not"] == "the session carries no ipv4"

    assert why(host, "192.0.2.0/24")[0] == 4
    text = other.podroute("why", "10.244.1.0/24")
    assert "kernel      10.244.1.0/24, metric" in text
    assert text.count("            via ") == 2


def restore_config(host: Host) -> None:
    """Put the node's own configuration back, whatever a test before has left."""
    write_config(host, yaml.safe_dump(dict(host.config)))

    def as_configured() -> bool:
        holds = {peer["hold_time_s"] for peer in ask(host, "peers")["peers"]}
        return holds == {9} and all_established(host)

    wait_until(as_configured, deadline_s=30, what="sessions as in the node's own configuration")


SCRAPE = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
    print(answer.headers["Content-Type"])
    print(answer.read().decode(), end="")
"""


def scrape(host: Host, url: str) -> str:
    done = host.node.run([sys.executable, "-c", SCRAPE, url], check=False)
    return done.stdout if done.returncode == 0 else ""


@pytest.mark.needs("promtool")
def test_metrics_are_served_where_the_configuration_says(fabric: Fabric) -> None:
    host = fabric.hosts[2]
    url = "http://127.0.0.1:9179/metrics"
    assert not scrape(host, url)
    restore_config(host)
    before = sessions(host)
    write_config(host, yaml.safe_dump({**host.config, "metrics": {"listen": 9179}}))
    head, _, page = wait_until(
        lambda: scrape(host, url) or None, deadline_s=10, what="the page"
    ).partition("\n")
    assert head.startswith("text/plain; version=0.0.4")
    assert 'podroute_peers{state="established"} 4' in page
    assert 'podroute_peer_routes_announced{peer="tor1-v4",family="ipv4"} 2' in page
    assert "podroute_cni_up 0" in page
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

    host.cni.start()
    host.runtime.make_pod("metrics-pod")
    page = scrape(host, url)
    assert 'podroute_ipam_addresses_used{family="ipv4"} 1' in page
    label = '{plugin="podroute",verb="ADD",result="ok"}'
    assert f"podroute_cni_call_duration_seconds_count{label} 1" in page
    socket_page = host.node.run([sys.executable, "-c", OVER_SOCKET]).stdout
    assert "podroute_cni_up 1" in socket_page

    # An address that is not there: told, and nothing else suffers.
    write_config(host, yaml.safe_dump({**host.config, "metrics": {"listen": "192.0.2.1:9179"}}))
    wait_until(
        lambda: "cannot serve metrics at 192.0.2.1" in " ".join(ask(host, "status")["reasons"]),
        deadline_s=10,
        what="the reason in podroute status",
    )
    assert ask(host, "status")["readiness"]["state"] == "ready"
    assert not scrape(host, url)
    write_config(host, yaml.safe_dump(dict(host.config)))
    wait_until(lambda: ask(host, "status")["ok"], deadline_s=10, what="nothing to complain about")
    assert sessions(host) == before


OVER_SOCKET = """
import socket
with socket.socket(socket.AF_UNIX) as s:
    s.connect("/run/podroute/router.sock")
    s.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
    while data := s.recv(65536):
        print(data.decode(), end="")
"""
