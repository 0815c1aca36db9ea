"""Unused addresses of an aggregate are rejected in the forward path, used ones are not.

Real packets: client - node - pod, with kube-proxy's rules in each of its modes, and the node's
default route back to the client: without the table, packets to an unused address go back and forth.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

import pytest

from bgp.nlri import Prefix
from containerlab.runtime.namespace import call_in
from router.kernel.nf_tables_removal import remove_table
from router.kernel.service_filter import ServiceFilter
from router.model.aggregate import Rejections
from router.reconcile.rejections import RejectionPlan, plan_rejections
from tests.support.kube_proxy import FAMILIES, KubeProxy, Mode
from tests.support.netns import Namespace
from tests.support.service_port import Endpoint, ServicePort
from tests.support.service_town import CLIENT, POD, PODS, connect, node_of, serve
from tests.support.who_answers import ask

pytestmark = [pytest.mark.netns, pytest.mark.needs("nft", "iptables", "ip6tables")]

NET = {4: "203.0.113.0/24", 6: "2001:db8:cafe::/112"}
VIP = {4: "203.0.113.7", 6: "2001:db8:cafe::7"}
UNUSED = {4: "203.0.113.200", 6: "2001:db8:cafe::200"}
OUTSIDE = {4: "203.0.114.1", 6: "2001:db8:cafe:1::1"}
AGGREGATES = frozenset(map(Prefix.parse, NET.values()))


@dataclass(slots=True, kw_only=True)
class Town:
    node: Namespace
    client: Namespace
    pod: Namespace
    filter: ServiceFilter


@pytest.fixture(scope="module")
def made() -> Iterator[Town]:
    with ExitStack() as stack:
        node, client, pod = (
            stack.enter_context(closing(Namespace(name))) for name in ("node", "client", "pod")
        )
        node_of(node)
        connect(node, "client", client, CLIENT)
        connect(node, "pod", pod, POD)
        for gateway in CLIENT.values():
            node.run(["ip", "route", "add", "default", "via", gateway, "dev", "client", "onlink"])
        for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            client.write_sysctl(f"net.{key}", 1)
        # A redirect to a client on the link counts against the ICMP errors that it gets.
        for link in ("all", "client"):
            node.write_sysctl(f"net.ipv4.conf.{link}.send_redirects", 0)
        serve(pod, "pod", stack)
        filter_ = call_in(node.pid, ServiceFilter)
        stack.callback(filter_.close)
        yield Town(node=node, client=client, pod=pod, filter=filter_)


@pytest.fixture
def town(made: Town) -> Iterator[Town]:
    yield made
    made.filter.apply(RejectionPlan(remove_table=made.filter.observe().exists))


def reject(town: Town, wanted: frozenset[Prefix] = AGGREGATES) -> None:
    town.filter.apply(plan_rejections(town.filter.observe(), wanted))


def ruleset(town: Town) -> str:
    return town.node.run(["nft", "list", "ruleset"]).stdout


# What a client learns: errno, and after how many seconds.
_KNOCK = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
with socket.socket(family, kind) as s:
    s.settimeout(2)
    began = time.monotonic()
    number = 0
    try:
        s.connect((sys.argv[2], 80))
        if sys.argv[1] == "udp":
            s.send(b"x")
            s.recv(1)
    except TimeoutError:
        number = -1
    except OSError as error:
        number = error.errno
    print(number, time.monotonic() - began)
"""


def knock(place: Namespace, protocol: str, address: str) -> tuple[int, float]:
    words = place.run([sys.executable, "-I", "-S", "-c", _KNOCK, protocol, address]).stdout.split()
    return int(words[0]), float(words[1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("place", ["client", "pod"])
def test_unused_addresses_are_refused_at_once(town: Town, family: int, place: str) -> None:
    reject(town)
    asker = getattr(town, place)
    for protocol in ("tcp", "udp"):
        found, took_s = knock(asker, protocol, UNUSED[family])
        assert found == errno.ECONNREFUSED
        assert took_s < 0.5
    ping = asker.run(["ping", "-c", "1", "-W", "2", UNUSED[family]], check=False).stdout
    assert "nreachable" in ping
    assert town.filter.observe().packets >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_control_without_the_table_packets_go_round(town: Town, family: int) -> None:
    reject(town, frozenset(p for p in AGGREGATES if p.family != family))
    # The client sends to the node, the node back to the client, until the hop limit ends it.
    town.client.run(
        ["ip", "route", "replace", UNUSED[family], "via", gateway(family), "dev", "eth0", "onlink"]
    )
    before = forwarded(town.node, family)
    knock(town.pod, "tcp", UNUSED[family])
    assert forwarded(town.node, family) - before > 20
    reject(town)
    before = forwarded(town.node, family)
    knock(town.pod, "tcp", UNUSED[family])
    assert forwarded(town.node, family) - before < 5


def gateway(family: int) -> str:
    return "169.254.1.1" if family == 4 else "fe80::1"


def forwarded(node: Namespace, family: int) -> int:
    """Return how many packets the client's link has sent to the node."""
    return int(node.run(["cat", "/sys/class/net/client/statistics/rx_packets"]).stdout)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", Mode)
def test_used_addresses_work_in_every_mode_of_kube_proxy(
    town: Town, mode: Mode, family: int
) -> None:
    reject(town)
    proxy = KubeProxy(town.node, mode, PODS)
    port = ServicePort(
        name="shop/web:http",
        vips=(VIP[family],),
        endpoints=(Endpoint(address=POD[family], port=8080, is_local=True),),
    )
    proxy.sync([port])
    try:
        for place in (town.client, town.node, town.pod):
            assert ask(place, VIP[family], 80).who == "pod", place.name
        assert knock(town.client, "tcp", UNUSED[family])[0] == errno.ECONNREFUSED
    finally:
        proxy.clear()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_outside_passes(town: Town, family: int) -> None:
    reject(town)
    address = f"{OUTSIDE[family]}/{32 if family == 4 else 128}"
    nodad = ["nodad"] if family == 6 else []
    town.pod.run(["ip", "address", "replace", address, "dev", "eth0", *nodad])
    town.node.run(["ip", "route", "replace", OUTSIDE[family], "dev", "pod"])
    assert ask(town.client, OUTSIDE[family], 8080).who == "pod"
    assert ask(town.client, POD[family], 8080).who == "pod"


def test_the_middle_of_a_connection_is_dropped_and_not_reset(town: Town) -> None:
    """What conntrack calls invalid comes untranslated; a reset would end a live connection."""
    reject(town)
    script = f"""
import socket, struct, sys
address = "{UNUSED[4]}"
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
s.bind(("{CLIENT[4]}", 0))
head = struct.pack("!HHIIBBHHH", 4444, 80, 1, 2, 5 << 4, 0x10, 1000, 0, 0)
pseudo = socket.inet_aton("{CLIENT[4]}") + socket.inet_aton(address) + struct.pack("!BBH", 0, 6, 20)
total = sum(struct.unpack("!16H", pseudo + head))
total = (total >> 16) + (total & 0xffff)
total += total >> 16
head = head[:16] + struct.pack("!H", ~total & 0xffff) + head[18:]
s.settimeout(1)
s.sendto(head, (address, 0))
try:
    print(s.recv(100).hex())
except TimeoutError:
    print("silence")
"""
    before = town.filter.observe().packets
    assert town.client.run([sys.executable, "-c", script]).stdout.strip() == "silence"
    assert town.filter.observe().packets == before + 1


def test_the_table_is_as_the_module_says_and_known_again(town: Town) -> None:
    reject(town)
    found = town.filter.observe()
    assert found == Rejections(exists=True, is_whole=True, prefixes=AGGREGATES)
    shown = ruleset(town)
    for line in (
        "type filter hook forward priority 20; policy accept;",
        "ip daddr @aggregates4 goto unused",
        "ip6 daddr @aggregates6 goto unused",
        "elements = { 203.0.113.0/24 }",
        "elements = { 2001:db8:cafe::/112 }",
        "reject with tcp reset",
        "meta l4proto udp counter packets 0 bytes 0 reject comment",
        "reject with icmpx host-unreachable",
    ):
        assert line in shown, shown
    assert plan_rejections(found, AGGREGATES) == RejectionPlan()


def test_prefixes_beside_each_other_and_at_the_ends(town: Town) -> None:
    wanted = frozenset(
        map(
            Prefix.parse,
            ("203.0.112.0/24", "203.0.113.0/24", "255.255.255.0/24", "1.0.0.0/8",
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:0/112", "2001:db8::/64", "2001:db8:0:1::/64"),
        )
    )  # fmt: skip
    reject(town, wanted)
    assert town.filter.observe().prefixes == wanted
    reject(town, wanted - AGGREGATES)
    assert town.filter.observe().prefixes == wanted - AGGREGATES
    reject(town, wanted | AGGREGATES)
    assert town.filter.observe().prefixes == wanted | AGGREGATES


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("flush ruleset", id="flushed"),
        pytest.param("flush chain inet podroute-services unused", id="without rules"),
        pytest.param("add rule inet podroute-services unused accept", id="a rule more"),
        pytest.param("insert rule inet podroute-services forward accept", id="a rule before"),
        pytest.param(
            "add element inet podroute-services aggregates4 { 10.0.0.0/8 }", id="an element more"
        ),
        pytest.param("flush set inet podroute-services aggregates6", id="no elements"),
        pytest.param(
            "add chain inet podroute-services other { type filter hook input priority 0; }",
            id="a chain more",
        ),
    ],
)
def test_what_others_change_is_noticed_and_undone(town: Town, change: str) -> None:
    reject(town)
    town.filter.was_disturbed()
    town.node.run(["nft", change])
    assert town.filter.was_disturbed()
    found = town.filter.observe()
    assert plan_rejections(found, AGGREGATES) != RejectionPlan()
    reject(town)
    assert town.filter.observe() == Rejections(exists=True, is_whole=True, prefixes=AGGREGATES)
    assert not town.filter.was_disturbed()


def test_touches_nothing_else_and_leaves_nothing(town: Town) -> None:
    town.node.run(["nft", "add table inet theirs"])
    town.node.run(["nft", "add table ip theirs"])
    before = ruleset(town)
    reject(town)
    reject(town, frozenset())
    assert ruleset(town) == before
    reject(town)
    assert call_in(town.node.pid, partial(remove_table, "podroute-services"))
    assert ruleset(town) == before
    assert not call_in(town.node.pid, partial(remove_table, "podroute-services"))
    town.node.run(["nft", "flush", "ruleset"])
