"""`podroute doctor` on dual-tor: nothing on healthy nodes, the true cause on broken ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from containerlab.demo.fabric import TOPOLOGY, Fabric, Host
from containerlab.netlab import Lab
from tests.support.wait import NotYetError, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.needs("nft", "ping"), pytest.mark.timeout(120)]
CHANGING = "/run/agent.yaml"
CONF_DIR = "/run/cni-conf"


@pytest.fixture(scope="module")
def fabric() -> Iterator[Fabric]:
    with Lab.up(TOPOLOGY) as lab:
        made = Fabric(lab)
        made.wait_routers()
        for host in made.hosts:
            write_config(host, dict(host.config))
            host.agent.start("router", "--config", CHANGING)
            host.cni.start()
            host.node.run(["podroute", "cni", "install", "--bin-dir", "/run/bin", *conf_dir()])
        for host in made.hosts:
            made.wait_whole(host)
            host.runtime.make_pod(f"{host.name}-pod")
        yield made


def conf_dir() -> tuple[str, str]:
    return "--conf-dir", CONF_DIR


def write_config(host: Host, config: dict[str, Any]) -> None:
    script = 'cat > "$1.new" && mv "$1.new" "$1"'
    host.node.run(["sh", "-ec", script, "sh", CHANGING], input=yaml.safe_dump(config))


def doctor(host: Host) -> list[dict[str, str]]:
    done = host.node.run(["podroute", "doctor", "-o", "json", *conf_dir()], check=False)
    answer = json.loads(done.stdout)
    assert answer["not_looked_at"] == []
    assert done.returncode == (3 if answer["findings"] else 0)
    found: list[dict[str, str]] = answer["findings"]
    return found


def wait_found(host: Host, *expected: str) -> list[dict[str, str]]:
    def look() -> list[dict[str, str]]:
        found = doctor(host)
        if sorted(each["name"] for each in found) != sorted(expected):
            raise NotYetError(found)
        return found or [{}]

    return wait_until(look, deadline_s=30, what=f"findings {expected}")


def test_nothing_on_healthy_nodes(fabric: Fabric) -> None:
    for host in fabric.hosts:
        wait_found(host)
        assert host.podroute("doctor", *conf_dir()) == "nothing found\n"


@pytest.mark.parametrize(
    ("breaking", "mending", "name"),
    [
        pytest.param(
            "iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT", "forward-drop", id="firewall"
        ),
        pytest.param(
            f"echo {{}} > {CONF_DIR}/00-other.conf",
            f"rm {CONF_DIR}/00-other.conf",
            "conflist-shadowed",
            id="conflist",
        ),
        pytest.param(
            "echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter",
            "echo 2 > /proc/sys/net/ipv4/conf/eth1/rp_filter",
            "rp-filter-strict",
            id="rp-filter",
        ),
    ],
)
def test_a_broken_node(fabric: Fabric, breaking: str, mending: str, name: str) -> None:
    host = fabric.hosts[0]
    wait_found(host)
    host.node.run(["sh", "-ec", breaking])
    try:
        assert [each["name"] for each in doctor(host)] == [name]
    finally:
        host.node.run(["sh", "-ec", mending])
    wait_found(host)


def test_a_tor_with_a_smaller_mtu(fabric: Fabric) -> None:
    host, tor = fabric.hosts[0], fabric.lab.nodes["tor1"]
    wait_found(host)
    tor.run(["ip", "link", "set", "eth1", "mtu", "1400"])
    try:
        found = wait_found(host, "tor-mtu-smaller", "tor-mtu-smaller")
        assert "lower that of eth1" in found[0]["fix"]
    finally:
        tor.run(["ip", "link", "set", "eth1", "mtu", "1500"])
    wait_found(host)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"remote_asn": 65999}, "peer-asn", "local_asn and remote_asn"),
        ({"address": "10.9.9.9"}, "peer-not-connected", "multihop_ttl"),
        ({"address": "10.0.1.4"}, "peer-not-connected", "correct the address"),
    ],
)
def test_a_wrong_peer(fabric: Fabric, change: dict[str, Any], name: str, words: str) -> None:
    host = fabric.hosts[0]
    wait_found(host)
    first, *others = host.config["peers"]
    write_config(host, {**host.config, "peers": [{**first, **change}, *others]})
    (found,) = wait_found(host, name)
    assert words in found["fix"]
    assert first["name"] in found["text"]
    write_config(host, dict(host.config))
    wait_found(host)


def test_a_password_that_the_tor_does_not_have(fabric: Fabric) -> None:
    host = fabric.hosts[0]
    wait_found(host)
    first, *others = host.config["peers"]
    host.node.run(["sh", "-c", "umask 077; echo wrong > /run/password"])
    secret = {**first, "password_file": "/run/password"}
    write_config(host, {**host.config, "peers": [secret, *others]})
    (found,) = wait_found(host, "peer-silent")
    assert "is the MD5 password the same" in found["fix"]
    write_config(host, dict(host.config))
    wait_found(host)


def test_daemons_that_are_away(fabric: Fabric) -> None:
    host = fabric.hosts[0]
    wait_found(host)
    host.cni.terminate()
    assert [each["name"] for each in doctor(host)] == ["cni-away"]
    host.cni.start()
    host.agent.terminate()
    host.node.run(["rm", "/run/podroute/node.json"])
    names = [each["name"] for each in doctor(host)]
    assert names == ["agent-away", "node-facts-missing"]
    host.agent.start("router", "--config", CHANGING)
    wait_found(host)
