"""A node with ends behind it, and servers in them, without BGP: for rules on the node."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from tests.support.netns import Namespace, join
from tests.support.wait import wait_until
from tests.support.who_answers import SERVER, ask

PODS = ("10.244.0.0/16", "fd00:244::/32")
POD = {4: "10.244.1.2", 6: "fd00:244:1::2"}
OTHER = {4: "10.244.2.2", 6: "fd00:244:2::2"}
NODE = {4: "10.255.1.1", 6: "fd00:255:1::1"}
CLIENT = {4: "10.9.0.2", 6: "fd00:9::2"}
TARGET = 8080


def node_of(node: Namespace) -> None:
    """Make it a node: it forwards, and has its own address on lo."""
    for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
        node.write_sysctl(f"net.{key}", 1)
    node.write_sysctl("net.ipv4.conf.all.rp_filter", 0)
    for family, length in ((4, 32), (6, 128)):
        node.run(["ip", "address", "add", f"{NODE[family]}/{length}", "dev", "lo"])


def connect(node: Namespace, link: str, end: Namespace, addresses: dict[int, str]) -> None:
    """Put an end behind the node, as pods are: nothing on the node's side but a route."""
    join(node, link, end, "eth0")
    for family, gateway in ((4, "169.254.1.1"), (6, "fe80::1")):
        length, nodad = (32, ()) if family == 4 else (128, ("nodad",))
        end.run(["ip", "address", "add", f"{addresses[family]}/{length}", "dev", "eth0", *nodad])
        node.run(
            [
                *("ip", "address", "add", f"{gateway}/{length}", "dev", link),
                *("scope", "link", *nodad),
            ]
        )
        node.run(["ip", "route", "add", addresses[family], "dev", link])
        end.run(["ip", "route", "add", "default", "via", gateway, "dev", "eth0", "onlink"])


def serve(end: Namespace, name: str, stack: ExitStack) -> None:
    """Start a server that answers with its name, and wait until it does."""
    process = end.popen([sys.executable, "-c", SERVER, name, str(TARGET)])
    stack.callback(process.wait, 10)
    stack.callback(end.kill, process)
    wait_until(
        lambda: ask(end, "127.0.0.1", TARGET).answer, deadline_s=20, what=f"the server in {name}"
    )
