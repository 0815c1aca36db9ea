"""Router advertisements on the real kernel: who is found, and who is left alone."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address

import pytest

from router.kernel.router_advertisement import RouterAdvertisements
from router.model.unnumbered import Port
from tests.support.advertising_host import AdvertisingHost
from tests.support.netns import Namespace, join
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

# Sends one advertisement with the hop limit given, from a raw socket.
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, int(sys.argv[2]))
s.sendto(bytes([134]) + bytes(15), ("ff02::1", 0, 0, socket.if_nametoindex(sys.argv[1])))
"""
# Prints a line for each advertisement or solicitation that comes.
LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
while True:
    data, sender = s.recvfrom(2048)
    if data[0] in (133, 134): print(sender[0].split("%")[0], data[0], flush=True)
"""


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace]) -> Namespace:
    return make_namespace("node")


@pytest.fixture
def tor(make_namespace: Callable[[str], Namespace], node: Namespace) -> Namespace:
    tor = make_namespace("tor")
    for number in (1, 2):
        # Without duplicate address detection the addresses are there at once.
        for namespace in (node, tor):
            namespace.write_sysctl("net.ipv6.conf.default.accept_dad", 0)
        join(node, f"eth{number}", tor, f"swp{number}")
        link_local(node, f"eth{number}")
        link_local(tor, f"swp{number}")
    return tor


@contextlib.contextmanager
def advertising(namespace: Namespace, *interfaces: str) -> Iterator[AdvertisingHost]:
    host = AdvertisingHost(namespace, *interfaces)
    try:
        yield host
    finally:
        host.close()


def link_local(namespace: Namespace, interface: str) -> str:
    def look() -> str | None:
        argv = ["ip", "-j", "-6", "address", "show", "dev", interface, "scope", "link"]
        found = json.loads(namespace.run(argv).stdout or "[]")
        addresses = [a["local"] for one in found for a in one.get("addr_info", ())]
        return addresses[0] if addresses else None

    return wait_until(look, deadline_s=5, what=f"a link-local address on {interface}")


def wait_heard(host: AdvertisingHost, interface: str, router: str, deadline_s: float = 5) -> None:
    wait_until(
        lambda: host.heard.get(interface, [""])[0] == router or None,
        deadline_s=deadline_s,
        what=f"{router or 'nobody'} on {interface}; heard {host.heard}",
    )


def send(namespace: Namespace, interface: str, hop_limit: int) -> None:
    namespace.run([sys.executable, "-c", SEND, interface, str(hop_limit)])


def test_two_ends_find_each_other_on_each_link(node: Namespace, tor: Namespace) -> None:
    with advertising(node, "eth1", "eth2") as here, advertising(tor, "swp1", "swp2") as there:
        for number in (1, 2):
            wait_heard(here, f"eth{number}", link_local(tor, f"swp{number}"))
            wait_heard(there, f"swp{number}", link_local(node, f"eth{number}"))


def test_accept_ra_0_and_forwarding_hide_nobody(node: Namespace, tor: Namespace) -> None:
    for key, value in (("accept_ra", 0), ("forwarding", 1)):
        node.write_sysctl(f"net.ipv6.conf.eth1.{key}", value)
    with advertising(node, "eth1") as here, advertising(tor, "swp1"):
        wait_heard(here, "eth1", link_local(tor, "swp1"))
    routes = node.run(["ip", "-6", "route", "show", "default"]).stdout
    assert routes == ""


def test_what_did_not_start_on_the_link_is_not_heard(node: Namespace, tor: Namespace) -> None:
    with advertising(node, "eth1") as here:
        wait_until(lambda: "eth1" in here.heard, deadline_s=5, what="a port on eth1")
        send(tor, "swp1", 64)
        send(tor, "swp2", 255)
        # The control: with hop limit 255, on this link, it is heard.
        assert here.heard["eth1"] == ["", [], ""]
        send(tor, "swp1", 255)
        wait_heard(here, "eth1", link_local(tor, "swp1"))
        assert here.heard.keys() == {"eth1"}


def test_nothing_is_sent_on_other_links(node: Namespace, tor: Namespace) -> None:
    own = {n: link_local(node, f"eth{n}") for n in (1, 2)}
    ears = [tor.popen([sys.executable, "-c", LISTEN, f"swp{n}"], stdout=-1) for n in (1, 2)]
    with advertising(node, "eth1"):
        assert ears[0].stdout is not None
        for line in ears[0].stdout:
            assert line.split()[0] == own[1]
            if line.split()[1] == "134":
                break
        # The kernel's own solicitations aside (it sends them where it does not forward).
    for ear in ears:
        tor.kill(ear)
    heard, _ = ears[1].communicate(timeout=5)
    ears[0].communicate(timeout=5)
    assert not [line for line in heard.splitlines() if line.split()[1] == "134"]


def test_a_replaced_address_is_followed_at_either_end(node: Namespace, tor: Namespace) -> None:
    with advertising(node, "eth1") as here, advertising(tor, "swp1") as there:
        wait_heard(here, "eth1", link_local(tor, "swp1"))
        old = link_local(tor, "swp1")
        tor.run(["ip", "-6", "address", "add", "fe80::99/64", "dev", "swp1", "nodad"])
        tor.run(["ip", "-6", "address", "del", f"{old}/64", "dev", "swp1"])
        there.look("swp1")
        wait_heard(here, "eth1", "fe80::99")

        old = link_local(node, "eth1")
        node.run(["ip", "-6", "address", "add", "fe80::77/64", "dev", "eth1", "nodad"])
        here.look("eth1")
        node.run(["ip", "-6", "address", "del", f"{old}/64", "dev", "eth1"])
        here.look("eth1")
        wait_heard(there, "swp1", "fe80::77")
        wait_heard(here, "eth1", "fe80::99")


def test_a_cut_link_forgets_its_router_and_finds_it_again(node: Namespace, tor: Namespace) -> None:
    with advertising(node, "eth1") as here, advertising(tor, "swp1") as there:
        wait_heard(here, "eth1", link_local(tor, "swp1"))
        tor.run(["ip", "link", "set", "swp1", "down"])
        here.look("eth1")
        wait_until(lambda: not here.heard, deadline_s=5, what=f"nobody; heard {here.heard}")
        tor.run(["ip", "link", "set", "swp1", "up"])
        router = link_local(tor, "swp1")
        link_local(node, "eth1")
        there.look("swp1")
        here.look("eth1")
        wait_heard(here, "eth1", router)


def test_a_firewall_that_forbids_to_send_is_told_and_ends_nothing(
    node: Namespace, tor: Namespace
) -> None:
    with advertising(node, "eth1") as here, advertising(tor, "swp1"):
        router = link_local(tor, "swp1")
        wait_heard(here, "eth1", router)
        rules = "table ip6 wall { chain out { type filter hook output priority 0; policy drop; }; }"
        node.run(["nft", "-f", "-"], input=rules)
        wait_until(
            lambda: here.heard["eth1"] == [router, [], "Operation not permitted"],
            deadline_s=8,
            what=f"the refusal; heard {here.heard}",
        )
        node.run(["nft", "delete", "table", "ip6", "wall"])
        wait_until(
            lambda: here.heard["eth1"] == [router, [], ""], deadline_s=8, what="nothing to tell"
        )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_by_a_fault_is_told_to_the_loop() -> None:
    def fault() -> None:
        raise ZeroDivisionError

    shell = RouterAdvertisements(fault)
    port = Port(1, IPv6Address("fe80::1"))
    shell.want({"none": port})
    others = iter(range(2, 100))

    def told() -> str:
        try:
            shell.want({"none": Port(next(others), port.own)})
        except RuntimeError as error:
            return repr(error.__cause__)
        return ""

    assert wait_until(told, deadline_s=5, what="the fault") == "ZeroDivisionError()"
    shell.close()
